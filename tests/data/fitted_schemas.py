"""Tables and images, and the schemas fitted to their training rows."""

from typing import Any

import numpy as np
import pyarrow as pa
from tables_as_rows import fitted, image_table, rows_of, table_of

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.messages import row_name
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.tables.columns import CategoryRule, DateRule, NumberRule, Roles
from ensemble_pipe.data.tables.scaling import (
    Pca,
    Quantile,
    RangeScale,
    RobustClip,
    Scale,
    Standardize,
    Zca,
)

ROWS = 60
TRAIN = np.arange(ROWS) < 40
SCALES: list[Scale] = [Standardize(), RangeScale(), Pca(), Zca(), RobustClip(), Quantile()]
ROLES = Roles(("a", "b", "c"), "y", rules={"*": NumberRule()})


def table(targets: Any = None) -> pa.Table:
    """Return a table whose rows beyond the training part lie far away from it."""
    inputs = np.random.default_rng(0).normal([5.0, -3.0, 0.0], [2.0, 0.1, 1.0], (ROWS, 3))
    inputs[~TRAIN] += 1000
    inputs[:, 2] = 7.0
    labels = np.arange(ROWS) % 3 if targets is None else targets
    return table_of(a=inputs[:, 0], b=inputs[:, 1], c=inputs[:, 2], y=labels)


def mixed(rows: int, seed: int = 0) -> tuple[pa.Table, Roles]:
    """Return a table of every kind of column, with missing values, and its roles."""
    random = np.random.default_rng(seed)

    def holes(values: Array) -> pa.Array:
        return pa.array(values, mask=random.random(rows) < 0.1)

    days = np.datetime64("2020-01-01") + random.integers(0, 3000, rows)
    values = table_of(
        plain=random.normal(1e6, 1.0, rows).astype(np.float32),
        mean=holes(random.normal(size=rows)),
        median=holes(random.exponential(size=rows)),
        when=holes(days),
        place=holes(random.choice(["north", "south", "east"], rows)),
        grade=random.integers(0, 12, rows),
        y=random.normal(size=rows),
    )
    rules: dict[str, NumberRule | DateRule | CategoryRule] = {
        "mean": NumberRule(missing="mean"),
        "median": NumberRule(missing="median", indicator=True),
        "when": DateRule(missing=0.0, indicator=True),
        "place": CategoryRule(missing="category"),
        "grade": CategoryRule(encode="code"),
    }
    return values, Roles(tuple(values.column_names[:-1]), "y", rules=rules)


def images(channels: int) -> Array:
    found = np.random.default_rng(1).integers(0, 256, (ROWS, 4, 5, channels)).astype(np.uint8)
    found[~TRAIN] = 255
    return found


def fit(
    values: pa.Table,
    task: Task = "classification",
    roles: Roles = ROLES,
    scale: Scale = Standardize(),  # noqa: B008 -- it is frozen
) -> Schema:
    return fitted(rows_of(values), roles, task, TRAIN, scale)


def fit_images(values: Array, scale: Scale) -> Schema:
    rows = rows_of(image_table(values, label=np.arange(ROWS) % 2))
    return fitted(rows, Roles(("image",), "label"), "classification", TRAIN, scale)


def place(row: int) -> str:
    return f"new.csv: {row_name(row)}"
