"""The columns of a file of predictions: what names a row, and one measure of uncertainty or all."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet
from typer.testing import CliRunner

import ensemble_pipe
from ensemble_pipe.cli import app
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving.column_texts import ALL, ONE
from ensemble_pipe.serving.model import Ensemble

ROWS, CLASSES = 600, ["high", "low"]
CLASS_MEASURES = [
    "entropy", "expected_entropy", "mutual_information", "disagreement", "variation_ratio",
    "margin", "energy", "max_logit",
]  # fmt: skip
NUMBER_MEASURES = ["std", "aleatoric", "epistemic"]


def people(rows: int = ROWS) -> pd.DataFrame:
    """Rows with an identifier that begins with zeros, a number, and two things to predict."""
    random = np.random.default_rng(rows)
    x = random.normal(size=rows)
    pay = 3 * x + random.normal(size=rows)
    return pd.DataFrame(
        {
            "id": [f"{row:05d}" for row in range(rows)],
            "x": x,
            "z": random.normal(size=rows),
            "pay": pay,
            "level": np.where(pay > 0, *CLASSES),
        }
    )


def trained(folder: Path, task: str, **combine: object) -> tuple[Ensemble, str]:
    people().to_csv(folder / "people.csv", index=False)
    label, other = ("level", "pay") if task == "classification" else ("pay", "level")
    result = run(
        Pipeline.model_validate({
            "task": task,
            "data": {
                "source": "table", "path": str(folder / "people.csv"), "label": label,
                "ignore": ["id", other],
            },
            "network": {"hidden": [8]},
            "training": {"epochs": 8},
            "ensemble": {"learners": 2, "combine": combine},
            "tracking": {"mlflow": False},
        }),
        output=folder,
        inline=True,
    )  # fmt: skip
    return ensemble_pipe.load(result.run_dir), result.run_dir


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ensemble, str]:
    return trained(tmp_path_factory.mktemp("classes"), "classification")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ensemble, str]:
    return trained(tmp_path_factory.mktemp("numbers"), "regression")


def read(path: Path) -> pa.Table:
    readers = {".csv": csv.read_csv, ".parquet": parquet.read_table, ".arrow": feather.read_table}
    table: pa.Table = readers[path.suffix](str(path))
    return table


def predict(run_dir: str, source: Path, output: Path, *options: str) -> pa.Table:
    arguments = ["predict", run_dir, str(source), "--output", str(output), *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return read(output)


@contextmanager
def refused(run_dir: str, source: Path, output: Path, *options: str) -> Iterator[str]:
    arguments = ["predict", run_dir, str(source), "--output", str(output), *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert not output.exists()
    yield done.output


@pytest.fixture
def source(tmp_path: Path) -> Path:
    people(300).to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv"


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".arrow"])
def test_a_file_has_the_number_of_each_row_and_one_measure_of_uncertainty(
    classes: tuple[Ensemble, str], numbers: tuple[Ensemble, str], source: Path, ending: str
) -> None:
    output = source.with_name(f"out{ending}")
    found = predict(classes[1], source, output)
    probabilities = [f"probability_{name}" for name in CLASSES]
    assert found.column_names == ["row", "prediction", *probabilities, "entropy"]
    assert found.column("row").to_pylist() == list(range(300))
    found = predict(numbers[1], source, output)
    assert found.column_names == ["row", "prediction", "mean", "low_90", "high_90", "std"]


def test_with_all_there_is_every_measure_and_the_others_are_the_same(
    classes: tuple[Ensemble, str], numbers: tuple[Ensemble, str], source: Path
) -> None:
    for (_, run_dir), measures in ((classes, CLASS_MEASURES), (numbers, NUMBER_MEASURES)):
        few = predict(run_dir, source, source.with_name("few.arrow"))
        every = predict(run_dir, source, source.with_name("all.arrow"), "--uncertainty", "all")
        assert every.column_names == [*few.column_names, *measures[1:]]
        assert every.select(few.column_names).equals(few)


def test_kept_columns_stand_first_as_they_are_written(
    classes: tuple[Ensemble, str], source: Path
) -> None:
    given = pd.read_csv(source, dtype=str)
    output = source.with_name("out.csv")
    options = ("--keep", "id", "--keep", "x", "--keep", "id")
    found = predict(classes[1], source, output, *options)
    assert found.column_names[:3] == ["id", "x", "prediction"]
    assert pd.read_csv(output, dtype=str)[["id", "x"]].equals(given[["id", "x"]])


TEXTS = {
    "count": (["1", "-20", "", "30"], [1, -20, None, 30]),
    "code": (["7", "007", "12", "3"], ["7", "007", "12", "3"]),
    "phone": (["+491", "492", "3", "4"], ["+491", "492", "3", "4"]),
    "share": (["0.5", "1e3", "NA", "-0.25"], [0.5, 1000.0, None, -0.25]),
    "truth": (["true", "False", "", "true"], [True, False, None, True]),
    "day": (["2024-05-31", "", "1999-12-01", "2000-01-01"],
            [date(2024, 5, 31), None, date(1999, 12, 1), date(2000, 1, 1)]),
    "no_day": (["2024-05-31", "2024-02-31", "1999-12-01", "2000-01-01"],
               ["2024-05-31", "2024-02-31", "1999-12-01", "2000-01-01"]),
    "moment": (["2024-05-31 08:30:00", "2024-05-31T08:30", "", "2024-05-31 08:30:00.5"],
               [datetime(2024, 5, 31, 8, 30), datetime(2024, 5, 31, 8, 30), None,
                datetime(2024, 5, 31, 8, 30, 0, 500_000)]),
    "empty": ([""] * 4, [""] * 4),
    "name": (["a", " b", "", "NA"], ["a", " b", "", "NA"]),
}  # fmt: skip


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".csv"])
def test_kept_numbers_and_dates_have_types_where_the_file_has_any(
    classes: tuple[Ensemble, str], tmp_path: Path, ending: str
) -> None:
    texts = {name: written for name, (written, _) in TEXTS.items()}
    pd.DataFrame({"x": [0.5] * 4, "z": [0.1] * 4} | texts).to_csv(tmp_path / "a.csv", index=False)
    options = [part for name in TEXTS for part in ("--keep", name)]
    output = tmp_path / f"out{ending}"
    found = predict(classes[1], tmp_path / "a.csv", output, *options)
    if ending == ".csv":
        kept = pd.read_csv(output, dtype=str, keep_default_na=False)
        assert {name: kept[name].tolist() for name in TEXTS} == texts
    else:
        values = {name: found.column(name).to_pylist() for name in TEXTS}
        assert values == {name: read for name, (_, read) in TEXTS.items()}


def test_kept_columns_change_no_prediction(classes: tuple[Ensemble, str], source: Path) -> None:
    without = predict(classes[1], source, source.with_name("a.arrow")).drop_columns("row")
    kept = predict(classes[1], source, source.with_name("b.arrow"), "--keep", "id", "--keep", "x")
    assert kept.drop_columns(["id", "x"]).equals(without)


def test_kept_columns_follow_their_rows_over_many_blocks(
    classes: tuple[Ensemble, str], tmp_path: Path
) -> None:
    rows = people(40_000)
    table = pa.Table.from_pandas(rows, preserve_index=False)
    coded = table.set_column(0, "id", table.column("id").dictionary_encode())
    parquet.write_table(coded, tmp_path / "new.parquet", row_group_size=777)
    for ending in (".csv", ".parquet", ".arrow"):
        output = tmp_path / f"out{ending}"
        found = predict(classes[1], tmp_path / "new.parquet", output, "--keep", "id", "--keep", "x")
        if ending != ".csv":
            assert found.column("id").to_pylist() == rows.id.tolist()
        assert found.column("x").to_pylist() == rows.x.tolist()


def test_a_column_that_cannot_be_kept_is_refused_by_its_name(
    classes: tuple[Ensemble, str], source: Path, tmp_path: Path
) -> None:
    output = source.with_name("out.csv")
    with refused(classes[1], source, output, "--keep", "Id") as text:
        assert "--keep 'Id'" in text
        assert "did you mean 'id'? it has: id, x, z, pay, level" in text
    people(20).rename(columns={"id": "entropy"}).to_csv(source, index=False)
    with refused(classes[1], source, output, "--keep", "entropy") as text:
        assert "--keep entropy: the predictions have a column of this name" in text
    lists = pa.table({"x": [0.5], "z": [0.5], "many": [[1, 2]]})
    parquet.write_table(lists, tmp_path / "lists.parquet")
    with refused(classes[1], tmp_path / "lists.parquet", output, "--keep", "many") as text:
        assert "no such column of numbers, text or dates" in text


NOT_WRITTEN = {
    "bytes": pa.array([b"\xff"]),
    "views": pa.array([b"a"], pa.binary_view()),
    "fixed": pa.array([b"ab"], pa.binary(2)),
    "spans": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "coded": pa.array([b"\xff"]).dictionary_encode(),
    "many": pa.array([[1, 2]]),
}


@pytest.mark.parametrize("name", NOT_WRITTEN)
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".arrow"])
def test_bytes_and_other_values_that_not_every_file_holds_are_refused(
    classes: tuple[Ensemble, str], tmp_path: Path, name: str, ending: str
) -> None:
    rows = pa.table({"x": [0.5], "z": [0.5], name: NOT_WRITTEN[name]})
    feather.write_feather(rows, tmp_path / "new.arrow", compression="uncompressed")
    output = tmp_path / f"out{ending}"
    with refused(classes[1], tmp_path / "new.arrow", output, "--keep", name) as text:
        assert f"--keep '{name}'" in text
        assert "no such column of numbers, text or dates; it has: x, z" in text


def test_values_of_every_other_kind_are_kept_in_every_file(
    classes: tuple[Ensemble, str], tmp_path: Path
) -> None:
    day = datetime(2020, 1, 2, tzinfo=UTC)
    kept = {
        "decimal": pa.array([Decimal("1.20"), None]),
        "time": pa.array([day, None], pa.timestamp("us", "Europe/Berlin")),
        "date": pa.array([day.date(), None]),
        "truth": pa.array([True, None]),
        "none": pa.nulls(2),
        "large": pa.array(["a", None], pa.large_string()),
        "view": pa.array(["a", None], pa.string_view()),
        "half": pa.array([1.5, None], pa.float16()),
        "comma": pa.array(['a, "b"\nc', None]),
    }
    rows = pa.table({"x": [0.5, 0.1], "z": [0.5, 0.2], **kept})
    feather.write_feather(rows, tmp_path / "new.arrow", compression="uncompressed")
    options = [part for name in kept for part in ("--keep", name)]
    for ending in (".csv", ".parquet", ".arrow"):
        output = tmp_path / f"out{ending}"
        found = predict(classes[1], tmp_path / "new.arrow", output, *options)
        assert found.column_names[: len(kept)] == list(kept)
        if ending == ".csv":
            assert 'a, ""b""\nc' in output.read_text()
        else:
            assert found.column("comma").to_pylist() == kept["comma"].to_pylist()
            assert found.column("time").to_pylist() == kept["time"].to_pylist()


def test_a_file_without_rows_keeps_its_columns(classes: tuple[Ensemble, str], source: Path) -> None:
    people(5)[:0].to_csv(source, index=False)
    found = predict(classes[1], source, source.with_name("out.parquet"), "--keep", "id")
    assert found.num_rows == 0
    assert found.schema.field("id").type == pa.string()


def test_in_memory_the_columns_are_the_same_but_for_what_names_a_row(
    numbers: tuple[Ensemble, str], source: Path
) -> None:
    model, run_dir = numbers
    for uncertainty in ("one", "all"):
        output = source.with_name("out.arrow")
        found = predict(run_dir, source, output, "--uncertainty", uncertainty)
        in_memory = model.table(people(300)[["x", "z"]], uncertainty=uncertainty)
        assert in_memory.equals(found.drop_columns("row"))
    with pytest.raises(InputError, match="must be 'one' or 'all', got 'most'"):
        model.table(people(3)[["x", "z"]], uncertainty="most")  # type: ignore[arg-type]


def test_the_predictions_of_a_run_have_the_same_columns(
    classes: tuple[Ensemble, str], numbers: tuple[Ensemble, str]
) -> None:
    for model, run_dir in (classes, numbers):
        path = RunPaths(Path(run_dir)).predictions("test")
        with pa.memory_map(str(path)) as stream:
            names = pa.ipc.open_file(stream).schema.names
        own = model.table(people(3)[["x", "z"]]).column_names
        assert names == ["row", "target", *own, "outputs"]


def test_nine_of_ten_truths_lie_between_the_ends(tmp_path: Path) -> None:
    model, _ = trained(tmp_path, "regression", temperature=True)
    rows = people(4000)
    found = model.table(rows[["x", "z"]]).to_pandas()
    covered = (rows.pay >= found.low_90) & (rows.pay <= found.high_90)
    assert covered.mean() == pytest.approx(0.9, abs=0.05)
    assert (found.low_90 < found["mean"]).all()
    assert (found.high_90 > found["mean"]).all()


def test_the_ends_are_conformal_where_that_coverage_was_asked_for(tmp_path: Path) -> None:
    model, _ = trained(tmp_path, "regression", coverage=0.9)
    rows = people(50)[["x", "z"]]
    found = model.table(rows).to_pandas()
    assert list(found) == ["prediction", "mean", "low_90", "high_90", "std", "low", "high"]
    assert found.low_90.equals(found.low.rename("low_90"))
    assert found.high_90.equals(found.high.rename("high_90"))
    assert np.array_equal(found[["low_90", "high_90"]], model.predict_intervals(rows, coverage=0.9))


def test_sets_stay_where_a_coverage_was_asked_for(tmp_path: Path) -> None:
    model, _ = trained(tmp_path, "classification", coverage=0.8)
    names = model.table(people(5)[["x", "z"]]).column_names
    assert names[-3:] == ["entropy", "set", "set_size"]


def test_help_and_docs_explain_every_column(
    classes: tuple[Ensemble, str], numbers: tuple[Ensemble, str]
) -> None:
    explained = {name for names in (*ONE, *ALL) for name in names.split(", ")}
    for model in (classes[0], numbers[0]):
        names = model.table(people(3)[["x", "z"]], uncertainty="all").column_names
        written = {re.sub("^probability_.*", "probability_<class>", name) for name in names}
        assert written <= explained
    shown = CliRunner().invoke(app, ["predict", "--help"]).output
    page = (Path(__file__).parents[2] / "docs/serving.md").read_text()
    for name in explained:
        assert name in shown
        assert f"`{name}`" in page
