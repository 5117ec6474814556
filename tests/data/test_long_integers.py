"""Integers of 64 bits are numbers in any source; longer ones, of digits alone, are text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.tables.columns import AnyRule, AutoRule, NumberRule, Roles
from ensemble_pipe.data.tables.scaling import Standardize
from ensemble_pipe.data.tables.side_columns import read_targets

ROWS = 120
SPREAD = np.random.default_rng(0).integers(0, 2**62, ROWS).tolist()
COLUMNS: dict[str, tuple[list[int], str]] = {
    "int64": ([value - 2**61 for value in SPREAD], "number"),
    "of 64 bits": ([2**63 + value for value in SPREAD], "number"),
    "of 63 and 64 bits": ([2 * value for value in SPREAD], "number"),
    "close together": ([2**63 + 2**62 + value % 1000 for value in SPREAD], "number"),
    "21 digits, distinct": ([10**20 + value for value in SPREAD], "left out"),
    "21 digits, repeated": ([10**20 + value % 5 for value in SPREAD], "category"),
    "39 digits, repeated": ([10**38 + value % 5 for value in SPREAD], "category"),
}  # fmt: skip


def texts_in_csv(values: list[int], path: Path) -> Path:
    return write(csv.write_csv, values, pa.string(), path / "t.csv")


def texts_in_parquet(values: list[int], path: Path) -> Path:
    return write(parquet.write_table, values, pa.string(), path / "t.parquet")


def unsigned_in_parquet(values: list[int], path: Path) -> Path:
    kind = pa.uint64() if min(values) >= 0 else pa.int64()
    kind = kind if max(values) < 2**64 else pa.string()
    return write(parquet.write_table, values, kind, path / "u.parquet")


def write(to: Any, values: list[int], kind: pa.DataType, path: Path) -> Path:
    own = [str(value) for value in values] if kind == pa.string() else values
    base = np.random.default_rng(1).normal(size=len(values))
    to(pa.table({"base": base, "x": pa.array(own, kind), "y": base}), str(path))
    return path


def fit(path: Path, rule: AnyRule) -> tuple[Schema, Any]:
    rows = open_rows(str(path))
    roles = Roles(("base", "x"), "y", rules={"x": rule})
    train = np.ones(rows.count, bool)
    scale, targets = Standardize(), read_targets(rows, roles)
    schema = Schema.fit(rows, roles, "regression", train, scale, targets)
    blocks = [schema.encode_inputs(block, rows.place) for _, block in rows.blocks(["base", "x"])]
    return schema, np.concatenate(blocks)


@pytest.mark.parametrize("door", [texts_in_parquet, unsigned_in_parquet])
@pytest.mark.parametrize("name", COLUMNS)
def test_long_integers_are_treated_alike_from_any_source(
    name: str, door: Callable[[list[int], Path], Path], tmp_path: Path
) -> None:
    values, kind = COLUMNS[name]
    expected, features = fit(texts_in_csv(values, tmp_path), AutoRule())
    found, own = fit(door(values, tmp_path), AutoRule())
    assert found.decisions[1].kind == kind
    assert found.decisions == expected.decisions
    assert np.array_equal(own, features)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", str(2**63 - 1)], pa.int64()),
        (["1", str(2**64 - 1)], pa.uint64()),
        (["-1", str(-(2**63))], pa.int64()),
        (["-1", str(2**63)], pa.float64()),
        (["0.5", str(2**64 - 1)], pa.float64()),
        (["0.5", "1e300"], pa.float64()),
        (["0.5", str(2**64)], pa.string()),
        (["1", str(-(2**63) - 1)], pa.string()),
        (["1", "0" * 5000 + "1" * 300], pa.string()),  # more digits than Python reads
    ],
)
def test_the_type_of_a_column_of_csv(texts: list[str], kind: pa.DataType, tmp_path: Path) -> None:
    for order in (texts, texts[::-1]):
        (tmp_path / "t.csv").write_text("\n".join(["x", *order]) + "\n")
        rows = open_rows(str(tmp_path / "t.csv"))
        assert rows.schema.field("x").type == kind
        found = [value for _, block in rows.blocks(["x"]) for value in block["x"].to_pylist()]
        assert [str(value) for value in found] == order or kind == pa.float64()


def test_a_longer_integer_is_refused_by_a_rule_for_numbers(tmp_path: Path) -> None:
    values = [*SPREAD, 2**64]
    for door in (texts_in_csv, texts_in_parquet):
        with pytest.raises(DataError, match=r"row 120 .*'x'.*too large for an integer of 64 bits"):
            fit(door(values, tmp_path), NumberRule())
