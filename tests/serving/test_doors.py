"""A row means the same whichever way it comes in: every rule of a column, through every door."""

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving.files import outputs_of
from ensemble_pipe.serving.in_memory import as_column, columns_of
from ensemble_pipe.serving.inputs import open_input
from ensemble_pipe.serving.model import Ensemble

NAN = float("nan")
# Of each column what a CSV file has, then the same as values; the first of them is of the type that
# the column would have where a source has types.
CELLS: dict[str, list[tuple[str, list[Any]]]] = {
    "number": [
        ("1.5", [1.5, "1.5", Decimal("1.5"), np.float32(1.5)]),
        ("2", [2.0, 2, "2", " 2.0 ", np.int8(2)]),
        ("1e3", [1000.0, 1000, "1e3", "+1000"]),
        ("", [None, NAN, "", pd.NA]),
        ("NA", [None, NAN, "NA", "null"]),
        ("unknown", [None, "unknown", " unknown"]),
        ("-999", [-999.0, -999, "-999", "-999.0", None]),
    ],
    "flag": [("true", [True, 1, "true", "TRUE", "1"]), ("False", [False, 0, 0.0, "false", "0"])],
    "place": [
        ("north", ["north", " north", "north  "]),
        (" south", ["south", " south"]),
        ("NA", ["NA", " NA "]),
        ("unseen", ["unseen", "new"]),
        ("unknown", [None, "unknown", ""]),
        ("", [None, "", "   ", NAN]),
    ],
    "code": [
        ("01", [1.0, 1, "01", "1", "1.0", Decimal(1)]),
        ("2.0", [2.0, 2, "2"]),
        ("3", [3.0, 3, " 3"]),
        ("NA", [None, NAN, "NA", "nan", ""]),
        ("-999", [-999.0, -999, "-999", None]),
    ],
    "truth": [("True", [True, "true", "TRUE"]), ("false", [False, "False"]), ("", [None, "", NAN])],
    "day": [
        ("2020-02-29", [datetime(2020, 2, 29), "2020-02-29", "2020-02-29T00:00Z"]),
        ("2021-03-04T05:00", [datetime(2021, 3, 4, 5), "2021-03-04 05:00:00"]),
        ("1900-01-01", [datetime(1900, 1, 1), "1900-01-01", None, "NA"]),
        ("", [None, pd.NaT, ""]),
    ],
    "era": [
        ("2020-02-29", [datetime(2020, 2, 29), "2020-02-29", "2020-02-29 00:00:00.000"]),
        ("2021-03-04T05:00", [datetime(2021, 3, 4, 5), "2021-03-04 05:00:00"]),
        ("1900-01-01", [datetime(1900, 1, 1), "1900-01-01T00:00", None]),
    ],
}  # fmt: skip
RULES = {
    "number": {"missing": "median", "indicator": True},
    "place": {"kind": "category", "missing": "category"},
    "code": {"kind": "category", "missing": "category"},
    "truth": {"kind": "category", "missing": "most_frequent"},
    "day": {"kind": "date", "missing": "mean", "indicator": True},
    "era": {"kind": "category", "missing": "category"},
}
TYPES = {
    "number": pa.float64(), "flag": pa.bool_(), "place": pa.string(), "code": pa.float64(),
    "truth": pa.bool_(), "day": pa.timestamp("us"), "era": pa.timestamp("us"),
}  # fmt: skip
NUMPY_TYPES = {"number": "Float64", "code": "Int64", "flag": "boolean", "truth": "boolean"}


@dataclass(frozen=True)
class Drawn:
    """Some rows: of each column what a file has, its typed values, and any of its values."""

    texts: dict[str, list[str]]
    typed: dict[str, list[Any]]
    mixed: dict[str, list[Any]]

    @property
    def table(self) -> pa.Table:
        return pa.table({n: pa.array(values, TYPES[n]) for n, values in self.typed.items()})

    @property
    def objects(self) -> pd.DataFrame:
        return pd.DataFrame({n: pd.Series(v, dtype=object) for n, v in self.mixed.items()})

    @property
    def rows(self) -> list[dict[str, Any]]:
        cells = zip(*self.mixed.values(), strict=True)
        return [dict(zip(self.mixed, row, strict=True)) for row in cells]


@st.composite
def rows(draw: st.DrawFn) -> Drawn:
    count = draw(st.integers(1, 6))
    texts: dict[str, list[str]] = {}
    typed: dict[str, list[Any]] = {}
    mixed: dict[str, list[Any]] = {}
    for name, cells in CELLS.items():
        chosen = draw(st.lists(st.sampled_from(cells), min_size=count, max_size=count))
        texts[name] = [text for text, _ in chosen]
        typed[name] = [values[0] for _, values in chosen]
        mixed[name] = [draw(st.sampled_from(values)) for _, values in chosen]
    return Drawn(texts, typed, mixed)


