"""Reads files of external predictions, and compares them with the rows that they are for."""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.cells import require_no_text
from ensemble_pipe.ensemble.members.external import Cells, external_columns, external_outputs


def open_predictions(path: str, where: str, count: int) -> Rows:
    """Open a file of predictions.

    Args:
        path: a file of rows.
        where: what is predicted, for messages.
        count: how many rows that has.

    Raises:
        DataError: it cannot be read, or has another number of rows.
    """
    file = open_rows(path, may_be_empty=True)
    if file.count != count:
        raise DataError(
            f"{file.where}: has {file.count} rows, but {where} has {count}; one row of "
            "predictions for each is needed, in their order"
        )
    return file


def has_deviations(file: Rows, schema: Schema) -> bool:
    """Return whether predictions have any of the columns of standard deviations."""
    means = external_columns(schema, deviations=False)
    others = external_columns(schema, deviations=True)[len(means) :]
    return any(name in file.schema.names for name in others)


def require_predictions(file: Rows, names: Sequence[str]) -> None:
    """Raise DataError where a column of predictions is not there, or is text."""
    require_columns(file.where, names, file.schema.names)
    for name in names:
        try:
            require_no_text(file.schema.field(name))
        except DataError as error:
            raise DataError(error.at_prediction) from None


def read_predictions(file: Rows, schema: Schema, deviations: bool) -> Floats:
    """Return all predictions of a file as members' outputs, as `external_outputs` has them.

    Raises:
        DataError: a column is not there, or a value cannot be used.
    """
    names = external_columns(schema, deviations)
    require_predictions(file, names)
    return np.concatenate(
        [
            external_outputs(
                [block.column(n) for n in names], names, schema, cells_from(file, first)
            )
            for first, block in file.blocks(names)
        ]
    )


def cells_from(rows: Rows, first: int) -> Cells:
    """Return what names the values of a block that begins with the row `first`."""
    return lambda column: lambda row: rows.cells(column)(first + row)
