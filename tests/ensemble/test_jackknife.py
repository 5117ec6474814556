"""Calibration for all members, from predictions of few: nearer to what all of them need."""

from collections.abc import Callable

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.combiners import ClassOutputs, NumberOutputs, Outputs, Weighted
from ensemble_pipe.ensemble.jackknife import calibrate_for_all

ROWS, MEMBERS, FOLDS = 4000, 10, 5

# Outputs of K members for the same rows, and their targets.
Made = tuple[Callable[[int], Outputs], Array]


def classes() -> Made:
    """Members whose logits differ by chance, and are too large."""
    random = np.random.default_rng(1)
    signal = random.normal(size=(ROWS, 3))
    shares = np.exp(signal) / np.exp(signal).sum(axis=1, keepdims=True)
    targets = (random.random((ROWS, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    logits = 1.5 * (signal + random.normal(size=(MEMBERS, ROWS, 3)))
    return lambda members: ClassOutputs(logits[:members]), targets


def numbers() -> Made:
    """Members that differ by chance, and take the noise for smaller than it is."""
    random = np.random.default_rng(2)
    signal, deviations = random.normal(size=(ROWS, 1)), random.uniform(0.3, 1.0, (ROWS, 1))
    targets = signal + deviations * random.normal(size=(ROWS, 1))
    means = signal + 0.8 * random.normal(size=(MEMBERS, ROWS, 1))
    variances = np.broadcast_to(0.6 * deviations**2, means.shape).copy()
    return lambda members: NumberOutputs(means[:members], variances[:members]), targets


def fitted(outputs: Outputs, targets: Array) -> Weighted:
    plain, rows = Weighted.equal(outputs.members), np.full(ROWS, 1 / ROWS)
    best = outputs.combined(plain).best_calibration(targets, rows)
    return plain.calibrate(best.temperature, best.noise)


def nll(outputs: Outputs, targets: Array, calibrated: Weighted) -> float:
    of_all = Weighted.equal(outputs.members).calibrate(calibrated.temperature, calibrated.noise)
    return float(outputs.combined(of_all).nll(targets).mean())


@pytest.mark.parametrize("made", [classes(), numbers()], ids=["classes", "numbers"])
def test_two_members_a_row_calibrate_ten(made: Made) -> None:
    of, targets = made
    pair, all_members = of(2), of(MEMBERS)
    out_of_fold = fitted(pair, targets)
    moved = calibrate_for_all(out_of_fold, pair, targets, [[[0], [1]]], FOLDS)
    assert isinstance(moved, Weighted)
    assert moved.weights == out_of_fold.weights
    # Of what is lost to the best calibration of all, at most half is left.
    best = nll(all_members, targets, fitted(all_members, targets))
    lost = nll(all_members, targets, out_of_fold) - best
    assert lost > 0
    assert nll(all_members, targets, moved) - best < lost / 2
    assert moved.temperature < out_of_fold.temperature


def test_units_of_the_same_learners_stand_or_fall_together() -> None:
    of, targets = classes()
    outputs = of(4)
    start = fitted(outputs, targets)
    apart = calibrate_for_all(start, outputs, targets, [[[0], [1], [2], [3]]], FOLDS)
    together = calibrate_for_all(start, outputs, targets, [[[0, 1], [2, 3]]], FOLDS)
    assert apart.temperature != together.temperature
    assert max(apart.temperature, together.temperature) < start.temperature


@pytest.mark.parametrize("groups", [[], [[[0, 1]]], [[[0]], [[1]]]])
def test_what_does_not_show_a_change_changes_nothing(groups: list[list[list[int]]]) -> None:
    of, targets = classes()
    start = fitted(of(2), targets)
    moved = calibrate_for_all(start, of(2), targets, groups, FOLDS)
    assert moved.temperature == pytest.approx(start.temperature, rel=1e-12)


def test_an_uncalibrated_ensemble_stays_as_it_is() -> None:
    of, targets = classes()
    plain = Weighted.equal(2)
    assert calibrate_for_all(plain, of(2), targets, [[[0], [1]]], FOLDS) is plain


def test_the_fewer_members_count_the_more_changes_as_there_are_more() -> None:
    of, targets = classes()
    pair = of(2)
    moves: list[Floats] = []
    for share in (0.5, 0.9):
        plain = Weighted(weights=(share, 1 - share))
        best = pair.combined(plain).best_calibration(targets, np.full(ROWS, 1 / ROWS))
        start = plain.calibrate(best.temperature, best.noise)
        moved = calibrate_for_all(start, pair, targets, [[[0], [1]]], FOLDS)
        assert isinstance(moved, Weighted)
        assert moved.weights == start.weights
        moves.append(np.log(start.temperature / moved.temperature))
    assert 0 < moves[0] < moves[1]  # a group of nearly one member changes more as it grows
