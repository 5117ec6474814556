"""Conformal sets and intervals hold the truth as often as stated, whatever the predictor."""

from itertools import pairwise
from math import inf
from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import stats

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.conformal import (
    Conformal,
    SetMethod,
    conformal_interval,
    conformal_sets,
)

METHODS = get_args(SetMethod)


def draw(random: np.random.Generator, rows: int) -> tuple[Floats, Integers]:
    """Labels of five classes, and probabilities that are wrong: too sure, and of one class shy."""
    logits = random.standard_normal((rows, 5))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    return softmax(3.0 * logits - np.array([1.0, 0, 0, 0, 0])), labels


def binomial_bounds(trials: int, chance: float) -> tuple[float, float]:
    low, high = stats.binom.interval(0.9999, trials, chance)
    return float(low), float(high)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("method", METHODS)
def test_sets_cover_as_often_as_stated(method: SetMethod, coverage: float) -> None:
    """One new row for each of 200 calibrations: covered with a chance of ceil(c (n+1)) / (n+1)."""
    random, covered = np.random.default_rng(1), 0
    for _ in range(200):
        probabilities, labels = draw(random, 100)
        fitted = conformal_sets(probabilities[:99], labels[:99], coverage, method)
        covered += int(fitted.sets(probabilities[99:])[0, labels[99]])
    low, high = binomial_bounds(200, coverage)
    assert low <= covered <= high


@pytest.mark.parametrize("method", METHODS)
def test_the_mean_coverage_of_sets_is_the_stated_one(method: SetMethod) -> None:
    random, shares = np.random.default_rng(2), []
    for _ in range(200):
        probabilities, labels = draw(random, 600)
        fitted = conformal_sets(probabilities[:99], labels[:99], 0.9, method)
        sets = fitted.sets(probabilities[99:])
        shares.append(sets[np.arange(501), labels[99:]].mean())
    assert np.mean(shares) == pytest.approx(0.9, abs=4 * np.std(shares) / np.sqrt(200))


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_cover_as_often_as_stated(coverage: float) -> None:
    random, covered = np.random.default_rng(3), 0
    for _ in range(200):
        scale = random.uniform(0.5, 2.0, 100)
        targets = scale * random.laplace(size=100)
        # A predictor that is off and too sure, and not Gaussian at all.
        mean, deviation = np.full(100, 0.3), 0.2 * scale
        fitted = conformal_interval(mean[:99], deviation[:99], targets[:99], coverage)
        low, high = fitted.interval(mean[99:], deviation[99:])
        covered += bool(low[0] <= targets[99] <= high[0])
    least, most = binomial_bounds(200, coverage)
    assert least <= covered <= most


def test_thresholds_by_hand() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    labels = np.array([0, 1, 2, 2])
    # Of 4 scores the 4th smallest, ceil(5 * 0.8): 1 - 0.2; and the mass above 0.2.
    lac, aps = (conformal_sets(probabilities, labels, 0.8, method) for method in ("lac", "aps"))
    assert lac.threshold == pytest.approx(0.8)
    assert aps.threshold == pytest.approx(0.8)
    # The 2nd, ceil(5 * 0.4): 0.5; and 0, as the most probable class has nothing above it.
    lac, aps = (conformal_sets(probabilities, labels, 0.4, method) for method in ("lac", "aps"))
    assert (lac.threshold, aps.threshold) == (0.5, 0.0)
    rows = np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.2, 0.2, 0.6]])
    np.testing.assert_array_equal(lac.sets(rows), [[1, 0, 0], [0, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(aps.sets(rows), [[1, 0, 0], [1, 1, 0], [0, 0, 1]])


def test_aps_takes_classes_in_until_the_mass_is_reached() -> None:
    fitted = Conformal(method="aps", coverage=0.9, threshold=0.6)
    found = fitted.sets(np.array([[0.1, 0.5, 0.15, 0.25], [0.7, 0.1, 0.1, 0.1]]))
    # 0 and 0.5 lie above the first two, 0.75 above the third.
    np.testing.assert_array_equal(found, [[0, 1, 0, 1], [1, 0, 0, 0]])


def test_intervals_by_hand() -> None:
    targets = np.array([1.0, -2.0, 3.0])
    fitted = conformal_interval(np.zeros(3), np.full(3, 2.0), targets, 0.5)  # the 2nd of 3
    assert fitted.threshold == 1.0
    low, high = fitted.interval(np.array([5.0, 0.0]), np.array([1.0, 3.0]))
    np.testing.assert_array_equal([low, high], [[4.0, -3.0], [6.0, 3.0]])


@pytest.mark.parametrize(("rows", "enough"), [(0, False), (8, False), (9, True)])
def test_too_few_rows_for_the_coverage_cover_everything(rows: int, enough: bool) -> None:
    """At 0.9 nine rows are the fewest: the new one is the largest of ten once in ten times."""
    probabilities, labels = draw(np.random.default_rng(4), rows)
    for method in METHODS:
        fitted = conformal_sets(probabilities, labels, 0.9, method)
        assert (fitted.threshold is not None) == enough
        assert fitted.sets(np.array([[1.0, 0, 0, 0, 0]])).all() == (not enough)
    numbers = np.zeros(rows)
    low, high = conformal_interval(numbers, numbers + 1, numbers, 0.9).interval(
        np.array([5.0]), np.array([1.0])
    )
    assert (low[0], high[0]) == ((5.0, 5.0) if enough else (-inf, inf))


@pytest.mark.parametrize("method", METHODS)
def test_more_coverage_takes_larger_sets(method: SetMethod) -> None:
    probabilities, labels = draw(np.random.default_rng(5), 500)
    sets = [
        conformal_sets(probabilities, labels, coverage, method).sets(probabilities)
        for coverage in (0.5, 0.8, 0.95)
    ]
    for smaller, larger in pairwise(sets):
        assert (smaller <= larger).all()
        assert smaller.sum() < larger.sum()


@pytest.mark.parametrize("threshold", [0.25, None])
def test_a_fitted_predictor_is_plain_json(threshold: float | None) -> None:
    adapter = TypeAdapter(Conformal)
    fitted = Conformal(method="aps", coverage=0.9, threshold=threshold)
    assert adapter.validate_json(adapter.dump_json(fitted)) == fitted


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0])
def test_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(ValueError, match=r"coverage .* between 0 and 1"):
        conformal_interval(np.zeros(3), np.ones(3), np.zeros(3), coverage)


def test_classes_have_sets_and_numbers_intervals() -> None:
    with pytest.raises(ValueError, match="for numbers: it has intervals"):
        Conformal(method="normalized", coverage=0.9, threshold=1.0).sets(np.ones((1, 2)))
    with pytest.raises(ValueError, match="for classes: it has sets"):
        Conformal(method="lac", coverage=0.9, threshold=1.0).interval(np.ones(1), np.ones(1))
