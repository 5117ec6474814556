"""Inputs of a prediction: arrays, data frames, Arrow tables and files, as rows of columns."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.sources.paths import require_unique
from ensemble_pipe.data.sources.rows import IMAGE, Rows, image_array
from ensemble_pipe.serving.in_memory import as_column, columns_of


def batch_of(inputs: Any, schema: Schema) -> pa.RecordBatch:
    """Return rows in memory as one batch with the columns that the model needs.

    Args:
        inputs: features (R, D) in the order of the model's columns, images (R, H, W[, C]) uint8, or
            what `in_memory.columns_of` takes; a frame without names of its own is as an array.
        schema: of the model.

    Raises:
        DataError: a column is missing, or the inputs are no such thing.
    """
    columns = columns_of(inputs)
    if columns is None:
        return _array_batch(as_array(inputs), schema)
    names, given = schema.source_columns, schema.input_names
    if columns.are_places and len(columns.names) == len(given) and "0" not in given:
        columns = columns.named(given)
    schema.require_columns(columns.names, columns.where)
    require_unique(columns.where, columns.names)
    arrays = [as_column(columns.values(name), name) for name in names]
    return _batch(arrays, names)


def open_input(path: str, schema: Schema) -> Rows:
    """Open a file, folder or pattern for a model, which says which columns are needed.

    It may have no rows.

    Raises:
        DataError: it cannot be read, or lacks what the model needs.
    """
    rows = open_rows(path, schema.missing_values, may_be_empty=True)
    rows = _named(rows.as_written(schema.named_columns), schema)
    if rows.is_image != schema.is_image:
        kinds = {True: "images", False: "features"}
        raise DataError(
            f"{path}: holds {kinds[rows.is_image]}, but the model needs {kinds[schema.is_image]}"
        )
    schema.require_rows(rows)
    return rows


def _named(rows: Rows, schema: Schema) -> Rows:
    """Give the columns of an NPY file, which has no names, those of the model."""
    if schema.is_image or not rows.where.endswith(".npy"):
        return rows
    own, wanted = rows.schema.names, list(schema.input_names)
    if len(own) != len(wanted):
        raise DataError(
            f"{rows.where}: rows of {len(own)} numbers, but the model needs {len(wanted)}: "
            + list_names(wanted)
        )
    old = dict(zip(wanted, own, strict=True))
    return replace(
        rows,
        schema=pa.schema(
            [field.with_name(n) for field, n in zip(rows.schema, wanted, strict=True)]
        ),
        read=lambda names: (
            batch.rename_columns(list(names)) for batch in rows.read([old[n] for n in names])
        ),
    )


def _batch(arrays: list[pa.Array], names: Sequence[str]) -> pa.RecordBatch:
    """Return columns side by side.

    Raises:
        DataError: they differ in length.
    """
    lengths = {name: len(array) for name, array in zip(names, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        found = list_names([f"{name} {length}" for name, length in lengths.items()])
        raise DataError(f"the columns differ in length ({found})")
    return pa.RecordBatch.from_arrays(arrays, list(names))


def as_array(inputs: Any) -> Array:
    """Return rows as an array; values of several kinds side by side are kept as they are."""
    if isinstance(inputs, list | tuple):
        try:
            plain = np.asarray(inputs, dtype=object)
            return plain if plain.ndim == 2 else np.asarray(inputs)
        except ValueError:
            raise DataError(
                "the rows differ in length; each needs a value of each column"
            ) from None
    return np.asarray(inputs)


def _array_batch(array: Array, schema: Schema) -> pa.RecordBatch:
    if schema.is_image:
        if array.ndim not in (3, 4) or array.dtype != np.uint8:
            raise DataError(
                f"the array is {array.dtype} of shape {array.shape}; images are uint8 "
                "(R, H, W) or (R, H, W, C)"
            )
        return pa.RecordBatch.from_arrays([image_array(array)], [IMAGE])
    names = schema.input_names
    if array.ndim != 2 or array.shape[1] != len(names):
        raise DataError(
            f"the array has shape {array.shape}, but the model needs (R, {len(names)}): "
            + list_names(names)
        )
    columns = dict(zip(names, array.T, strict=True))
    wanted = schema.feature_names
    return _batch([as_column(columns[name], name) for name in wanted], wanted)
