"""Files of given predictions: opened, and held against the rows that they are of."""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.cells import require_no_text
from ensemble_pipe.ensemble.members.given import Cells, given_columns, given_outputs


def open_given(path: str, where: str, count: int) -> Rows:
    """Open a file of predictions.

    Args:
        path: a file of rows.
        where: what is predicted, for messages.
        count: how many rows that has.

    Raises:
        DataError: it cannot be read, or has another number of rows.
    """
    given = open_rows(path, may_be_empty=True)
    if given.count != count:
        raise DataError(
            f"{given.where}: has {given.count} rows, but {where} has {count}; one row of "
            "predictions for each is needed, in their order"
        )
    return given


def has_deviations(given: Rows, schema: Schema) -> bool:
    """Return whether predictions have any of the columns of standard deviations."""
    means = given_columns(schema, deviations=False)
    others = given_columns(schema, deviations=True)[len(means) :]
    return any(name in given.schema.names for name in others)


def require_given_columns(given: Rows, names: Sequence[str]) -> None:
    """Raise DataError where a column of predictions is not there, or is text."""
    require_columns(given.where, names, given.schema.names)
    for name in names:
        try:
            require_no_text(given.schema.field(name))
        except DataError as error:
            raise DataError(error.at_prediction) from None


def read_given(given: Rows, schema: Schema, deviations: bool) -> Floats:
    """Return all predictions of a file as members' outputs, as `given_outputs` has them.

    Raises:
        DataError: a column is not there, or a value cannot be used.
    """
    names = given_columns(schema, deviations)
    require_given_columns(given, names)
    return np.concatenate(
        [
            given_outputs([block.column(n) for n in names], names, schema, cells_from(given, first))
            for first, block in given.blocks(names)
        ]
    )


def cells_from(rows: Rows, first: int) -> Cells:
    """Return what names the values of a block that begins with the row `first`."""
    return lambda column: lambda row: rows.cells(column)(first + row)
