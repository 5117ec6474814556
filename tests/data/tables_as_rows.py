"""Rows of in-memory tables, so that a test needs no file."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.messages import row_name
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.sources.rows import IMAGE, Rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import Scale
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.data.tables.target_scaling import TargetScale
from ensemble_pipe.data.tables.training_rows import Train


def rows_of(table: pa.Table, batch: int = 1000, where: str = "t.csv") -> Rows:
    """Return the rows of a table, which `read` gives in batches of at most `batch` rows."""

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(list(names)).to_batches(max_chunksize=batch)

    return Rows(where, table.num_rows, table.schema, read, lambda row: f"{where}: {row_name(row)}")


def fitted(
    rows: Rows,
    roles: Roles,
    task: Task,
    train: Train,
    scale: Scale,
    target_scale: TargetScale = "standardize",
) -> Schema:
    """Return the schema fitted to rows and to the labels that they hold."""
    targets = read_targets(rows, roles)
    return Schema.fit(rows, roles, task, train, scale, targets, target_scale)


def table_of(**columns: Any) -> pa.Table:
    """Return a table of columns, each an Arrow array or what pa.array takes."""
    return pa.table({name: _array(values) for name, values in columns.items()})


def image_table(images: Array, **columns: Any) -> pa.Table:
    """Return a table of images (R, H, W, C) in the column "image", and further columns."""
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(images)
    others = {name: _array(values) for name, values in columns.items()}
    return pa.table({IMAGE: column, **others})


def batch_of(table: pa.Table) -> pa.RecordBatch:
    """Return a whole table as one batch."""
    return pa.RecordBatch.from_arrays(
        [column.combine_chunks() for column in table.columns], schema=table.schema
    )


def _array(values: Any) -> Any:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
