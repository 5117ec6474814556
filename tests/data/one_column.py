"""A table of one column "x" with a rule: its schema, and its encoded values."""

from typing import Any

import numpy as np
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.messages import row_name
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import RangeScale

IDENTITY = RangeScale(low=0.0, high=1.0)  # of a column from 0 to 1


def place(row: int) -> str:
    return f"new.csv: {row_name(row)}"


def fit(values: Any, rule: Any, train: Any = None, scale: Any = IDENTITY) -> Schema:
    """Return the schema of one column "x"."""
    rows = rows_of(table_of(x=values, y=np.arange(len(values)) % 2 * 1.0))
    kept = np.ones(len(values), bool) if train is None else np.array(train)
    return fitted(rows, Roles(("x",), "y", rules={"x": rule}), "regression", kept, scale)


def encode(schema: Schema, values: Any) -> Array:
    return schema.encode_inputs(batch_of(table_of(x=values)), place)
