"""What a person predicts from: arrays, data frames, Arrow tables and files, as rows of columns."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.sources.rows import IMAGE, Rows, image_array
from ensemble_pipe.errors import DataError
from ensemble_pipe.messages import cut, listed


def batch_of(inputs: Any, schema: Schema) -> pa.RecordBatch:
    """Return rows in memory as one batch with the columns that the model needs.

    Args:
        inputs: features (R, D) in the order of the model's columns, images (R, H, W[, C]) uint8, a
            data frame, or an Arrow table.
        schema: of the model.

    Raises:
        DataError: a column is missing, or the inputs are no such thing.
    """
    names = list(schema.source_columns)
    if isinstance(inputs, pa.RecordBatch):
        inputs = pa.Table.from_batches([inputs])
    if isinstance(inputs, pa.Table):
        schema.require_columns(inputs.column_names, "the table")
        return one_batch(inputs.select(names))
    if hasattr(inputs, "columns"):
        schema.require_columns([str(name) for name in inputs.columns], "the data frame")
        return _frame_batch(inputs[names])
    return _array_batch(np.asarray(inputs), schema)


def columns_of(inputs: Any) -> list[str]:
    """Return the names of the columns of a table or data frame; none of an array."""
    if isinstance(inputs, pa.Table | pa.RecordBatch):
        return list(inputs.schema.names)
    return [str(name) for name in getattr(inputs, "columns", ())]


def open_input(path: str, schema: Schema) -> Rows:
    """Open a file, folder or pattern for a model, which says which columns are needed.

    Raises:
        DataError: it cannot be read, has no rows, or lacks what the model needs.
    """
    rows = open_rows(path, schema.missing_values).as_written(schema.named_columns)
    rows = _named(rows, schema)
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
    own, wanted = rows.schema.names, list(schema.feature_names)
    if len(own) != len(wanted):
        raise DataError(
            f"{rows.where}: rows of {len(own)} numbers, but the model needs {len(wanted)}: "
            + listed(wanted)
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


def _frame_batch(frame: Any) -> pa.RecordBatch:
    try:
        return pa.RecordBatch.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            "the data frame has values of several kinds in one column, or one too large for an "
            f"integer of 64 bits ({cut(str(error))}); make each column all numbers, all text or "
            "all dates"
        ) from None


def _array_batch(array: Array, schema: Schema) -> pa.RecordBatch:
    if schema.is_image:
        if array.ndim not in (3, 4) or array.dtype != np.uint8:
            raise DataError(
                f"the array is {array.dtype} of shape {array.shape}; images are uint8 "
                "(R, H, W) or (R, H, W, C)"
            )
        return pa.RecordBatch.from_arrays([image_array(array)], [IMAGE])
    names = schema.feature_names
    if array.ndim != 2 or array.shape[1] != len(names):
        raise DataError(
            f"the array has shape {array.shape}, but the model needs (R, {len(names)}): "
            + listed(names)
        )
    try:
        columns = [pa.array(array[:, index]) for index in range(len(names))]
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise DataError(
            f"the array holds what is no number of at most 64 bits or text ({cut(str(error))})"
        ) from None
    return pa.RecordBatch.from_arrays(columns, list(names))


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return a table as one batch, also where it has no rows."""
    batches = table.combine_chunks().to_batches()
    if batches:
        return batches[0]
    empty: pa.RecordBatch = table.schema.empty_table().to_batches(1)[0]
    return empty
