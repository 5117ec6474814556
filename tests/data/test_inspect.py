"""What is said of a table or of images, and that the pipeline it prints is valid."""

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from conftest import shared
from PIL import Image
from pyarrow import csv
from source_files import idx_bytes
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import row_name
from ensemble_pipe.data.inspection.advice import decisions_of, pipeline_of, task_of
from ensemble_pipe.data.inspection.inspect import MOST_DISTINCT, Report, inspect
from ensemble_pipe.data.inspection.listing import report_table, size_text
from ensemble_pipe.data.sources import open_rows
from ensemble_pipe.data.sources.rows import Rows


def rows_of(table: pa.Table, where: str = "f.parquet", batch_rows: int = 1000) -> Rows:
    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return iter(table.select(list(names)).to_batches(batch_rows))

    return Rows(where, table.num_rows, table.schema, read, lambda row: f"{where}: {row_name(row)}")


def small_table() -> pa.Table:
    return pa.table(
        {
            "size": pa.array([1.5, None, float("nan"), float("inf"), 4.5], pa.float64()),
            "rooms": pa.array([3, 3, 2, 3, 1], pa.int8()),
            "town": pa.array(["a", "b", None, "a", "a"]).dictionary_encode(),
            "built": pa.array([date(2001, 1, day) for day in range(1, 6)]),
            "sold": ["2020-01-01", "2020-01-02T10:00", "2020-01-03 10:00:00Z", None, "2020-02-01"],
            "garden": [True, False, None, True, True],
            "price": pa.array([Decimal("1.50"), Decimal("2.50"), None, None, None]),
            "tags": [["x"], [], ["y"], [], []],
            "empty": pa.nulls(5),
            "class": ["yes", "no", "no", "yes", "no"],
            "note": ["p", "q", "r", "s", "t"],
        }
    )


def test_each_column_is_described() -> None:
    report = inspect(rows_of(small_table()))
    found = {c.name: (c.kind, c.missing, c.distinct, c.lowest, c.highest) for c in report.columns}
    assert found == {
        "size": ("number", 2, 3, 1.5, 4.5),
        "rooms": ("number", 0, 3, 1.0, 3.0),
        "town": ("category", 1, 2, None, None),
        "built": ("date", 0, 5, None, None),
        "sold": ("date", 1, 4, None, None),
        "garden": ("number", 1, 2, 0.0, 1.0),
        "price": ("number", 3, 2, 1.5, 2.5),
        "tags": ("other", 0, None, None, None),
        "empty": ("number", 5, 0, None, None),
        "class": ("category", 0, 2, None, None),
        "note": ("category", 0, 5, None, None),
    }
    assert report.column("size").infinite == 1
    assert report.column("size").mean == 3.0
    assert report.column("rooms").frequent == (("3", 3), ("1", 1), ("2", 1))
    assert report.label == "class"
    assert report.classes == (("no", 3), ("yes", 2))


def test_the_division_into_blocks_changes_nothing() -> None:
    random = np.random.default_rng(0)
    table = pa.table({"x": random.normal(size=20_000), "y": random.integers(0, 5, 20_000)})
    reports = [inspect(rows_of(table, batch_rows=size)) for size in (7, 999, 20_000)]
    assert reports[0] == reports[1] == reports[2]
    x = table["x"].to_numpy()
    assert reports[0].column("x").mean == pytest.approx(x.mean())
    assert (reports[0].column("x").lowest, reports[0].column("x").highest) == (x.min(), x.max())


@pytest.mark.parametrize(("count", "distinct"), [
    (MOST_DISTINCT, MOST_DISTINCT), (MOST_DISTINCT + 1, None), (60_000, None),
])  # fmt: skip
def test_distinct_values_are_counted_exactly_up_to_a_limit(count: int, distinct: int) -> None:
    report = inspect(
        rows_of(pa.table({"key": np.arange(count).astype(str), "y": np.arange(count)}))
    )
    assert [column.distinct for column in report.columns] == [distinct, distinct]
    assert (report.classes == ()) == (distinct is None)
    assert "label 'y': a number to predict" in report_table(report, None)
    assert ("more than 10,000" in report_table(report, None)) == (distinct is None)


