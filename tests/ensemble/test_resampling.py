"""Bootstrap intervals cover the truth as often as they say, and what is paired is narrower."""

import numpy as np
import pytest
from scipy import stats

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.ensemble.metrics.resampling import (
    bootstrap_interval,
    bootstrap_mean,
    paired_difference,
    resampled_means,
)


def test_intervals_of_a_normal_mean_cover_it_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        interval = bootstrap_mean(random.normal(2.0, 3.0, 100), random, 300, coverage=0.9)
        covered += interval.low <= 2.0 <= interval.high
    low, high = stats.binom.interval(0.999, 300, 0.9)
    assert low - 3 <= covered <= high  # the percentile interval of 100 rows is slightly narrow


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(2).normal(5.0, 2.0, 400)
    found = bootstrap_mean(values, np.random.default_rng(3), 4000)
    assert found.estimate == values.mean()
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose(found, [values.mean(), values.mean() - half, values.mean() + half],
                               atol=0.05 * half)  # fmt: skip


def test_intervals_are_those_of_scipy_from_the_same_draws() -> None:
    values = np.random.default_rng(4).random(50)
    found = bootstrap_mean(values, np.random.default_rng(5), 200, coverage=0.9)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=200, confidence_level=0.9, method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_any_metric_has_an_interval() -> None:
    values = np.random.default_rng(6).exponential(size=500)
    found = bootstrap_interval(
        lambda rows: float(np.median(values[rows])), 500, np.random.default_rng(7), 500
    )
    assert found.low < np.log(2) < found.high
    assert found.estimate == np.median(values)


def test_a_paired_difference_sees_what_two_intervals_do_not() -> None:
    random = np.random.default_rng(8)
    hard = random.normal(0, 5, 300)  # what makes a row hard is common to both
    first, second = hard + random.normal(1, 0.5, 300), hard + random.normal(0, 0.5, 300)

    difference = paired_difference(
        lambda rows: float(first[rows].mean()), lambda rows: float(second[rows].mean())
    )
    found = bootstrap_interval(difference, 300, np.random.default_rng(9), 300)
    assert found.estimate == pytest.approx(first.mean() - second.mean())
    assert 0.8 < found.low < found.high < 1.2
    by_row = bootstrap_mean(first - second, np.random.default_rng(9), 300)
    assert found == pytest.approx(by_row, rel=1e-9)
    alone = bootstrap_mean(first, np.random.default_rng(9), 300)
    assert found.high - found.low < 0.2 * (alone.high - alone.low)


def test_the_generator_decides_the_interval() -> None:
    values = np.random.default_rng(10).random(30)
    once, again, other = (bootstrap_mean(values, np.random.default_rng(s), 100) for s in (1, 1, 2))
    assert once == again != other


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert bootstrap_mean(np.full(10, 0.5), np.random.default_rng(1)) == (0.5, 0.5, 0.5)


def test_one_row_has_no_interval() -> None:
    with pytest.raises(DataError, match="at least 2 rows; there are 1"):
        bootstrap_mean(np.array([1.0]), np.random.default_rng(1))


def test_resampled_means_are_those_of_drawn_rows_the_same_for_each_column() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    found = resampled_means(values, np.random.default_rng(1), 40)
    random = np.random.default_rng(1)
    expected = [values[random.integers(0, 50, 50)].mean(axis=0) for _ in range(40)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