def csv_text(columns: dict[str, list[str]]) -> str:
    stream = io.StringIO()
    pd.DataFrame(columns, dtype=str).to_csv(stream, index=False)
    return stream.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    folder = tmp_path_factory.mktemp("doors")
    random = np.random.default_rng(0)
    known = {name: [cell for cell in cells if cell[0] != "unseen"] for name, cells in CELLS.items()}
    picks = {name: random.integers(0, len(cells), 400) for name, cells in known.items()}
    columns = {name: [known[name][at][0] for at in picks[name]] for name in CELLS}
    odds = np.sum([at % 3 for at in picks.values()], axis=0)
    columns["y"] = ["yes" if odd > np.median(odds) else "no" for odd in odds]
    (folder / "train.csv").write_text(csv_text(columns))
    data = {
        "source": "table", "path": str(folder / "train.csv"), "label": "y", "columns": RULES,
        "missing_values": ["unknown", "-999", "1900-01-01"],
    }  # fmt: skip
    config = {
        "task": "classification", "data": data, "network": {"hidden": [16]},
        "training": {"epochs": 10}, "ensemble": {"learners": 2}, "tracking": {"mlflow": False},
    }  # fmt: skip
    result = run(Pipeline.model_validate(config), output=folder, inline=True)
    return ensemble_pipe.load(result.run_dir)


Write = Callable[[Drawn, Path], Any]


def npz(columns: dict[str, Any], path: Path) -> None:
    np.savez(path, **columns)


FILES: dict[str, Write] = {
    "rows.csv": lambda drawn, path: path.write_text(csv_text(drawn.texts)),
    "rows.csv.gz": lambda drawn, path: path.write_bytes(
        gzip.compress(csv_text(drawn.texts).encode())
    ),
    "texts.parquet": lambda drawn, path: parquet.write_table(pa.table(drawn.texts), path),
    "typed.parquet": lambda drawn, path: parquet.write_table(drawn.table, path),
    "texts.arrow": lambda drawn, path: feather.write_feather(
        pa.table({n: pa.array(v).dictionary_encode() for n, v in drawn.texts.items()}), str(path)
    ),
    "typed.arrow": lambda drawn, path: feather.write_feather(drawn.table, str(path)),
    "texts.npz": lambda drawn, path: npz({n: np.array(v) for n, v in drawn.texts.items()}, path),
}
MEMORY: dict[str, Callable[[Drawn], Any]] = {
    "read_csv of texts": lambda drawn: pd.read_csv(
        io.StringIO(csv_text(drawn.texts)), keep_default_na=False
    ),
    "frame of objects": lambda drawn: drawn.objects,
    "frame of texts": lambda drawn: pd.DataFrame(drawn.texts, dtype="string[pyarrow]"),
    "frame of categories": lambda drawn: pd.DataFrame(drawn.texts, dtype="category"),
    "frame with types": lambda drawn: drawn.table.to_pandas(),
    "frame of nullables": lambda drawn: drawn.table.to_pandas().astype(NUMPY_TYPES),
    "frame of Arrow types": lambda drawn: drawn.table.to_pandas(types_mapper=pd.ArrowDtype),
    "table": lambda drawn: drawn.table,
    "table of texts": lambda drawn: pa.table(drawn.texts),
    "record batch": lambda drawn: drawn.table.to_batches()[0],
    "dict of lists": lambda drawn: drawn.mixed,
    "list of dicts": lambda drawn: drawn.rows,
    "JSON as served": lambda drawn: pd.DataFrame(**json.loads(as_json(drawn))),
    "JSON as a dict": lambda drawn: dict(
        zip(drawn.typed, zip(*json.loads(as_json(drawn))["data"], strict=True), strict=True)
    ),
    "array of objects": lambda drawn: drawn.objects.to_numpy(),
    "list of lists": lambda drawn: [list(row.values()) for row in drawn.rows],
    "array of texts": lambda drawn: np.array(list(drawn.texts.values())).T,
    "structured array": lambda drawn: drawn.objects.to_records(index=False),
}


def as_json(drawn: Drawn) -> str:
    """Return rows as a client of a served model sends them, with null for what is missing."""
    shown = {
        name: [value.isoformat() if isinstance(value, date) else value for value in values]
        for name, values in drawn.typed.items()
    }
    return json.dumps({"columns": list(shown), "data": list(zip(*shown.values(), strict=True))})


