"""Metrics row by row: their means are the metrics, and intervals hold what they should."""

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.gaussians import gaussian_scores
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.metrics.regression import regression_metrics
from ensemble_pipe.ensemble.metrics.row_values import (
    RowValues,
    class_values,
    number_rows,
    resamples_for,
)

RANDOM = np.random.default_rng(0)


def test_class_values_are_the_metrics_row_by_row() -> None:
    probabilities = RANDOM.dirichlet(np.ones(4), 200)
    probabilities[0] = [0.0, 1.0, 0.0, 0.0]
    labels = RANDOM.integers(0, 4, 200)
    labels[0] = 0  # was held for impossible
    expected = classification_metrics(probabilities, labels)
    for name, values in class_values(probabilities, labels).items():
        assert values.over() == pytest.approx(expected[name], rel=1e-12)


@pytest.mark.parametrize("targets", [1, 3])
def test_number_rows_are_the_metrics_row_by_row(targets: int) -> None:
    mean, truth = RANDOM.normal(size=(2, 200, targets)) * np.arange(1, 1 + targets)
    deviation = RANDOM.uniform(0.5, 2.0, (200, targets))
    expected = regression_metrics(mean, deviation, truth)
    for name, values in number_rows(gaussian_scores(mean, deviation, truth)).items():
        assert values.over() == pytest.approx(expected[name], rel=1e-12)


@pytest.mark.parametrize("root", [False, True])
def test_an_interval_is_about_as_wide_as_the_normal_one(root: bool) -> None:
    squares: Floats = RANDOM.normal(size=(4000, 1)) ** 2
    found = RowValues(squares, root).interval(np.random.default_rng(1))
    error = squares.std() / np.sqrt(len(squares)) / (2 * np.sqrt(squares.mean()) if root else 1)
    assert found.low < found.estimate < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_many_numbers_are_resampled_less_often() -> None:
    assert [resamples_for(n) for n in (0, 10**4, 5 * 10**5, 10**10)] == [1000, 1000, 600, 200]
