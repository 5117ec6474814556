"""Prediction from a file to a file, block by block: the same numbers as from memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import csv, feather, parquet

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources.rows import BLOCK_ROWS
from ensemble_pipe.evaluation.labelled import evaluate
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving.files import predict_file, require_output
from ensemble_pipe.serving.inputs import open_input
from ensemble_pipe.serving.model import Ensemble

ROWS = 10_000
JOBS = ["farmer", "?", "clerk", "teacher"]
READERS = {".csv": csv.read_csv, ".parquet": parquet.read_table, ".arrow": feather.read_table}


def frame(rows: int) -> pd.DataFrame:
    """Rows of numbers and categories, of which "?" stands for a missing value."""
    random = np.random.default_rng(rows)
    jobs = random.integers(0, len(JOBS), rows)
    ages = random.integers(18, 90, rows)
    odds = ages / 20 + np.array([0.0, 1.0, -3.0, 3.0])[jobs] + random.normal(size=rows)
    texts = ages.astype(str).astype(object)
    texts[random.random(rows) < 0.1] = "?"
    table = {"pay": random.normal(10, 4, rows), "age": texts, "job": np.array(JOBS)[jobs]}
    return pd.DataFrame({**table, "rich": np.where(odds > 3, "yes", "no")})


def trained(folder: Path, task: str, **settings: object) -> Ensemble:
    label = "rich" if task == "classification" else "pay"
    ignored = [] if task == "classification" else ["rich"]
    frame(1500).to_csv(folder / "train.csv", index=False)
    columns = {
        "age": {"missing": "median", "indicator": True},
        "job": {"kind": "category", "missing": "category"},
    }
    data = {"source": "table", "path": str(folder / "train.csv"), "label": label}
    config = {
        "task": task,
        "data": {**data, "columns": columns, "missing_values": ["?"], "ignore": ignored},
        "network": {"hidden": [8]},
        "training": {"epochs": 2},
        "ensemble": {"learners": 2},
        "tracking": {"mlflow": False},
        **settings,
    }
    result = run(Pipeline.model_validate(config), output=folder, inline=True)
    return ensemble_pipe.load(result.run_dir)


DRAWN = {"policy": [{"name": "feature_noise"}], "test_draws": 2}


@pytest.fixture(
    scope="module",
    params=[("classification", {}), ("regression", {}), ("classification", {"augment": DRAWN})],
    ids=["classes", "numbers", "augmented draws"],
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    task, settings = request.param
    return trained(tmp_path_factory.mktemp("trained"), task, **settings)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More rows than two blocks hold, in a folder with the same rows as files of each format."""
    folder = tmp_path_factory.mktemp("rows")
    whole = frame(ROWS)
    assert len(whole) > 2 * BLOCK_ROWS
    whole.to_csv(folder / "rows.csv", index=False)
    numbers = whole.assign(age=pd.to_numeric(whole.age, errors="coerce"), job=named(whole.job))
    table = pa.Table.from_pandas(numbers, preserve_index=False)
    parquet.write_table(table, folder / "rows.parquet", row_group_size=777)
    feather.write_feather(table, folder / "rows.arrow", chunksize=3001, compression="uncompressed")
    return folder


def named(jobs: pd.Series) -> pd.Series:
    return jobs.where(jobs != "?", None)


def in_memory(model: Ensemble, rows: Path) -> pa.Table:
    return model.table(parquet.read_table(rows / "rows.parquet"))


def written(model: Ensemble, source: Path, output: Path) -> tuple[int, pa.Table]:
    """Return the number of predictions, and the table that is written."""
    count = predict_file(model, open_input(str(source), model.schema), output)
    return count, READERS[output.suffix](str(output))


def predicted(model: Ensemble, source: Path, output: Path) -> pa.Table:
    """Return what is written for a file of rows, without their numbers."""
    count, table = written(model, source, output)
    assert table.column("row").to_pylist() == list(range(count))
    return table.drop_columns("row")


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".arrow"])
def test_a_file_in_blocks_is_predicted_as_in_memory_bit_for_bit(
    model: Ensemble, rows: Path, tmp_path: Path, ending: str
) -> None:
    expected = in_memory(model, rows)
    found = predicted(model, rows / "rows.parquet", tmp_path / f"out{ending}")
    assert found.num_rows == ROWS
    assert found.column_names == expected.column_names
    for name in expected.column_names:
        # CSV too: a double is written with all the digits that it takes to read it back.
        assert found.column(name).to_pylist() == expected.column(name).to_pylist()


@pytest.mark.parametrize("ending", [".csv", ".arrow"])
def test_the_format_of_the_input_changes_no_bit(
    model: Ensemble, rows: Path, tmp_path: Path, ending: str
) -> None:
    found = predicted(model, rows / f"rows{ending}", tmp_path / "out.arrow")
    assert found.equals(predicted(model, rows / "rows.parquet", tmp_path / "too.arrow"))


