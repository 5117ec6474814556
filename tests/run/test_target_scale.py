"""A run whose target is trained on as its logarithm: everything that comes out is in own units."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from small_pipelines import small_settings

import ensemble_pipe
from ensemble_pipe import EnsembleRegressor
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.evaluation.labelled import evaluate
from ensemble_pipe.run.pipeline import RunResult, run
from ensemble_pipe.run.preparation import prepare
from ensemble_pipe.serving.files import open_for, predict_file
from ensemble_pipe.serving.model import Ensemble


def prices(rows: int = 500, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    values = pd.DataFrame(random.normal(size=(rows, 3)), columns=list("abc"))
    values["price"] = 1e4 * np.exp(0.8 * values.a - 0.4 * values.b + 0.3 * random.normal(size=rows))
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prices")
    prices().to_csv(folder / "prices.csv", index=False)
    prices(200, 2).to_csv(folder / "new.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> RunResult:
    settings = small_settings(
        hidden=8, epochs=15,
        task="regression",
        data={"source": "table", "path": str(folder / "prices.csv"), "label": "price"},
        ensemble={
            "pool": [{"strategy": "independent", "learners": 2}, {"strategy": "linear"}],
            "combine": {"method": "weights", "temperature": True, "coverage": 0.9},
        },
    )  # fmt: skip
    settings["training"] |= {"loss": {"name": "beta_nll"}}
    return run(Pipeline.model_validate(settings), output=folder / "runs", inline=True)


@pytest.fixture(scope="module")
def model(trained: RunResult) -> Ensemble:
    return ensemble_pipe.load(trained.run_dir)


def stored(trained: RunResult, part: str) -> pa.Table:
    path = RunPaths(Path(trained.run_dir)).predictions(part)
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def test_how_the_target_is_trained_on_is_said_but_no_warning(folder: Path) -> None:
    data = {"source": "table", "path": str(folder / "prices.csv"), "label": "price"}
    prepared = prepare(Pipeline.model_validate({"task": "regression", "data": data}))
    assert prepared.warning is None
    assert prepared.note == "'price' is trained on as its logarithm, standardised"


def test_the_logarithm_is_chosen_and_kept_with_the_model(model: Ensemble) -> None:
    (target,) = model.schema.fitted_targets
    assert target.treatment == "its logarithm, standardised"
    assert target.own_bounds[0] > 0


def test_the_metrics_are_those_of_the_stored_predictions(
    trained: RunResult, model: Ensemble
) -> None:
    table = stored(trained, "test")
    target, mean = table.column("target").to_numpy(), table.column("mean").to_numpy()
    assert np.median(target) == pytest.approx(1e4, rel=0.3)
    rmse = np.sqrt(np.mean((target - mean) ** 2))
    assert trained.metrics["test/rmse"] == pytest.approx(rmse, rel=1e-9)
    outputs = table.column("outputs").combine_chunks().to_numpy_ndarray().transpose(1, 0, 2)
    numbers = model.of_outputs(outputs).numbers
    (one,) = model.schema.fitted_targets
    location = numbers.mean[:, 0] * one.deviation + one.mean
    spread = np.sqrt(numbers.variance[:, 0]) * one.deviation
    peer = stats.lognorm(spread, scale=np.exp(location))
    assert trained.metrics["test/nll"] == pytest.approx(-peer.logpdf(target).mean(), rel=1e-5)
    assert mean == pytest.approx(np.clip(peer.mean(), *one.own_bounds), rel=1e-9)
    assert table.column("std").to_numpy() == pytest.approx(peer.std(), rel=1e-7)
    low, high = (table.column(name).to_numpy() for name in ("low", "high"))
    assert (low > 0).all()
    assert np.log(high) - location == pytest.approx(location - np.log(low), rel=1e-6)
    inside = np.mean((low <= target) & (target <= high))
    assert trained.metrics["conformal/test/coverage"] == pytest.approx(inside)


def test_files_and_frames_are_predicted_to_the_same_bits(folder: Path, model: Ensemble) -> None:
    output = folder / "out.parquet"
    predict_file(model, open_for(model, str(folder / "new.csv")), output)
    found = pd.read_parquet(output)
    frame = pd.read_csv(folder / "new.csv")
    assert np.array_equal(found["mean"], model.predict(frame))
    assert np.array_equal(found["std"], model.uncertainty(frame)["std"])
    assert np.array_equal(found[["low", "high"]], model.predict_intervals(frame))
    for row in (0, 77):
        assert model.predict(frame.iloc[row : row + 1])[0] == found["mean"][row]


def test_members_too_are_in_own_units(folder: Path, model: Ensemble) -> None:
    frame = pd.read_csv(folder / "new.csv")
    members = model.predict_members(frame)
    assert members.shape == (len(model.members), len(frame))
    assert 5e3 < np.median(members) < 2e4


def test_labelled_rows_are_measured_in_own_units(folder: Path, model: Ensemble) -> None:
    found = evaluate(model, open_for(model, str(folder / "new.csv"))).metrics
    truth = prices(200, 2).price
    mean = model.predict(prices(200, 2))
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((truth - mean) ** 2)), rel=1e-5)
    assert 0.75 < found["conformal/coverage"] <= 1


def test_rows_far_from_training_are_predicted_within_what_it_saw(model: Ensemble) -> None:
    far = pd.DataFrame({"a": [50.0, -50.0], "b": [-50.0, 50.0], "c": [0.0, 0.0]})
    low, high = model.schema.fitted_targets[0].own_bounds
    for means in (model.predict(far), *model.predict_members(far)):
        assert (means >= low * (1 - 1e-6)).all()
        assert (means <= high * (1 + 1e-6)).all()


def fit(scale: str, x: Floats, y: Floats) -> EnsembleRegressor:
    estimator = EnsembleRegressor(
        learners=2, hidden=(8,), epochs=60, random_state=0, overrides={"target.scale": scale}
    )
    return estimator.fit(x, y)


def test_an_estimator_predicts_in_own_units() -> None:
    rows = prices(300)
    x, y = rows[["a", "b", "c"]].to_numpy(), rows.price.to_numpy()
    automatic, stated = fit("auto", x, y), fit("log", x, y)
    mean, std = automatic.predict(x, return_std=True)
    assert automatic.model_.schema.fitted_targets[0].treatment == "its logarithm, standardised"
    assert np.array_equal(stated.predict(x), mean)
    assert np.corrcoef(np.log(mean), np.log(y))[0, 1] > 0.7
    assert 0.1 < np.median(std / mean) < 1.5
    with pytest.raises(ValueError, match=r"row 0 .* is not above 0"):
        fit("log", x, np.where(np.arange(300) == 0, -1.0, y))


def test_classes_have_no_scale() -> None:
    pipeline = Pipeline.model_validate({"target": {"scale": "log"}})
    with pytest.raises(ConfigError, match=r"target\.scale: log is for regression"):
        make_plans(pipeline)
