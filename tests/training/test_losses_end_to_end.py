"""Every loss from a pipeline to a prediction, and what its outputs come to mean on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import Prepared

import ensemble_pipe
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.nn.losses import LOSSES
from ensemble_pipe.run.pipeline import RunResult, run

# The number of each loss that a learner may have of its own.
NUMBERS: dict[str, tuple[str, list[float]]] = {
    "cross_entropy": ("smoothing", [0.0, 0.3]),
    "binary_cross_entropy": ("smoothing", [0.0, 0.3]),
    "hinge": ("margin", [1.0, 0.2]),
    "huber": ("delta", [1.0, 0.1]),
    "gaussian_nll": ("variance_floor", [1e-6, 0.1]),
    "beta_nll": ("beta", [0.0, 1.0]),
}
REGRESSIONS = [name for name, loss in LOSSES.items() if loss.task == "regression"]
CLASSIFIERS = [name for name in LOSSES if name not in REGRESSIONS]
WITH_VARIANCE = [name for name in REGRESSIONS if LOSSES[name]().outputs(0) == 2]

Trained = Callable[[str], RunResult]  # of a loss


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose number is noisier where x is above 0, and whose class is its sign."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.uniform(-2, 2, 600), "z": random.normal(size=600)})
    noise = np.where(frame.x > 0, 1.0, 0.1) * random.normal(size=600)
    frame["number"] = 100 + 10 * (np.sin(2 * frame.x) + 0.5 * frame.z + 0.3 * noise)
    frame["side"] = np.where(np.sin(2 * frame.x) + 0.5 * frame.z > 0, "up", "down")
    path = tmp_path_factory.mktemp("table") / "rows.parquet"
    frame.to_parquet(path)
    return path


def settings_of(loss: str, path: Path) -> dict[str, Any]:
    label, other = ("number", "side") if loss in REGRESSIONS else ("side", "number")
    data = {"source": "table", "path": str(path), "label": label, "ignore": [other]}
    return {
        "task": LOSSES[loss].task,
        "data": data,
        "network": {"name": "mlp", "hidden": [32], "activation": "tanh"},
        "training": {
            "epochs": 60,
            "batch_size": 32,
            "optimizer": {"name": "adam", "learning_rate": 0.01},
            "schedule": {"name": "constant"},
            "loss": {"name": loss},
        },
        "ensemble": {"learners": 2},
        "tracking": {"mlflow": False},
    }


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a function that runs a loss once."""
    results: dict[str, RunResult] = {}

    def of(loss: str) -> RunResult:
        if loss not in results:
            config = Pipeline.model_validate(settings_of(loss, table))
            results[loss] = run(config, output=tmp_path_factory.mktemp(loss), inline=True)
        return results[loss]

    return of


def rows_of_the_test_part(result: RunResult) -> pd.DataFrame:
    path = RunPaths(Path(result.run_dir)).predictions("test")
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all().to_pandas()


