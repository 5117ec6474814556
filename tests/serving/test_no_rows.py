"""Rows without number: an empty file or table has an empty prediction, and cannot be measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.data_warning import DataWarning
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.evaluation.labelled import evaluate
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving.files import open_for, predict_file
from ensemble_pipe.serving.model import Ensemble


def table(rows: int = 200) -> pa.Table:
    random = np.random.default_rng(0)
    x, kind = random.normal(size=rows), random.choice(["u", "v"], rows)
    label = np.where(x > 0, "yes", "no")
    return pa.table({"x": x, "kind": kind, "label": label, "pay": 2 * x + random.normal(size=rows)})


@pytest.fixture(scope="module", params=["label", "pay"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    folder = tmp_path_factory.mktemp("no_rows")
    other = {"label": "pay", "pay": "label"}[request.param]
    parquet.write_table(table(), folder / "t.parquet")
    data = {
        "source": "table", "path": str(folder / "t.parquet"), "label": request.param,
        "ignore": [other], "columns": {"kind": {"kind": "category"}},
    }  # fmt: skip
    config = {
        "task": "classification" if request.param == "label" else "regression",
        "data": data, "network": {"hidden": [4]}, "training": {"epochs": 1},
        "ensemble": {"learners": 2, "combine": {"coverage": 0.8}}, "tracking": {"mlflow": False},
    }  # fmt: skip
    return ensemble_pipe.load(
        run(Pipeline.model_validate(config), output=folder, inline=True).run_dir
    )


IN_MEMORY = {
    "table": table()[:0],
    "table without chunks": table().schema.empty_table(),
    "record batch": table().to_batches()[0][:0],
    "frame": table().to_pandas()[:0],
    "new frame": pd.DataFrame({"x": [], "kind": []}),
    "dict": {"x": [], "kind": []},
    "array": np.zeros((0, 2)),
    "array of objects": np.zeros((0, 2), object),
    "nulls": pa.table({"x": pa.nulls(0), "kind": pa.nulls(0)}),
}


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_no_rows_in_memory_have_no_predictions(model: Ensemble, kind: str) -> None:
    inputs: Any = IN_MEMORY[kind]
    some = table()[:3]
    assert model.table(inputs).schema == model.table(some).schema
    if model.schema.task == "classification":
        answers = ["predict", "predict_proba", "predict_members", "predict_sets"]
    else:
        answers = ["predict", "predict_members", "predict_intervals"]
    for answer in answers:
        found, expected = getattr(model, answer)(inputs), getattr(model, answer)(some)
        axis = 1 if answer == "predict_members" else 0
        assert found.dtype == expected.dtype
        assert found.shape == tuple(np.delete(expected, np.s_[:], axis=axis).shape)
    assert {len(values) for values in model.uncertainty(inputs).values()} == {0}


def write(path: Path) -> None:
    rows = table()[:0]
    if path.suffix == ".csv":
        path.write_text(path.stem.replace("_", ",").replace("!", "\n"))
    elif path.suffix == ".parquet":
        parquet.write_table(rows, path)
    elif path.suffix == ".arrow":
        feather.write_feather(rows, str(path))
    else:
        x, kind, label, pay = (np.zeros(0) for _ in rows.column_names)
        np.savez(path, x=x, kind=kind, label=label, pay=pay)


FILES = ["kind_x_pay_label.csv", "kind_x_pay_label!!.csv", "t.parquet", "t.arrow", "t.npz"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow"])
def test_a_file_without_rows_gives_a_file_without_rows(
    model: Ensemble, name: str, ending: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    output = tmp_path / f"out.{ending}"
    rows = open_for(model, str(tmp_path / name))
    with pytest.warns(DataWarning, match="has no rows$"):
        assert predict_file(model, rows, output) == 0
    expected = model.table(table()[:3])
    expected = expected.add_column(0, "row", pa.array(range(3)))
    if ending == "csv":
        header = output.read_text()
        assert header == ",".join(f'"{column}"' for column in expected.column_names) + "\n"
    else:
        read = parquet.read_table if ending == "parquet" else feather.read_table
        assert read(str(output)).schema == expected.schema


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_measured_on_no_rows(model: Ensemble, name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    empty = open_for(model, str(tmp_path / name))
    with pytest.raises(DataError, match="has no rows, so nothing can be measured"):
        evaluate(model, empty)
    parquet.write_table(table(), tmp_path / "full.parquet")
    with pytest.raises(DataError, match="has no rows, so nothing can be measured"):
        evaluate(model, open_for(model, str(tmp_path / "full.parquet")), empty)


def test_a_served_model_answers_no_rows_and_json_alike(model: Ensemble) -> None:
    from ensemble_pipe.serving.pyfunc import EnsembleModel

    served: Any = EnsembleModel()
    served.ensemble = model
    assert len(served.predict(SimpleNamespace(), IN_MEMORY["frame"])) == 0
    as_json = pd.DataFrame({"x": ["0.5", 1], "kind": ["u", "v"]}, dtype=object)
    found = served.predict(SimpleNamespace(), as_json)
    assert found.equals(model.table({"x": [0.5, 1.0], "kind": ["u", "v"]}).to_pandas())


def test_columns_may_be_named_by_numbers(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(100, 3))
    frame = pd.DataFrame(values)
    named = frame.assign(y=values[:, 0] > 0)
    named.columns = named.columns.astype(str)
    named.to_csv(tmp_path / "t.csv", index=False)
    config = {
        "task": "classification", "network": {"hidden": [4]}, "training": {"epochs": 1},
        "data": {"source": "table", "path": str(tmp_path / "t.csv"), "label": "y"},
        "ensemble": {"learners": 1}, "tracking": {"mlflow": False},
    }  # fmt: skip
    result = run(Pipeline.model_validate(config), output=tmp_path, inline=True)
    model = ensemble_pipe.load(result.run_dir)
    expected = model.predict_proba(values)
    assert np.array_equal(model.predict_proba(frame), expected)
    assert np.array_equal(model.predict_proba(frame[[2, 0, 1]]), expected)
    assert np.array_equal(model.predict_proba(dict(enumerate(values.T))), expected)
    with pytest.raises(DataError, match="column '1' is there more than once"):
        model.predict_proba(pd.concat([frame, frame[[1]].set_axis(["1"], axis=1)], axis=1))