@pytest.mark.parametrize(
    ("values", "task", "other"),
    [
        (np.arange(300) % 79, "classification", "regression"),
        (np.arange(300) % 150, "regression", "classification"),
        (np.arange(300) / 7, "regression", "classification"),
    ],
)
def test_why_numbers_are_classes_or_not_is_said(values: Any, task: str, other: str) -> None:
    text = report_table(inspect(rows_of(pa.table({"y": values, "x": values})), "y"), None)
    assert f"  {task}, since there are " in text
    assert f"else set task: {other}, or init --task {other}" in text


@pytest.mark.parametrize(("names", "asked", "label"), [
    (["a", "b"], "b", "b"), (["label", "b"], "b", "b"), (["a", "Target"], None, "Target"),
    (["y", "b"], None, "y"), (["x", "y"], None, "y"),
    (["a", "b"], None, None), (["y", "class"], None, None), (["x0", "x1", "x2"], None, None),
    (["x", "y", "z"], None, None), (["x", "y", "price"], None, None), (["Y", "z"], None, None),
    (["x", "y", "z", "class"], None, "class"),
])  # fmt: skip
def test_the_label_is_as_asked_for_or_its_name_leaves_no_doubt(
    names: list[str], asked: str | None, label: str | None
) -> None:
    table = pa.table({name: [1, 2] for name in names})
    report = inspect(rows_of(table), asked)
    assert (report.label, report.is_named) == (label, asked is None and label is not None)
    text = report_table(report, None)
    assert ("no label is named: name the column to predict with --label COLUMN" in text) == (
        label is None
    )
    assert ("(taken for its name; --label COLUMN takes another)" in text) == report.is_named
    assert (pipeline_of(report, "f.csv") is None) == (label is None)


@pytest.mark.parametrize(("columns", "candidates"), [
    ({"b": range(4), "kind": "abab"}, ("b", "kind")),
    ({"name": "abcd", "b": range(4)}, ("b", "name")),
    ({"PassengerId": range(4), "sex": "abab", "": range(4), "b": range(4)},
     ("sex", "b", "PassengerId", "")),
    ({"group_id": "aabb", "kind": "abab"}, ("group_id", "kind")),
    ({"one": [1] * 4, "none": [None] * 4, "b": range(4)}, ("b",)),
    ({"y": range(4), "b": range(4), "class": "abab"}, ("y", "b", "class")),
])  # fmt: skip
def test_the_label_is_one_of_the_columns_that_are_no_constants_identifiers_last(
    columns: dict[str, Any], candidates: tuple[str, ...]
) -> None:
    report = inspect(rows_of(pa.table({name: list(column) for name, column in columns.items()})))
    assert (report.label, report.candidates) == (None, candidates)


def test_the_letters_are_seen_as_they_are() -> None:
    report = inspect(open_rows(str(shared("letter/letter.csv"))), "letter")
    assert (len(report.classes), task_of(report)) == (26, "classification")


def test_an_unknown_label_is_answered_with_the_columns() -> None:
    with pytest.raises(DataError, match=r"f\.parquet: has no column 'c'; its columns are: a, b"):
        inspect(rows_of(pa.table({"a": [1], "b": [2]})), "c")


@pytest.mark.parametrize(("values", "task"), [
    (["a", "b"], "classification"), ([True, False], "classification"),
    ([1, 2, 3], "classification"), ([0.0, 1.0], "classification"),
    ([0.5, 1.5, 2.5], "regression"), (range(101), "regression"),
])  # fmt: skip
def test_the_task_follows_from_the_label(values: Any, task: str) -> None:
    assert task_of(inspect(rows_of(pa.table({"y": pa.array(list(values))})))) == task


def advised(report: Report, location: str = "f.csv") -> dict[str, Any]:
    pipeline = pipeline_of(report, location)
    assert pipeline is not None
    return pipeline


def kinds(table: pa.Table) -> dict[str, str]:
    rows = rows_of(table)
    return {decision.name: decision.kind for decision in decisions_of(rows, inspect(rows))}


