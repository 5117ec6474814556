"""Fitting of a schema's inputs, be they columns of a table or images."""

from collections.abc import Sequence
from typing import TypedDict

from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.features import Column, lay_out_features
from ensemble_pipe.data.tables.fitting import fit_table
from ensemble_pipe.data.tables.images import fit_images
from ensemble_pipe.data.tables.scaling import Scale, Scaling
from ensemble_pipe.data.tables.training_rows import Train


class InputFields(TypedDict):
    """The fields of a `data.schema.Schema` that are about its inputs."""

    input_shape: tuple[int, ...]
    columns: tuple[Column, ...]
    scaling: Scaling
    decisions: tuple[ColumnDecision, ...]
    further_scalings: tuple[Scaling, ...]


def fit_inputs(
    rows: Rows, roles: Roles, train: Train, scale: Scale, further: Sequence[Scale] = ()
) -> InputFields:
    """Return what is fitted to the inputs of the rows where `train` (R,) is true.

    Args:
        rows, roles, train: the rows, and which columns of them are features.
        scale: that they are stored in.
        further: other scales, each of another kind, of which a range is from 0 to 1.

    Raises:
        DataError: the columns or values do not fit the roles and rules.
        ConfigError: a scale does not fit the columns.
    """
    if rows.is_image:
        shape, scalings = fit_images(rows, train, (scale, *further))
        return InputFields(
            input_shape=shape,
            columns=(),
            scaling=scalings[0],
            decisions=(),
            further_scalings=scalings[1:],
        )
    table = fit_table(rows, roles, train, scale, further)
    return InputFields(
        input_shape=(len(lay_out_features(table.columns, table.scaling).names),),
        columns=table.columns,
        scaling=table.scaling,
        decisions=table.decisions,
        further_scalings=table.further,
    )
