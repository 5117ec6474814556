"""A column is treated alike, to the same bits, from files, data frames and rows in memory."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.sources.rows import Rows, rows_of
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import Standardize
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.serving.in_memory import as_column, columns_of
from ensemble_pipe.serving.inputs import batch_of, open_input

ROWS = 200
PICKS = np.random.default_rng(0).integers(0, 12, ROWS).tolist()
NORMAL = np.random.default_rng(1).normal(size=ROWS)


def picked(values: list[Any]) -> list[Any]:
    return [values[pick % len(values)] for pick in PICKS]


COLUMNS: dict[str, Any] = {
    "times of day": picked([time(hour, 30) for hour in range(12)]),
    "times with fractions": picked([time(7, 0, second, 250_000 * second) for second in range(3)]),
    "missing times": picked([time(8), None, time(9, 15)]),
    "durations": picked([timedelta(hours=hour - 5) for hour in range(12)]),
    "durations in parts": picked([timedelta(days=-3, seconds=0.5), timedelta(hours=30), None]),
    "intervals": pd.Series(pd.IntervalIndex(pd.cut(NORMAL, 4))),
    "intervals as categories": pd.Series(pd.cut(NORMAL, 12)),
    "dates": [datetime(2020, 1, 1 + pick, pick) for pick in PICKS],
    "whole numbers": PICKS,
    "unsigned": np.array(PICKS, np.uint64) + np.uint64(2**63),
    "codes": [str(10**20 + pick) for pick in PICKS],
    "names": picked(["north", "south", "NA"]),
    "numbers and a few texts": [*NORMAL[:-2].tolist(), "unknown", "n/a"],
}


def frame_of(values: Any) -> pd.DataFrame:
    column = values if isinstance(values, pd.Series) else pd.Series(list(values))
    column = pd.Series(values) if isinstance(values, np.ndarray) else column
    return pd.DataFrame({"base": NORMAL, "x": column, "y": NORMAL})


def csv_file(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def table_of(frame: pd.DataFrame) -> pa.Table:
    columns = columns_of(frame)
    assert columns is not None
    return pa.table({name: as_column(columns.values(name), name) for name in columns.names})


def parquet_file(frame: pd.DataFrame, folder: Path) -> Path:
    parquet.write_table(table_of(frame), folder / "t.parquet")
    return folder / "t.parquet"


def arrow_file(frame: pd.DataFrame, folder: Path) -> Path:
    feather.write_feather(table_of(frame), str(folder / "t.arrow"))
    return folder / "t.arrow"


def text_file(frame: pd.DataFrame, folder: Path) -> Path:
    texts = pd.read_csv(csv_file(frame, folder), dtype=str, keep_default_na=False)
    texts[texts.columns[-1]] = NORMAL  # a target of text is never a number
    parquet.write_table(pa.Table.from_pandas(texts, preserve_index=False), folder / "s.parquet")
    return folder / "s.parquet"


FILES = [csv_file, parquet_file, arrow_file, text_file]
MEMORY: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "objects": lambda frame: frame.astype(object),
    "table": table_of,
    "polars": lambda frame: pl.from_arrow(table_of(frame)),
    "dict": lambda frame: {name: frame[name].tolist() for name in frame},
    "rows": lambda frame: frame.to_dict("records"),
}


def fit(rows: Rows) -> Schema:
    roles = Roles(("base", "x"), "y")
    train = np.ones(rows.count, bool)
    targets = read_targets(rows, roles)
    return Schema.fit(rows, roles, "regression", train, Standardize(), targets)


def encode_file(schema: Schema, path: Path) -> Any:
    rows = open_input(str(path), schema)
    blocks = rows.blocks(schema.source_columns)
    return np.concatenate([schema.encode_inputs(block, rows.place) for _, block in blocks])


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_treated_alike_through_every_door(name: str, tmp_path: Path) -> None:
    frame = frame_of(COLUMNS[name])
    text = pd.read_csv(csv_file(frame, tmp_path), dtype=str, keep_default_na=False)
    assert len(text) == ROWS
    files = [door(frame, tmp_path) for door in FILES]
    schemas = [fit(open_rows(str(path))) for path in files]
    schemas.append(fit(rows_of("X", table_of(frame))))
    assert {schema.decisions for schema in schemas} == {schemas[0].decisions}
    assert {schema.columns for schema in schemas} == {schemas[0].columns}
    for schema in schemas:
        expected = encode_file(schemas[0], files[0])
        for path in files:
            assert np.array_equal(encode_file(schema, path), expected), path
        for door, made in MEMORY.items():
            found = schema.encode_inputs(batch_of(made(frame), schema), lambda row: f"row {row}")
            assert np.array_equal(found, expected), door


def renamed(frame: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    return frame.rename(columns=names)


@pytest.mark.parametrize("door", FILES)
def test_blanks_around_a_name_are_no_part_of_it(
    door: Callable[[pd.DataFrame, Path], Path], tmp_path: Path
) -> None:
    frame = frame_of(PICKS)
    blank = renamed(frame, {"x": " x", "base": "\tbase ", "y": "y "})
    schema = fit(open_rows(str(csv_file(frame, tmp_path))))
    expected = encode_file(schema, csv_file(frame, tmp_path))
    if door is arrow_file or door is parquet_file:  # whose names are as they are given
        table = table_of(frame).rename_columns(["\tbase ", " x", "y "])
        path = door(frame, tmp_path)
        write = parquet.write_table if door is parquet_file else feather.write_feather
        write(table, str(path))
    else:
        path = door(blank, tmp_path)
    assert fit(open_rows(str(path))).decisions == schema.decisions
    assert np.array_equal(encode_file(schema, path), expected)
    for made in MEMORY.values():
        batch = batch_of(made(blank), schema)
        assert np.array_equal(schema.encode_inputs(batch, lambda row: f"row {row}"), expected)


def test_a_name_that_is_there_twice_without_its_blanks_is_refused(tmp_path: Path) -> None:
    frame = frame_of(PICKS)
    schema = fit(rows_of("X", table_of(frame)))
    twice = frame.assign(**{"z": 1, "z ": 2})
    for make in (MEMORY["pandas"], MEMORY["dict"], MEMORY["rows"]):
        with pytest.raises(DataError, match="column 'z' is there more than once"):
            batch_of(make(twice), schema)
    table = table_of(frame)
    doubled = table.append_column("z", table["x"]).append_column(" z", table["x"])
    parquet.write_table(doubled, tmp_path / "d.parquet")
    for given in (
        lambda: batch_of(doubled, schema),
        lambda: open_rows(str(tmp_path / "d.parquet")),
    ):
        with pytest.raises(DataError, match="column 'z' is there more than once"):
            given()


def test_a_model_of_an_earlier_version_may_have_blanks_around_its_names() -> None:
    frame = frame_of(PICKS)
    schema = fit(rows_of("X", table_of(frame)))
    stored = schema.to_json()
    for part in ("columns", "decisions"):
        base, x = stored[part]
        stored[part] = [base, {**x, "name": " x"}]
    assert Schema.from_json({**stored, "target_names": ["y "]}, "schema.json") == schema


@pytest.mark.parametrize("make", [list, lambda texts: pd.Series(texts, dtype=object), np.array])
def test_text_that_is_no_unicode_is_refused_with_its_row(make: Any) -> None:
    with pytest.raises(DataError, match=r"row 1 .*, column 'x': 'a\\ud800' is no text in UTF-8"):
        as_column(make(["a", "a\ud800"]), "x")