@pytest.mark.parametrize("loss", CLASSIFIERS)
def test_a_classifier_learns_and_gives_probabilities(loss: str, trained: Trained) -> None:
    result = trained(loss)
    frame = rows_of_the_test_part(result)
    assert result.metrics["test/accuracy"] > 0.9
    assert result.metrics["test/nll"] < np.log(2)
    probabilities = frame[["probability_down", "probability_up"]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
    assert (probabilities >= 0).all()
    assert (frame.prediction == np.array(["down", "up"])[probabilities.argmax(axis=1)]).all()


@pytest.mark.parametrize("loss", REGRESSIONS)
def test_a_regression_learns_and_gives_mean_and_deviation_in_the_targets_units(
    loss: str, trained: Trained
) -> None:
    result = trained(loss)
    frame = rows_of_the_test_part(result)
    # The target's own deviation is 8.5, that of its noise 2.1.
    assert result.metrics["test/rmse"] < 3.5
    assert (frame["prediction"] == frame["mean"]).all()
    assert abs(frame["mean"].mean() - frame["target"].mean()) < 1.5
    residuals = frame["mean"] - frame["target"]
    assert frame["std"].mean() == pytest.approx(residuals.std(), rel=0.5)


@pytest.mark.parametrize("loss", REGRESSIONS)
def test_the_deviation_follows_the_noise_where_the_loss_predicts_a_variance(
    loss: str, trained: Trained, table: Path
) -> None:
    model = ensemble_pipe.load(trained(loss).run_dir)
    rows = pd.read_parquet(table)[["x", "z"]].to_numpy()
    deviation = model.uncertainty(rows)["std"]
    noisy, quiet = deviation[rows[:, 0] > 0.2].mean(), deviation[rows[:, 0] < -0.2].mean()
    if loss in WITH_VARIANCE:
        assert noisy > 2 * quiet
    else:
        assert noisy == pytest.approx(quiet, rel=0.2)


@pytest.mark.parametrize("loss", WITH_VARIANCE)
def test_the_deviation_is_that_of_the_members_mixture(
    loss: str, trained: Trained, table: Path
) -> None:
    model = ensemble_pipe.load(trained(loss).run_dir)
    rows = pd.read_parquet(table)[["x", "z"]].to_numpy()[:50]
    outputs = model.outputs(rows).astype(np.float64)
    assert outputs.shape == (2, 50, 2)
    means, variances = outputs[..., 0], outputs[..., 1]
    assert (variances > 0).all()
    # E[y**2] - E[y]**2 of an equal mixture.
    variance = (variances + means**2).mean(axis=0) - means.mean(axis=0) ** 2
    expected = np.sqrt(variance) * model.schema.target_deviations[0]
    np.testing.assert_allclose(model.uncertainty(rows)["std"], expected, rtol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loaded_model_repeats_the_runs_predictions(
    loss: str, trained: Trained, table: Path
) -> None:
    result = trained(loss)
    frame = rows_of_the_test_part(result)
    rows = pd.read_parquet(table)[["x", "z"]].iloc[frame.row]
    again = ensemble_pipe.load(result.run_dir).table(rows).to_pandas()
    pd.testing.assert_frame_equal(again, frame[again.columns], check_exact=True)


@pytest.mark.parametrize("loss", NUMBERS)
def test_a_number_of_the_loss_is_each_learners_own_in_one_stack(
    loss: str, prepare: Callable[..., Prepared], table: Path
) -> None:
    number, values = NUMBERS[loss]
    settings = settings_of(loss, table)
    ensemble = {"learners": 2, "vary": {f"training.loss.{number}": values}}
    training = {**settings["training"], "epochs": 2}
    prepared = prepare(**{**settings, "ensemble": ensemble, "training": training})
    together = prepared.train()
    for learner in range(2):
        (alone,) = prepared.train(learner).values()
        assert [c.metrics for c in alone] == [c.metrics for c in together[learner]]
        last, other = alone[-1].state, together[learner][-1].state
        assert last.row.tobytes() == other.row.tobytes()
    same = prepare(**{**settings, "training": training}).train(1)[1]
    assert same[-1].state.row.tobytes() != together[1][-1].state.row.tobytes()


def test_every_number_of_every_loss_is_tried() -> None:
    assert set(NUMBERS) == {name for name, loss in LOSSES.items() if loss().numbers}


def test_binary_cross_entropy_learns_two_of_the_digits(tmp_path: Path) -> None:
    values = {
        "classes": [0, 1],
        "network": {"name": "linear"},
        "training": {"epochs": 5, "loss": {"name": "binary_cross_entropy"}},
        "ensemble": {"learners": 1},
        "tracking": {"mlflow": False},
    }
    result = run(Pipeline.model_validate(values), output=tmp_path, inline=True)
    assert result.metrics["test/accuracy"] > 0.95
    model = ensemble_pipe.load(result.run_dir)
    (member,) = model.members
    assert isinstance(member, NetworkMember)
    assert member.row.size == 64 + 1
    assert model.predict_proba(np.zeros((3, 8, 8), np.uint8)).shape == (3, 2)
