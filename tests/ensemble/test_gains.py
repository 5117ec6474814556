"""The gain of one predictor over another has an interval of the difference, over the same rows."""

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.metrics.gains import paired_gains
from ensemble_pipe.ensemble.metrics.regression import regression_metrics
from ensemble_pipe.ensemble.metrics.resampling import bootstrap_interval, paired_difference
from ensemble_pipe.ensemble.metrics.row_values import RowValues, class_values, number_rows

ROWS = 300
TRUTH = np.random.default_rng(0).normal(size=(ROWS, 2)) * [1.0, 5.0]


def squares_of(noise: float, seed: int) -> tuple[Floats, dict[str, RowValues]]:
    """Return predictions of the truth, and their squared errors row by row."""
    seen = TRUTH + noise * np.random.default_rng(seed).normal(size=TRUTH.shape)
    return seen, number_rows(dict.fromkeys(("rmse", "mae", "nll", "crps"), (seen - TRUTH) ** 2))


def test_the_gain_is_the_difference_and_above_0_where_the_first_is_better() -> None:
    (mean, own), (other_mean, other) = squares_of(0.5, 1), squares_of(1.0, 2)
    found = paired_gains(own, other, np.random.default_rng(3), TRUTH)
    assert set(found) == {"rmse", "mae", "nll", "crps", "r2"}
    assert found["rmse"].estimate == pytest.approx(other["rmse"].over() - own["rmse"].over())
    r2 = [regression_metrics(one, np.ones_like(one), TRUTH)["r2"] for one in (mean, other_mean)]
    assert found["r2"].estimate == pytest.approx(r2[0] - r2[1])
    assert all(one.low > 0 for one in found.values())
    turned = paired_gains(other, own, np.random.default_rng(3), TRUTH)
    assert turned["r2"].high == pytest.approx(-found["r2"].low)


def test_the_interval_is_that_of_paired_differences() -> None:
    (_, own), (_, other) = squares_of(0.9, 1), squares_of(1.0, 2)
    found = paired_gains(own, other, np.random.default_rng(3))["rmse"]
    difference = paired_difference(other["rmse"].over, own["rmse"].over)
    expected = bootstrap_interval(difference, ROWS, np.random.default_rng(4))
    assert found.low == pytest.approx(expected.low, abs=0.02)
    assert found.high == pytest.approx(expected.high, abs=0.02)


def test_more_is_better_for_accuracy_and_less_for_the_likelihood() -> None:
    labels = np.arange(100) % 2
    sure, guess = np.full((100, 2), 0.1), np.full((100, 2), 0.5)
    sure[np.arange(100), labels] = 0.9
    own, other = class_values(sure, labels), class_values(guess, labels)
    found = paired_gains(own, other, np.random.default_rng(0))
    assert found["accuracy"].estimate == 0.5
    assert found["accuracy"].low > 0.3
    assert found["nll"].estimate == pytest.approx(np.log(0.9 / 0.5))
    assert found["nll"].low == pytest.approx(found["nll"].high)  # each row gains the same


def test_rows_that_leave_a_gain_undefined_have_none() -> None:
    own, other = (class_values(np.full((1, 2), 0.5), np.array([0])) for _ in range(2))
    assert paired_gains(own, other, np.random.default_rng(0)) == {}
    two, truth = RowValues(np.array([[1.0], [2.0]]), root=True), np.array([[0.0], [1.0]])
    found = paired_gains({"rmse": two}, {"rmse": two}, np.random.default_rng(0), truth)
    assert set(found) == {"rmse"}  # half of the resamples have no variance to be explained