def probabilities_of_file(model: Ensemble, path: Path) -> Floats:
    found = [outputs for _, outputs in outputs_of(model, open_input(str(path), model.schema))]
    return model.of_outputs(np.concatenate(found, axis=1)).probabilities


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=rows())
def test_a_row_is_predicted_to_the_same_bits_through_every_door(
    model: Ensemble, tmp_path: Path, drawn: Drawn
) -> None:
    found: dict[str, Array] = {}
    for name, write in FILES.items():
        write(drawn, tmp_path / name)
        found[name] = probabilities_of_file(model, tmp_path / name)
    for name, made in MEMORY.items():
        found[name] = model.predict_proba(made(drawn))
    expected = found["rows.csv"]
    assert len(expected) == len(drawn.rows)
    different = {name for name, values in found.items() if not np.array_equal(values, expected)}
    assert different == set()


def test_the_rules_tell_the_cells_apart(model: Ensemble) -> None:
    """What the doors agree on is not that nothing matters."""
    first = {name: [cells[0][0]] for name, cells in CELLS.items()}
    seen = {model.predict_proba(first).tobytes()}
    for name, cells in CELLS.items():
        for text, _ in cells[1:]:
            changed = model.predict_proba({**first, name: [text]})
            seen.add(changed.tobytes())
    # Empty, NA, unknown and -999 are one; so are 1900-01-01 and an empty day.
    assert len(seen) == 1 + 3 + 1 + 4 + 3 + 1 + 2 + 2


DAY, TIME = date(2020, 2, 29), datetime(2020, 2, 29, 5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([1, "2"], ["1", "2"]),
        ([2.5, True], ["2.5", "True"]),
        ([DAY, TIME], ["2020-02-29", "2020-02-29T05:00:00"]),
        ([TIME, DAY], ["2020-02-29T05:00:00", "2020-02-29"]),
        (np.array(["2020-02-29T05"], "M8[h]"), ["2020-02-29T05:00:00"]),
        (np.array([1, 2], ">i4"), [1, 2]),
        (pd.Series([0, 2], dtype="Sparse[int]"), [0, 2]),
        (np.array([0.5, 2], np.longdouble), [0.5, 2.0]),
        (pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        (pl.Series([DAY, None]), [DAY, None]),
        (pl.Series(["a", 1.5], dtype=pl.Object), ["a", "1.5"]),
        (pd.Series(["a", pd.NA, 1.5], dtype=object), ["a", None, "1.5"]),
        (range(2), [0, 1]),
        (np.array(["a\0c", "a"]), ["a\0c", "a"]),
    ],
    ids=str,
)
def test_values_of_several_kinds_become_text_that_says_the_same(
    values: Any, expected: list[Any]
) -> None:
    assert as_column(values, "x").to_pylist() == expected


@pytest.mark.parametrize(
    "values",
    [
        3,
        "abc",
        None,
        np.zeros((2, 2)),
        [[1], "a"],
        {0: 1.5, 1: 2.5},
        {1.5, 2.5},
        pd.Series(pd.period_range("2020", periods=2)),
        ["a\ud800", 1],
    ],
    ids=str,
)
def test_what_is_no_column_of_values_is_refused(values: Any) -> None:
    with pytest.raises(DataError, match="column 'x': "):
        as_column(values, "x")


def test_rows_as_dicts_may_lack_what_is_missing_and_no_other_column(model: Ensemble) -> None:
    row = {name: cells[0][0] for name, cells in CELLS.items()}
    partial = {name: value for name, value in row.items() if name != "place"}
    found = model.predict_proba([row, partial])
    assert np.array_equal(found[1:], model.predict_proba([{**row, "place": None}]))
    with pytest.raises(DataError, match="the list: has no column 'place'"):
        model.predict_proba([partial])
    with pytest.raises(DataError, match=r"row 1 \(from 0\): is 3; a dict for each row is needed"):
        model.predict_proba([row, 3])
    with pytest.raises(DataError, match=r"the columns differ in length \(number 2, flag 1"):
        model.predict_proba(
            {name: [value] * (1 + (name == "number")) for name, value in row.items()}
        )


def test_names_that_are_one_as_text_are_kept_apart_to_be_refused() -> None:
    row = {0: 1.0, "0": 5.0}
    for rows in ([row], {name: [value] for name, value in row.items()}, pd.DataFrame([row])):
        columns = columns_of(rows)
        assert columns is not None
        assert columns.names == ["0", "0"]