def test_a_text_that_means_missing_in_training_means_it_in_prediction(tmp_path: Path) -> None:
    model = trained(tmp_path, "classification")
    assert model.schema.missing_values == ("?",)
    marked = tmp_path / "marked.csv"
    marked.write_text("pay,age,job\n10,?,clerk\n10,40,?\n9,?,?\n")
    empty = tmp_path / "empty.csv"
    empty.write_text("pay,age,job\n10,,clerk\n10,40,\n9,,\n")
    found = predicted(model, marked, tmp_path / "a.arrow")
    assert found.equals(predicted(model, empty, tmp_path / "b.arrow"))
    unknown = pa.table({"pay": [10.0], "age": [40.0], "job": ["pilot"]})
    assert not model.table(unknown).equals(found.slice(1, 1))  # missing is a category of its own


def test_a_set_of_classes_reads_in_one_way(tmp_path: Path) -> None:
    names = ["a", "b", "a | b"]
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"x": random.normal(size=400), "y": random.choice(names, 400)})
    rows.to_csv(tmp_path / "t.csv", index=False)
    data = {"source": "table", "path": str(tmp_path / "t.csv"), "label": "y"}
    combine = {"ensemble": {"learners": 2, "combine": {"coverage": 0.7}}}
    model = trained(tmp_path, "classification", data=data, **combine)
    found = model.table(rows).to_pandas()
    shown = {"a": "a", "b": "b", "a | b": '"a | b"'}
    sets = model.predict_sets(rows)
    assert found["set"].tolist() == [
        " | ".join(shown[str(name)] for name in np.array(model.schema.classes)[chosen])
        for chosen in sets
    ]
    assert found["set"].nunique() == len(np.unique(sets, axis=0)) > 1


def test_another_text_is_no_missing_value(tmp_path: Path) -> None:
    model = trained(tmp_path, "classification")
    path = tmp_path / "rows.csv"
    path.write_text("pay,age,job\n10,40,clerk\n10,none,clerk\n")
    with pytest.raises(DataError, match=r"row 1 \(from 0, line 3\), column 'age': 'none' is not a"):
        predicted(model, path, tmp_path / "out.csv")


def test_a_wrong_value_in_a_later_block_leaves_no_file(model: Ensemble, tmp_path: Path) -> None:
    whole = frame(ROWS)
    whole["pay"] = np.where(np.arange(ROWS) == 8999, np.inf, whole.pay)
    whole["age"] = np.where(np.arange(ROWS) == 8999, "1e400", whole.age)
    source, output = tmp_path / "rows.csv", tmp_path / "out.parquet"
    whole.to_csv(source, index=False)
    with pytest.raises(DataError, match=r"rows\.csv: row 8999 \(from 0, line 9001\), column '\w+'"):
        predicted(model, source, output)
    assert list(tmp_path.iterdir()) == [source]


def test_labelled_rows_are_measured_over_all_blocks(model: Ensemble, rows: Path) -> None:
    found = evaluate(model, open_input(str(rows / "rows.parquet"), model.schema)).metrics
    table = parquet.read_table(rows / "rows.parquet")
    expected = table.column(model.schema.target_names[0]).to_numpy()
    if model.schema.task == "classification":
        assert found["accuracy"] == np.mean(model.predict(table) == expected)
    else:
        errors = model.predict(table) - expected
        assert found["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))


def test_images_are_predicted_beside_the_names_of_their_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 6, 6)).astype(np.uint8)
    for index, image in enumerate(pixels):
        folder = tmp_path / "images" / f"kind {index % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index:03}.png")
    data = {"source": "image_folder", "folder": str(tmp_path / "images")}
    model = trained(tmp_path, "classification", data=data)
    _, whole = written(model, tmp_path / "images", tmp_path / "whole.arrow")
    assert whole.column_names[:2] == ["file", "prediction"]
    assert whole.column("file").to_pylist() == [
        f"kind {index % 2}/{index:03}.png" for index in (*range(0, 60, 2), *range(1, 60, 2))
    ]
    _, flat = written(model, tmp_path / "images" / "kind 1", tmp_path / "flat.csv")
    assert flat.column("file").to_pylist() == [f"{index:03}.png" for index in range(1, 60, 2)]
    _, one = written(model, tmp_path / "images" / "kind 1" / "007.png", tmp_path / "one.arrow")
    assert one.column("file").to_pylist() == ["007.png"]
    assert one.drop_columns("file").equals(whole.slice(33, 1).drop_columns("file"))
    with pytest.raises(DataError, match="its images have no labels; put those of each class"):
        evaluate(model, open_input(str(tmp_path / "images" / "kind 1"), model.schema))


def test_predictions_never_take_the_place_of_their_input(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("x\n1\n")
    for source in (path, tmp_path):
        with pytest.raises(DataError, match=r"rows\.csv: is what is to be predicted"):
            require_output(path, str(source))
    require_output(tmp_path / "new.csv", str(path))