def test_a_pipeline_needs_no_rules_and_says_what_is_done_to_each_column() -> None:
    table = small_table().append_column("n", pa.array([0.5, 1.5, 0.5, 2.5, 3.5]))
    table = table.set_column(0, "size", pa.array([1.5, None, float("nan"), 2.0, 4.5]))
    pipeline = advised(inspect(rows_of(table)))
    assert pipeline == {
        "task": "classification", "data": {"source": "table", "path": "f.csv", "label": "class"},
    }  # fmt: skip
    assert kinds(table) == {
        "size": "number", "rooms": "number", "town": "category", "built": "date", "sold": "date",
        "garden": "number", "price": "number", "tags": "left out", "empty": "left out",
        "note": "category", "n": "number",
    }  # fmt: skip


def test_an_infinite_number_is_shown_with_the_refusal_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("a,b,label\n" + "1.5,2,u\ninf,3,v\n" * 10)
    done = CliRunner().invoke(app, ["data", "inspect", str(path)])
    assert done.exit_code == 0, done.stderr
    assert "10 infinite" in done.stdout
    assert f"a run would be refused: {path}: row 1 (from 0, line 3), column 'a': inf" in done.stdout


@pytest.mark.parametrize("label", [[], ["--label", "price"]])
def test_decisions_are_printed_with_or_without_a_label(label: list[str], tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("town,size,price\n" + "a,1,1.5\nb,2,2.5\n,3,3.5\n" * 50)
    done = CliRunner().invoke(app, ["data", "inspect", str(path), *label, "--json"])
    assert done.exit_code == 0, done.stderr
    assert f"columns: {2 if label else 3} learned from, 0 left out" in done.stderr
    assert "category, one-hot: town" in done.stderr
    assert "missing values: town 50 (a category of its own)" in done.stderr
    assert ("in a pipeline:" in done.stderr) == bool(label)
    found = json.loads(done.stdout)
    assert [d["name"] for d in found["decisions"]] == ["town", "size", "price"][: 2 if label else 3]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_the_parts_of_a_folder_are_seen(ending: str, tmp_path: Path) -> None:
    pack = gzip.compress if ending else bytes
    for part, count in (("train", 6), ("t10k", 4)):
        for name, shape in (("images-idx3", (count, 5, 4)), ("labels-idx1", (count,))):
            content = idx_bytes(np.zeros(shape, np.uint8))
            (tmp_path / f"{part}-{name}-ubyte{ending}").write_bytes(pack(content))
    done = CliRunner().invoke(app, ["data", "inspect", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["rows"], result["test_rows"], result["label"]) == (6, 4, "label")
    assert result["pipeline"]["data"] == {"source": "idx", "folder": str(tmp_path)}
    assert "and an official test part of 4 rows" in done.stderr
    (tmp_path / f"train-images-idx3-ubyte{ending}").unlink()
    alone = CliRunner().invoke(app, ["data", "inspect", str(tmp_path)])
    assert f"such as {tmp_path / f't10k-images-idx3-ubyte{ending}'}" in alone.stderr


def test_images_without_labels_ask_for_no_pipeline(tmp_path: Path) -> None:
    Image.new("L", (5, 4)).save(tmp_path / "a.png")
    done = CliRunner().invoke(app, ["data", "inspect", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    assert "images of 4x5x1" in done.stdout
    assert "nothing to train on" in done.stdout
    assert "in a pipeline" not in done.stdout


@pytest.mark.parametrize(("location", "data"), [
    ("m/train-images-idx3-ubyte.gz", {"source": "idx", "folder": "m"}),
    ("a.npz", {"source": "table", "path": "a.npz", "label": "label"}),
    (".", {"source": "image_folder", "folder": "."}),
])  # fmt: skip
def test_images_are_described_by_their_size(location: str, data: dict[str, str]) -> None:
    pixels = np.arange(6 * 28 * 20 * 3, dtype=np.uint8).reshape(6, 28, 20, 3)
    images = pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)
    report = inspect(rows_of(pa.table({"image": images, "label": ["a", "b", "a"] * 2})))
    assert report.image_shape == (28, 20, 3)
    assert (report.column("image").lowest, report.column("image").highest) == (0, 255)
    assert report.classes == (("a", 4), ("b", 2))
    assert "images of 28x20x3 (height, width, channels)" in report_table(report, 10_000)
    assert advised(report, location)["data"] == data


def test_adult_is_seen_as_it_is() -> None:
    path = shared("adult/train.csv.gz")
    options = csv.ConvertOptions(null_values=["?"], strings_can_be_null=True)
    report = inspect(rows_of(csv.read_csv(path, convert_options=options)), "income")
    assert report.rows == 32_561
    assert report.classes == (("<=50K", 24_720), (">50K", 7_841))
    assert {c.name: c.missing for c in report.columns if c.missing} == {
        "workclass": 1836, "occupation": 1843, "native_country": 583,
    }  # fmt: skip


def test_a_question_mark_is_pointed_out() -> None:
    table = pa.table({"a": ["?", "x", "x"], "b": ["x", "x", "y"], "label": ["n", "n", None]})
    text = report_table(inspect(rows_of(table)), None)
    assert "'?' stands in a: where it means that a value is missing" in text
    assert "label 'label': 1 classes" in text
    assert "\n  n  2\n  1 rows have none" in text


# The commands


def test_inspect_prints_a_table_and_yaml_on_stdout_or_json_in_their_place(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("town,size,price\n" + "a,1,1.5\nb,2,2.5\n,3,3.5\n" * 50)
    command = ["data", "inspect", str(path), "--label", "price"]
    done, as_json = (CliRunner().invoke(app, [*command, *more]) for more in ([], ["--json"]))
    assert (done.exit_code, as_json.exit_code, done.stderr) == (0, 0, "")
    result = json.loads(as_json.stdout)
    assert (result["rows"], result["label"], result["bytes"]) == (150, "price", path.stat().st_size)
    assert as_json.stderr == done.stdout
    shown = done.stdout.split("in a pipeline:")[1].split("saved as")[0]
    assert yaml.safe_load(shown) == result["pipeline"]
    assert result["pipeline"]["task"] == "regression"
    assert "ensemble-pipe run my.yaml" in done.stdout


def test_a_mistake_ends_with_status_2(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("a,b\n1,2\n")
    done = CliRunner().invoke(app, ["data", "inspect", str(path), "--label", "c"])
    assert done.exit_code == 2
    assert "has no column 'c'" in done.stderr
    assert CliRunner().invoke(app, ["data", "fetch", "cifar100"]).exit_code == 2


def test_list_names_every_set(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "list", "--folder", str(tmp_path)])
    assert done.exit_code == 0
    for text in ("fashion_mnist", "60,000 + 10,000", "170.1 MB", "CC BY 4.0", "breast_cancer"):
        assert text in done.stdout


@pytest.mark.parametrize(("size", "text"), [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (170_052_171, "170.1 MB"),
    (2 * 10**13, "20000.0 GB"),
])  # fmt: skip
def test_sizes_are_shown_as_people_read_them(size: int, text: str) -> None:
    assert size_text(size) == text


def test_what_is_bundled_needs_no_fetching() -> None:
    done = CliRunner().invoke(app, ["data", "fetch", "iris"])
    assert done.exit_code == 0
    assert "set: iris" in done.stdout


@pytest.mark.parametrize("verb", ["list", "fetch", "inspect"])
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    done = CliRunner().invoke(app, ["data", verb, "--help"])
    assert done.exit_code == 0
    assert f"Example: ensemble-pipe data {verb}" in done.output


def test_labels_of_a_text_file_are_shown_as_a_run_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "1,01\n2,1\n3, 2\n" * 20)
    report = inspect(open_rows(str(path)))
    assert report.classes == (("01", 20), ("1", 20), ("2", 20))
    assert report.column("y").kind == "category"
    assert task_of(report) == "classification"
    path.write_text("x,y\n" + "1,1\n2,2\n3, 2\n" * 20)
    assert inspect(open_rows(str(path))).column("y").type == "int64"
