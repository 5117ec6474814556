"""Metrics of numbers: by hand, by integration, against scikit-learn and scipy, in proper units."""

import re
from math import e, log, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.gaussians import gaussian_crps
from ensemble_pipe.ensemble.metrics.regression import regression_metrics


def draw(*shape: int) -> tuple[Floats, Floats, Floats]:
    random = np.random.default_rng(3)
    mean, targets = random.standard_normal((2, *shape))
    return mean, random.uniform(0.1, 2.0, shape), targets


def test_regression_metrics_by_hand() -> None:
    mean, deviation, targets = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 4.0]])
    found = regression_metrics(mean, deviation, targets)
    assert found["rmse"] == pytest.approx(sqrt(2.5))
    assert found["mae"] == pytest.approx(1.5)
    # log(2 pi)/2 + 1/2 and log(2 pi)/2 + log 2 + 1/2
    assert found["nll"] == pytest.approx(0.5 * log(2 * pi) + 0.5 * log(2) + 0.5)
    assert found["width_90"] == pytest.approx(2 * 1.6448536269514722 * 1.5)
    assert found["coverage_90"] == 1.0


def test_regression_metrics_are_those_of_scikit_learn_and_scipy() -> None:
    mean, deviation, targets = draw(50)
    found = regression_metrics(mean, deviation, targets)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(targets, mean))
    assert found["mae"] == pytest.approx(mean_absolute_error(targets, mean))
    assert found["r2"] == pytest.approx(r2_score(targets, mean))
    assert found["nll"] == pytest.approx(-np.mean(stats.norm.logpdf(targets, mean, deviation)))
    low, high = stats.norm.interval(0.9, mean, deviation)
    assert found["width_90"] == pytest.approx(np.mean(high - low))
    assert found["coverage_90"] == np.mean((low <= targets) & (targets <= high))


def test_equal_targets_have_no_variance_to_explain() -> None:
    mean, deviation, _ = draw(5)
    assert "r2" not in regression_metrics(mean, deviation, np.full(5, 0.1))
    assert "r2" not in regression_metrics(mean[:1], deviation[:1], np.ones(1))


@pytest.mark.parametrize(("mean", "deviation", "target"), [
    (0.0, 1.0, 0.0), (1.0, 0.5, 2.0), (-3.0, 2.0, 4.0), (0.0, 0.1, -0.9)
])  # fmt: skip
def test_crps_is_the_integral_that_defines_it(mean: float, deviation: float, target: float) -> None:
    """The integral over x of (F(x) - [x >= target]) squared (Gneiting & Raftery 2007)."""
    normal = stats.norm(mean, deviation)
    below, _ = quad(lambda x: float(normal.cdf(x)) ** 2, mean - 12 * deviation, target)
    above, _ = quad(lambda x: float(normal.sf(x)) ** 2, target, max(mean, target) + 12 * deviation)
    found = gaussian_crps(np.array([mean]), np.array([deviation]), np.array([target]))
    np.testing.assert_allclose(found, [below + above], rtol=1e-6)


def test_crps_of_a_sure_prediction_is_its_absolute_error() -> None:
    found = gaussian_crps(np.zeros(3), np.full(3, 1e-9), np.array([-2.0, 0.0, 0.5]))
    np.testing.assert_allclose(found, [2.0, 0.0, 0.5], atol=1e-8)


def test_nll_and_crps_are_lowest_at_the_true_spread_and_coverage_is_right_there() -> None:
    errors = 1.5 * np.random.default_rng(4).standard_normal(100_000)
    at, below, above = (
        regression_metrics(np.zeros(len(errors)), np.full(len(errors), factor * 1.5), errors)
        for factor in (1.0, 0.8, 1.2)
    )
    assert at["nll"] == pytest.approx(0.5 * log(2 * pi * e * 1.5**2), abs=0.01)
    assert at["coverage_90"] == pytest.approx(0.9, abs=0.004)
    for name in ("nll", "crps"):
        assert at[name] < min(below[name], above[name])


def test_several_targets_are_averaged_and_named() -> None:
    mean, deviation, targets = draw(40, 2)
    found = regression_metrics(mean, deviation, targets, ("heat", "cold"))
    each = [regression_metrics(mean[:, d], deviation[:, d], targets[:, d]) for d in range(2)]
    for name in each[0]:
        named = [found[f"{name}/heat"], found[f"{name}/cold"]]
        assert named == pytest.approx([one[name] for one in each])
        assert found[name] == pytest.approx(np.mean([one[name] for one in each]))
    assert len(found) == 3 * len(each[0])


def test_one_target_is_the_same_with_and_without_an_axis_of_its_own() -> None:
    mean, deviation, targets = draw(40)
    flat = regression_metrics(mean, deviation, targets)
    assert flat == regression_metrics(
        mean[:, None], deviation[:, None], targets[:, None], ("heat",)
    )


@pytest.mark.parametrize("scale", [0.01, 1000.0])
def test_errors_scale_with_the_unit(scale: float) -> None:
    mean, deviation, targets = draw(40)
    plain = regression_metrics(mean, deviation, targets)
    scaled = regression_metrics(scale * mean, scale * deviation, scale * targets)
    for name in ("rmse", "mae", "crps", "width_90"):
        assert scaled[name] == pytest.approx(scale * plain[name])
    assert scaled["nll"] == pytest.approx(plain["nll"] + log(scale))
    assert scaled["coverage_90"] == plain["coverage_90"]


PAGE = (Path(__file__).parents[2] / "docs" / "uncertainty.md").read_text()


def test_the_page_says_by_how_much_one_gaussian_scores_above_the_mixture() -> None:
    apart, nats = (
        [float(cell) for cell in re.findall(r"[\d.]+", line)]
        for line in re.findall(r"^\| (?:apart|nats) \|.*$", PAGE, re.MULTILINE)
    )
    assert len(apart) == len(nats) > 3
    grid = np.linspace(-25, 25, 40_001)
    for distance, said in zip(apart, nats, strict=True):
        half = distance / 2
        density = (stats.norm.pdf(grid, half) + stats.norm.pdf(grid, -half)) / 2
        present = density > 0
        gaussian = stats.norm.logpdf(grid, 0, sqrt(1 + half**2))
        excess = density[present] * (np.log(density[present]) - gaussian[present])
        assert excess.sum() * (grid[1] - grid[0]) == pytest.approx(said, abs=6e-4)


def test_members_that_lie_apart_are_scored_by_their_mean_and_variance() -> None:
    means, noise = np.array([-2.0, 2.0]), 1.0
    targets = np.random.default_rng(0).normal(np.repeat(means, 5000), noise)
    deviation = np.full(len(targets), sqrt(noise**2 + means.var()))
    found = regression_metrics(np.zeros(len(targets)), deviation, targets)["nll"]
    mixture = -np.log(np.mean([stats.norm.pdf(targets, mean, noise) for mean in means], axis=0))
    assert found - mixture.mean() == pytest.approx(0.172, abs=0.01)
