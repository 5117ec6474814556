"""The learning-rate range test: its curve, its suggestion, and what it begins with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.run.pipeline import run
from ensemble_pipe.search.range_test import STEPS, RateCurve, rate_curve

DIGITS = Path(__file__).parents[2] / "pipelines" / "digits.yaml"


def pipeline(**settings: Any) -> Pipeline:
    return Pipeline.model_validate(
        {"network": {"hidden": [16]}, "tracking": {"mlflow": False}, **settings}
    )


def curve_of(config: Pipeline, low: float, high: float, steps: int = STEPS) -> RateCurve:
    return rate_curve(config, make_plans(config), low, high, steps)


def test_the_loss_falls_and_then_rises_with_the_rate() -> None:
    curve = curve_of(pipeline(), low=1e-5, high=10.0)
    assert (np.diff(np.log(curve.rates)) > 0).all()
    assert curve.rates[0] == pytest.approx(1e-5)
    lowest = curve.losses.argmin()
    assert 0 < lowest < len(curve.losses) - 1
    assert curve.losses[lowest] < 0.7 * curve.losses[0]
    assert 1e-3 < curve.suggestion < 0.1


def test_the_suggestion_is_a_tenth_of_the_rate_at_the_lowest_loss() -> None:
    curve = RateCurve(np.array([0.001, 0.0123, 0.1]), np.array([2.0, 1.0, 5.0]))
    assert curve.lowest == 0.0123
    assert curve.suggestion == 0.0012


def test_the_same_pipeline_gives_the_same_curve() -> None:
    one, other = (curve_of(pipeline(), low=1e-4, high=1.0, steps=40) for _ in range(2))
    assert one.losses.tobytes() == other.losses.tobytes()


def test_a_pool_without_networks_has_no_rate_to_test(tmp_path: Path) -> None:
    pools = [{"strategy": "linear"}], [{"strategy": "random_forest"}, {"strategy": "linear"}]
    for pool in pools:
        with pytest.raises(ConfigError, match=r"^ensemble\.pool: has no group of networks"):
            curve_of(pipeline(ensemble={"pool": pool}), low=1e-4, high=1.0)
    behind = pipeline(ensemble={"pool": [{"strategy": "linear"}, {"strategy": "independent"}]})
    assert len(curve_of(behind, low=1e-4, high=1e-1, steps=20).rates) >= 20


def test_it_begins_with_transferred_weights(tmp_path: Path) -> None:
    source = run(pipeline(ensemble={"learners": 1}), output=tmp_path, inline=True)
    transferred = pipeline(transfer={"weights": source.run_dir, "fresh": []})
    begun = curve_of(transferred, low=1e-6, high=1e-3, steps=40)
    fresh = curve_of(pipeline(), low=1e-6, high=1e-3, steps=40)
    assert begun.losses[0] < 0.5 * fresh.losses[0]


def test_a_loss_below_zero_does_not_end_it(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((400, 2))
    rows = np.column_stack([x, x @ [1.0, -2.0]])
    path = tmp_path / "line.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,y", comments="")
    config = pipeline(
        task="regression",
        data={"source": "table", "path": str(path), "label": "y"},
        training={"loss": {"name": "gaussian_nll"}, "batch_size": 32},
    )
    curve = curve_of(config, low=5e-3, high=0.05, steps=600)
    assert len(curve.losses) >= 600
    assert curve.losses.min() < 0


def test_a_rate_that_is_too_high_from_the_start_is_said_to_be() -> None:
    with pytest.raises(ConfigError, match="choose a lower --low"):
        curve_of(pipeline(), low=1e30, high=1e35)


@pytest.mark.usefixtures("rendered_pictures")
def test_the_command_prints_a_table_and_draws_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "rates.png"
    arguments = ["rates", str(DIGITS), "--output", str(picture), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    assert '"suggestion"' in done.stdout
    assert "--set training.optimizer.learning_rate=" in done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("bounds", [("1", "1"), ("0", "1"), ("1e-3", "inf")])
def test_bounds_that_make_no_range_are_refused(bounds: tuple[str, str]) -> None:
    low, high = bounds
    done = CliRunner().invoke(app, ["rates", str(DIGITS), "--low", low, "--high", high])
    assert done.exit_code == 2
    assert "must be finite, above 0 and ascending" in done.stderr
