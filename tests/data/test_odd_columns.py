"""Columns as careless programs leave them, without rules: handled, or refused by name."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from tables_as_rows import rows_of, table_of
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources import open_rows
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import Standardize
from ensemble_pipe.data.tables.side_columns import read_targets

ROWS = 120
NOISE = np.random.default_rng(5).normal(size=ROWS)
Opened = Callable[[pa.Table, Path], Rows]


def of_csv(table: pa.Table, folder: Path) -> Rows:
    csv.write_csv(table, folder / "t.csv")
    return open_rows(str(folder / "t.csv"))


def of_parquet(table: pa.Table, folder: Path) -> Rows:
    parquet.write_table(table, folder / "t.parquet")
    return open_rows(str(folder / "t.parquet"))


def in_memory(table: pa.Table, _: Path) -> Rows:
    return rows_of(table)


SOURCES = [of_csv, of_parquet, in_memory]


def cycle(*values: Any) -> list[Any]:
    return [values[row % len(values)] for row in range(ROWS)]


def fit(rows: Rows) -> Schema:
    """Return the schema fitted to three quarters of the rows, all of which it encodes."""
    train = np.arange(rows.count) % 4 > 0
    names = tuple(name for name in rows.schema.names if name != "y")
    roles = Roles(names, "y")
    targets = read_targets(rows, roles)
    schema = Schema.fit(rows, roles, "regression", train, Standardize(), targets)
    for first, block in rows.blocks(schema.source_columns):
        encoded = schema.encode_inputs(block, rows.place_from(first))
        assert np.isfinite(encoded).all()
    return schema


DAYS = [str(datetime.date(2026, 1, 1) + datetime.timedelta(days=row)) for row in range(ROWS)]

HANDLED: dict[str, tuple[Any, str]] = {
    "nothing at all": (pa.nulls(ROWS), "left out"),
    "nothing but blanks and NA": (cycle("", " ", "NA", "NaN"), "left out"),
    "one value": (cycle(3.5), "left out"),
    "one value or none": (cycle(3.5, None), "number"),
    "one name or none": (cycle("a", None), "category"),
    "a date that cannot be": ([*DAYS[:-1], "2026-02-30"], "date"),
    "a date that cannot be, outside of the training part": (["2026-13-01", *DAYS[1:]], "date"),
    "dates of another form": (cycle("28.02.2026", "01.03.2026"), "category"),
    "numbers and an unknown": ([*map(str, NOISE[1:]), "unknown"], "number"),
    "numbers with a decimal comma": ([f"{x:.3f}".replace(".", ",") for x in NOISE], "left out"),
    "numbers with a unit": (cycle("12 kg", "14 kg", "15 kg"), "category"),
    "true and false in every spelling": (cycle("true", "FALSE", "True", None), "number"),
    "numbers, truths and names": (cycle("1", "true", "x"), "category"),
    "keys of many digits": ([f"a{row:030d}" for row in range(ROWS)], "left out"),
    "texts with line ends and quotes": (cycle('a "b"', "c\nd", "e,f"), "category"),
    "numbers that are nearly all one": ([*[0.0] * (ROWS - 2), 1.5, 2.5], "number"),
    "huge and tiny numbers": (cycle(1e30, -1e30, 1e-30), "number"),
    "a day and times of day": (cycle("2026-02-28", "2026-02-28T12:30:00"), "date"),
}

UNREADABLE: dict[str, tuple[pa.Array, str]] = {
    "lists": (pa.array(cycle([1], [1, 2], None)), "left out"),
    "structs": (pa.array(cycle({"a": 1}, {"a": 2})), "left out"),
    "maps": (pa.array(cycle([("k", 1)], []), pa.map_(pa.string(), pa.int64())), "left out"),
    "bytes": (pa.array(cycle(b"a", b"b")), "left out"),
    "durations": (pa.array(range(ROWS), pa.duration("s")), "left out"),
    "times of day": (pa.array(range(ROWS), pa.time32("s")), "left out"),
    "integers beyond int64": (pa.array(range(2**63, 2**63 + ROWS), pa.uint64()), "number"),
    "dates of the end of days": (pa.array(cycle(2**31 - 1, -(2**31)), pa.int32()).view(
        pa.date32()), "date"),
}  # fmt: skip


IN_MEMORY: dict[str, tuple[pa.Array, str]] = {
    "small images": (
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((ROWS, 2, 2), np.uint8)), "left out",
    ),
    "a dictionary with a null in it": (
        pa.DictionaryArray.from_arrays(pa.array(cycle(0, 1)), pa.array(["a", None])), "category",
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("what", HANDLED)
def test_an_odd_column_of_any_source_is_handled(what: str, source: Opened, tmp_path: Path) -> None:
    values, kind = HANDLED[what]
    schema = fit(source(table_of(odd=values, noise=NOISE, y=NOISE * 2), tmp_path))
    assert {d.name: d.kind for d in schema.decisions} == {"odd": kind, "noise": "number"}


@pytest.mark.parametrize("source", [of_parquet, in_memory])
@pytest.mark.parametrize("what", UNREADABLE)
def test_an_odd_type_is_handled(what: str, source: Opened, tmp_path: Path) -> None:
    values, kind = UNREADABLE[what]
    schema = fit(source(table_of(odd=values, noise=NOISE, y=NOISE * 2), tmp_path))
    assert {d.name: d.kind for d in schema.decisions} == {"odd": kind, "noise": "number"}


@pytest.mark.parametrize("what", IN_MEMORY)
def test_an_odd_type_in_memory_is_handled(what: str, tmp_path: Path) -> None:
    values, kind = IN_MEMORY[what]
    schema = fit(in_memory(table_of(odd=values, noise=NOISE, y=NOISE * 2), tmp_path))
    assert {d.name: d.kind for d in schema.decisions} == {"odd": kind, "noise": "number"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an infinite number": ({"odd": [*NOISE[1:], np.inf]}, r"row 119 .*, column 'odd': infinity"),
    "a number too large": ({"odd": [*NOISE[1:], 1e300]}, r"row 119 .*'odd': 1e\+300, too large"),
    "a target with one value missing": (
        {"odd": NOISE, "y": [*NOISE[:40], None, *NOISE[41:]]},
        r"row 40 .*column 'y': the label is missing",
    ),
    "nothing to learn from": (
        {"odd": [""] * ROWS, "noise": pa.nulls(ROWS)},
        r"no column can be learned from: noise \(no value in the training part\), odd \(no value",
    ),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_by_name(what: str, source: Opened, tmp_path: Path) -> None:
    columns, message = REFUSED[what]
    table = table_of(**{"noise": NOISE, "y": NOISE * 2, **columns})
    with pytest.raises(DataError, match=message):
        fit(source(table, tmp_path))


@pytest.mark.parametrize("label", ["y", "odd", "lists"])
def test_a_file_of_odd_columns_is_inspected_without_a_traceback(label: str, tmp_path: Path) -> None:
    columns = {
        name.replace(" ", "_"): values for name, (values, _) in {**HANDLED, **UNREADABLE}.items()
    }
    table = table_of(**columns, odd=cycle("a", "b"), y=[None, *NOISE[1:]])
    parquet.write_table(table, tmp_path / "t.parquet")
    done = CliRunner().invoke(
        app, ["data", "inspect", str(tmp_path / "t.parquet"), "--label", label]
    )
    assert done.exit_code == 0, done.output
    assert "columns: " in done.stdout
    assert "left out, of type list<" in done.stdout or label == "lists"
