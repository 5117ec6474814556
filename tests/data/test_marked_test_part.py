"""`test_where`: the official test part is the rows that a column marks."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import shared
from pyarrow import parquet
from small_pipelines import SPLITS
from tables_as_rows import rows_of, table_of

from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError, DataError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.labelled import (
    read_labelled,
    shared_group,
    split_by_marks,
    time_order_warning,
)
from ensemble_pipe.data.sources import Table
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.side_columns import read_marks
from ensemble_pipe.run.external_predictions import SourceRows
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.run.preparation import prepare
from ensemble_pipe.serving.files import predict_file
from ensemble_pipe.serving.model import load

MARKS = [False, True, False, False, True, False]


def part(run_dir: Path, name: str) -> pa.Table:
    path = RunPaths(run_dir).base / f"{name}.arrow"
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


@pytest.mark.parametrize(
    "values", [MARKS, [int(m) for m in MARKS], [float(m) for m in MARKS]], ids=["bool", "0/1", "0."]
)
def test_rows_are_marked_by_true_and_false_or_by_1_and_0(values: list[Any]) -> None:
    assert read_marks(rows_of(table_of(t=values), batch=4), "t").tolist() == MARKS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([True, None], r"^t\.csv: row 1 .*, column 't': the mark of the test part is missing"),
        ([0, 1, 2], r"row 2 .*, column 't': 2 marks no row of the test part; 1 \(true\) is in it,"),
        (["yes", "no"], "test_where 't' is of type string; it marks rows by true and false, or by"),
    ],
    ids=str,
)
def test_what_is_no_mark_is_refused(values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_marks(rows_of(table_of(t=values), batch=2), "t")


@pytest.mark.parametrize(("mark", "which"), [(True, "every"), (False, "no")])
def test_marks_that_are_all_alike_are_refused(mark: bool, which: str) -> None:
    rows = rows_of(table_of(x=[1.0, 2.0], y=[0, 1], t=[mark] * 2))
    with pytest.raises(DataError, match=f"test_where marks {which} row as one of the test part"):
        split_by_marks(read_labelled(rows, Roles(("x",), "y", test_where="t"), None))


def test_rows_keep_their_numbers_groups_and_times() -> None:
    columns = {"x": [0.0, 1, 2, 3, 4, 5], "y": list("abcabc"), "t": MARKS}
    columns |= {"g": [0, 1, 0, 2, 2, 3], "day": [0, 9, 1, 2, 1, 3]}
    roles = Roles(("x",), "y", group="g", time="day", test_where="t")
    whole = read_labelled(rows_of(table_of(**columns)), roles, ("a", "b"))
    rest, test = split_by_marks(whole)
    assert test is not None
    assert (rest.numbers(0, 9).tolist(), test.numbers(0, 9).tolist()) == ([0, 3], [1, 4])
    places = [test.rows.place(row) for row in range(2)]
    assert places == ["t.csv: row 1 (from 0)", "t.csv: row 4 (from 0)"]
    read = [block.column("x").to_pylist() for _, block in test.rows.blocks(["x"])]
    assert read == [[1.0, 4.0]]
    held_out = {"stop": np.array([1]), "validation": np.array([1])}
    for parts, expected in (
        ({"train": np.array([0]), **held_out}, {"stop": [3], "validation": [3]}),
        ({"train": np.array([0, 1])}, {"train": [0, 3]}),  # in folds
    ):
        wanted = SourceRows.of(whole.rows, rest, parts, test)
        found = {name: rows.tolist() for name, rows in wanted.numbers.items()}
        assert found == {**expected, "test": [1, 4]}
    assert shared_group(rest, test) == "2"
    assert "1 of 2 test rows are earlier than the last row" in (
        time_order_warning(rest, test) or ""
    )


def test_the_column_is_no_feature_and_patterns_ignore_its_siblings() -> None:
    rows = rows_of(table_of(x=[1.0], y=[1.0], test_0=[True], test_1=[False], test_2=[True]))
    table = Table(path="t.csv", label="y", test_where="test_1", ignore=("test_*",))
    roles = table.roles(rows)
    assert (roles.features, roles.test_where) == (("x",), "test_1")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"test_where": "test_9"}, "has no column 'test_9'; did you mean"),
        ({"test_where": "y"}, "column 'y' is named as label and as test_where"),
        ({"ignore": ("old_*",)}, r"has no column 'old_\*'"),
    ]
    for settings, message in wrong:
        with pytest.raises(DataError, match=message):
            Table(**{"path": "t.csv", "label": "y", **settings}).roles(rows)


def test_a_test_part_is_named_once(tmp_path: Path) -> None:
    data = "{source: table, path: a.csv, label: y, test_path: b.csv, test_where: t}"
    (tmp_path / "p.yaml").write_text(f"name: p\ndata: {data}\n")
    with pytest.raises(ConfigError, match=r"data: test_path and test_where both .*p\.yaml:2"):
        load_pipeline(tmp_path / "p.yaml")


def test_a_group_on_both_sides_is_refused(tmp_path: Path) -> None:
    rows = np.arange(60)
    table = pa.table({"x": rows * 1.0, "y": rows * 2.0, "g": rows // 8, "t": rows % 10 == 0})
    parquet.write_table(table, tmp_path / "t.parquet")
    data = {"source": "table", "path": str(tmp_path / "t.parquet"), "label": "y"}
    data |= {"group": "g", "test_where": "t"}
    config = Pipeline.model_validate({"task": "regression", "data": data})
    with pytest.raises(DataError, match="group '0' stands in the training data too"):
        prepare(config)


def test_a_standard_split_is_tested_on_its_own_rows(tmp_path: Path) -> None:
    path = shared("uci_regression") / "boston.parquet"
    data = {"source": "table", "path": str(path), "label": "y", "test_where": "test_3"}
    settings = {"task": "regression", "tracking": {"mlflow": False}, "ensemble": {"learners": 2}}
    settings |= {"network": {"hidden": [8]}, "training": {"epochs": 2}, "splits": SPLITS}
    config = Pipeline.model_validate({"data": {**data, "ignore": ["test_*"]}, **settings})
    run_dir = Path(run(config, output=tmp_path, inline=True).run_dir)
    marks = parquet.read_table(path, columns=["test_3"])["test_3"].to_numpy()
    assert part(run_dir, "test")["row"].to_pylist() == np.flatnonzero(marks).tolist()
    others = [part(run_dir, name)["row"].to_numpy() for name in ("train", "stop", "validation")]
    assert np.array_equal(np.sort(np.concatenate(others)), np.flatnonzero(~marks))

    bare = parquet.read_table(path).drop_columns(["y", *(f"test_{n}" for n in range(20))])
    rows = rows_of(bare)
    predict_file(load(run_dir), rows, tmp_path / "out.parquet")
    predicted = parquet.read_table(tmp_path / "out.parquet")["prediction"].to_numpy()
    kept = pa.ipc.open_file(pa.memory_map(str(RunPaths(run_dir).predictions("test")))).read_all()
    assert np.array_equal(predicted[marks], kept["prediction"].to_numpy())
