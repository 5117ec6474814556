"""A data frame is fitted and predicted as it comes, to the bits of the same data in a file."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from estimator_data import QUICK
from mlflow.pyfunc import scoring_server
from pyarrow import csv
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier, EnsembleRegressor
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.serving import mlflow_logging
from ensemble_pipe.serving.files import outputs_of
from ensemble_pipe.serving.inputs import open_input
from ensemble_pipe.serving.model import Ensemble

RANDOM = np.random.default_rng(5)
ROWS = 240


def people() -> pd.DataFrame:
    """Return rows with all that a table may hold, and an index of their own."""
    age = RANDOM.integers(18, 80, ROWS)
    city = RANDOM.choice(["Graz", "Linz", "Wien, 1. Bezirk", 'a "b"'], ROWS).astype(object)
    lacking = RANDOM.random(ROWS)
    frame = pd.DataFrame({
        "age": pd.array([None if own % 7 == 0 else own for own in age], "Int64"),
        "fare": np.where(RANDOM.random(ROWS) < 0.2, np.nan, RANDOM.gamma(2.0, 20.0, ROWS)),
        "city": [None if share < 0.1 else own for share, own in zip(lacking, city, strict=True)],
        "size": pd.Categorical(RANDOM.choice(["S", "M", "L"], ROWS), ["S", "M", "L"], ordered=True),
        "rooms": RANDOM.integers(1, 5, ROWS).astype(np.int8),
        "owner": pd.array(RANDOM.choice(np.array([True, False, None]), ROWS), "boolean"),
        "seen": pd.Timestamp("2024-02-28") + pd.to_timedelta(RANDOM.integers(0, 900, ROWS), "D"),
        "price": [Decimal(int(cents)) / 100 for cents in RANDOM.integers(100, 9_999, ROWS)],
        "name": [f"person number {number}" for number in RANDOM.permutation(ROWS)],
        "empty": [None] * ROWS,
    }, index=RANDOM.permutation(ROWS) * 10)  # fmt: skip
    frame.loc[frame.index[::9], "seen"] = pd.NaT
    return frame


FRAME = people()
LABELS = pd.Series(
    np.where(FRAME["fare"].fillna(30) + 10 * (FRAME["city"] == "Graz") > 35, "yes", "no"),
    index=FRAME.index, name="bought",
)  # fmt: skip
NUMBERS = pd.Series(FRAME["fare"].fillna(20).to_numpy() + 5, index=FRAME.index, name="bill")
TABLE = pa.Table.from_pandas(FRAME, preserve_index=False)
UNSEEN = FRAME.tail(40).assign(city="Bregenz", size="XL")  # categories that fit has not seen


def typed(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name)


CONTAINERS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "columns in another order": lambda frame: frame[frame.columns[::-1]],
    "polars": lambda frame: pl.from_arrow(as_arrow(frame)),
    "Arrow table": lambda frame: as_arrow(frame),
    "Arrow batch": lambda frame: as_arrow(frame).combine_chunks().to_batches()[0],
    "Arrow types": lambda frame: as_arrow(frame).to_pandas(types_mapper=pd.ArrowDtype),
    "objects": lambda frame: frame.astype(object),
    "categories": lambda frame: frame.assign(city=frame["city"].astype("category")),
    "text types": lambda frame: frame.astype({"city": "string", "size": "string[pyarrow]"}),
    "array of objects": lambda frame: frame.astype(object).to_numpy(),
    "lists": lambda frame: frame.astype(object).to_numpy().tolist(),
}


def as_arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def bits(model: Any, rows: Any) -> bytes:
    return np.asarray(model.predict_members(rows)).tobytes()


@pytest.fixture(scope="module")
def fitted() -> EnsembleClassifier:
    return EnsembleClassifier(**QUICK).fit(FRAME, LABELS)


@pytest.mark.parametrize("name", list(CONTAINERS)[1:-2])
def test_every_container_of_the_same_data_is_fitted_to_the_same_bits(
    name: str, fitted: EnsembleClassifier
) -> None:
    again = clone(fitted).fit(CONTAINERS[name](FRAME), LABELS.to_numpy())
    assert bits(again, CONTAINERS[name](UNSEEN)) == bits(fitted, UNSEEN)
    assert again.model_.schema.columns == fitted.model_.schema.columns


@pytest.mark.parametrize("name", ["array of objects", "lists"])
def test_rows_without_names_are_fitted_as_columns_with_numbers(name: str) -> None:
    numbered = FRAME.set_axis([f"x{place}" for place in range(FRAME.shape[1])], axis=1)
    model = EnsembleClassifier(**QUICK).fit(numbered, LABELS)
    again = EnsembleClassifier(**QUICK).fit(CONTAINERS[name](FRAME), LABELS.to_numpy())
    assert again.model_.schema.columns == model.model_.schema.columns
    assert bits(again, CONTAINERS[name](UNSEEN)) == bits(model, CONTAINERS[name](UNSEEN))


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_predicted_to_the_same_bits(
    name: str, fitted: EnsembleClassifier, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "model")
    rows = CONTAINERS[name](UNSEEN)
    assert bits(fitted, rows) == bits(fitted, UNSEEN)
    assert bits(ensemble_pipe.load(tmp_path / "model"), rows) == bits(fitted, UNSEEN)


def test_predictions_are_in_the_order_of_the_rows(fitted: EnsembleClassifier) -> None:
    shuffled = UNSEEN.iloc[::-1]
    for method in (fitted.predict_proba, fitted.predict):
        assert isinstance(method(UNSEEN), np.ndarray)
        np.testing.assert_array_equal(method(shuffled), method(UNSEEN)[::-1])
    mutual = fitted.uncertainty(UNSEEN)["mutual_information"]
    np.testing.assert_array_equal(fitted.uncertainty(shuffled)["mutual_information"], mutual[::-1])


def test_what_is_done_to_each_column_is_kept(fitted: EnsembleClassifier) -> None:
    decisions = {decision.name: decision for decision in fitted.model_.schema.decisions}
    assert list(decisions) == list(FRAME)
    kinds = {name: decision.kind for name, decision in decisions.items()}
    assert {name for name, kind in kinds.items() if kind == "left out"} == {"name", "empty"}
    assert {name for name, kind in kinds.items() if kind == "category"} == {"city", "size"}
    assert {name for name, kind in kinds.items() if kind == "date"} == {"seen"}


@pytest.mark.parametrize("batch", ["all", 16])
@pytest.mark.parametrize("order", ["counting", "mixed"])
def test_a_column_that_counts_the_rows_is_found_with_any_batch(batch: Any, order: str) -> None:
    random = np.random.default_rng(5)
    counter = np.arange(100) if order == "counting" else random.permutation(100)
    frame = pd.DataFrame({"size": random.normal(size=100), "seq": counter})
    fitted = EnsembleRegressor(**QUICK, batch_size=batch).fit(frame, 2 * frame["size"])
    kinds = {decision.name: decision.kind for decision in fitted.model_.schema.decisions}
    assert kinds["seq"] == ("left out" if order == "counting" else "number")


def as_file(folder: Path, ending: str, frame: pd.DataFrame) -> str:
    path = folder / f"rows{len(frame)}.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "arrow.csv":
        csv.write_csv(as_arrow(frame.assign(size=frame["size"].astype(str))), path)
    else:
        frame.to_parquet(path, index=False)
    return str(path)


def run_of(estimator: Any, path: str, label: str, task: str, folder: Path) -> Path:
    """Return the folder of a run on a file with the settings of an estimator."""
    state = np.random.RandomState(estimator.random_state)
    document = {
        "task": task, "seed": int(state.randint(np.iinfo(np.int32).max)),
        "data": {"source": "table", "path": path, "label": label, "test_path": path},
        "splits": {"validation": estimator.validation_fraction, "stop": "validation"},
        "network": {"hidden": list(estimator.hidden)},
        "training": {"epochs": estimator.epochs}, "ensemble": {"learners": estimator.learners},
        "tracking": {"mlflow": False},
    }  # fmt: skip
    return Path(run(Pipeline.model_validate(document), output=folder, inline=True).run_dir)


RUNS = [
    (EnsembleClassifier, LABELS, "classification"), (EnsembleRegressor, NUMBERS, "regression"),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "kind", "y", "task"), [
    pytest.param(ending, *case, marks=pytest.mark.slow if place else ())
    for place, (case, ending) in enumerate(product(RUNS, ("csv", "parquet", "arrow.csv")))
])  # fmt: skip
def test_a_run_on_a_file_of_the_frame_gives_the_same_bits(
    ending: str, kind: Any, y: pd.Series, task: str, tmp_path: Path
) -> None:
    estimator = kind(**QUICK, validation_fraction=0.15).fit(FRAME, y)
    path = as_file(tmp_path, ending, FRAME.assign(**{str(y.name): y}))
    model = ensemble_pipe.load(run_of(estimator, path, str(y.name), task, tmp_path))
    assert model.schema == estimator.model_.schema
    assert bits(model, UNSEEN) == bits(estimator, UNSEEN)
    opened = open_input(as_file(tmp_path, ending, UNSEEN), model.schema)
    outputs = np.concatenate([outputs for _, outputs in outputs_of(model, opened)], axis=1)
    assert outputs.tobytes() == Ensemble(estimator.model_).outputs(UNSEEN).tobytes()


@pytest.mark.parametrize(
    "kind", ["application/json", pytest.param("text/csv", marks=pytest.mark.slow)]
)
def test_the_frame_over_http_gives_the_same_bits(kind: str, tmp_path: Path) -> None:
    estimator = EnsembleClassifier(**QUICK, validation_fraction=0.15).fit(FRAME, LABELS)
    path = as_file(tmp_path, "csv", FRAME.assign(bought=LABELS))
    folder = run_of(estimator, path, "bought", "classification", tmp_path)
    served = mlflow.pyfunc.load_model(saved(folder))
    request = UNSEEN.sample(frac=1, random_state=3)[UNSEEN.columns[::-1]]
    if kind == "text/csv":
        content = request.to_csv(index=False)
    else:
        texts = request.assign(seen=request["seen"].map(lambda day: day.isoformat()))
        plain = texts.astype(object).where(request.notna(), None)
        rows = [
            [float(v) if isinstance(v, Decimal) else v for v in row] for row in plain.to_numpy()
        ]
        content = json.dumps({"dataframe_split": {"columns": list(request), "data": rows}})
    schema = served.metadata.get_input_schema()
    response = scoring_server.invocations(content, kind, served, schema)
    assert response.status == 200, response.response
    answer = pd.DataFrame(json.loads(response.response)["predictions"])
    found = answer[["probability_no", "probability_yes"]].to_numpy()
    np.testing.assert_array_equal(found, estimator.predict_proba(request))


def saved(run_dir: Path) -> str:
    """Save the model of a run as MLflow keeps it; return its folder."""
    paths = RunPaths(run_dir)
    signature, example = mlflow_logging.describe(
        ensemble_pipe.load(run_dir), mlflow_logging._example(paths)
    )
    mlflow.pyfunc.save_model(
        run_dir / "saved",
        python_model=str(Path(mlflow_logging.__file__).with_name("mlflow_model.py")),
        artifacts={"model": paths.model.as_uri()},
        signature=signature, input_example=example, pip_requirements=[],
    )  # fmt: skip
    return str(run_dir / "saved")


def test_frames_go_through_pipelines_searches_and_folds() -> None:
    quick = {**QUICK, "epochs": 2}
    columns = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["fare", "rooms"]),
        ("names", OneHotEncoder(handle_unknown="ignore"), make_column_selector("size")),
    ], remainder="drop")  # fmt: skip
    for output in ("default", "pandas", "polars"):
        names = columns.set_params(names__sparse_output=output == "default")
        model = make_pipeline(names.set_output(transform=output), EnsembleClassifier(**quick))
        assert model.fit(FRAME, LABELS).predict(UNSEEN).shape == (len(UNSEEN),)
    for frame in (FRAME, pl.from_arrow(TABLE), TABLE):
        scores = cross_val_score(EnsembleClassifier(**quick), frame, LABELS.to_numpy(), cv=2)
        assert np.isfinite(scores).all()
    search = GridSearchCV(EnsembleRegressor(**quick), {"epochs": [1, 2]}, cv=2, error_score="raise")
    best = search.fit(FRAME, NUMBERS).best_estimator_
    assert best.feature_names_in_.tolist() == list(FRAME)
    mean, std = best.predict(UNSEEN, return_std=True)
    assert mean.shape == std.shape == (len(UNSEEN),)


@pytest.mark.parametrize(("rows", "message"), [
    (UNSEEN.drop(columns="city"), "Feature names seen at fit time, yet now missing:\n- city"),
    (UNSEEN.assign(town="x"), "Feature names unseen at fit time:\n- town"),
    (UNSEEN.rename(columns={"city": "town"}), "unseen at fit time:\n- town\n.*missing:\n- city"),
    (UNSEEN.to_numpy()[:, 1:], "X has 9 features, but EnsembleClassifier is expecting 10"),
    (UNSEEN.iloc[:0], r"Found array with 0 sample\(s\)"),
    (pl.DataFrame(as_arrow(UNSEEN).to_pydict()).lazy(), r"the data frame is lazy; .* collect\(\)"),
    (UNSEEN.to_dict("list"), "X: is a dict; pass a data frame"),
    (UNSEEN.to_records(index=False), "X: a structured array; pass a data frame"),
])  # fmt: skip
def test_other_columns_are_named(fitted: EnsembleClassifier, rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}"):
        fitted.predict(rows)


def test_rules_of_columns_are_overrides() -> None:
    rules = {"data.columns": {"rooms": {"kind": "category"}, "fare": {"missing": "mean"}}}
    model = EnsembleClassifier(**QUICK, overrides=rules).fit(FRAME, LABELS)
    kinds = {decision.name: decision.kind for decision in model.model_.schema.decisions}
    assert kinds["rooms"] == "category"
    with pytest.raises(ValueError, match=r"data\.columns: X: has no column 'room'; did you mean"):
        EnsembleClassifier(**QUICK, overrides={"data.columns": {"room": {}}}).fit(FRAME, LABELS)
    texts = {"data.missing_values": ["Graz"]}
    without = EnsembleClassifier(**QUICK, overrides=texts).fit(FRAME, LABELS)
    graz = FRAME.assign(city="Graz")
    assert bits(without, graz) == bits(without, FRAME.assign(city=None))


def test_a_column_without_values_is_left_out_and_named() -> None:
    frame = FRAME.assign(tags=[["a"]] * ROWS, thing=[{"a": 1}, *[1.0] * (ROWS - 1)])
    with pytest.warns(UserWarning, match=r"X: column 'thing' is left out: row 0 .*, .*'a': 1"):
        model = EnsembleClassifier(**QUICK).fit(frame, LABELS)
    decisions = {decision.name: decision for decision in model.model_.schema.decisions}
    assert {decisions[name].kind for name in ("tags", "thing")} == {"left out"}
    assert bits(model, frame) == bits(EnsembleClassifier(**QUICK).fit(FRAME, LABELS), FRAME)
    with pytest.raises(ValueError, match="age"):
        EnsembleClassifier(**QUICK).fit(pd.concat([FRAME, FRAME[["age"]]], axis=1), LABELS)


def test_numbers_as_names_are_names() -> None:
    numbered = FRAME.set_axis(range(10, 10 + FRAME.shape[1]), axis=1)
    model = EnsembleClassifier(**QUICK).fit(numbered, LABELS)
    assert not hasattr(model, "feature_names_in_")
    assert model.model_.schema.input_names[:2] == ("10", "11")
    assert bits(model, numbered[numbered.columns[::-1]]) == bits(model, numbered)


def test_a_frame_without_names_is_an_array(tmp_path: Path) -> None:
    rows = RANDOM.normal(size=(60, 3))
    frame = pd.DataFrame(rows)
    model = EnsembleClassifier(**QUICK).fit(frame, rows[:, 0] > 0)
    assert bits(model, frame) == bits(model, rows)
    assert bits(EnsembleClassifier(**QUICK).fit(rows, rows[:, 0] > 0), rows) == bits(model, rows)
    model.save(tmp_path)
    assert bits(ensemble_pipe.load(tmp_path), frame) == bits(model, rows)


def test_not_a_number_in_an_array_is_a_missing_value() -> None:
    rows = RANDOM.normal(size=(100, 3))
    rows[::5, 1] = np.nan
    model = EnsembleClassifier(**QUICK).fit(rows, rows[:, 0] > 0)
    (decision,) = [one for one in model.model_.schema.decisions if one.name == "x1"]
    assert re.search(r"missing values \(\d+\): median", decision.treatment)
    found = model.predict_proba([[0.5, None, 1.0], [0.5, np.nan, 1.0]])
    np.testing.assert_array_equal(found[0], found[1])
