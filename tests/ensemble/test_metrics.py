"""Metrics: by hand, against scikit-learn and scipy, and at the ends of their scales."""

from math import e, log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    root_mean_squared_error,
)

from ensemble_pipe.arrays import Floats, Integers
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.metrics import (
    classification_metrics,
    confusion,
    expected_calibration_error,
    regression_metrics,
    reliability,
)

few = settings(max_examples=20, deadline=None)


def draw(rows: int, classes: int, seed: int = 0) -> tuple[Floats, Integers]:
    random = np.random.default_rng(seed)
    probabilities = softmax(2.0 * random.standard_normal((rows, classes)))
    return probabilities, random.integers(0, classes, rows)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_classification_metrics_are_those_of_scikit_learn(classes: int) -> None:
    probabilities, labels = draw(60, classes)
    names = list(range(classes))
    found = classification_metrics(probabilities, labels)
    assert found["accuracy"] == accuracy_score(labels, probabilities.argmax(axis=1))
    assert found["nll"] == pytest.approx(log_loss(labels, probabilities, labels=names))
    whole = brier_score_loss(labels, probabilities, labels=names, scale_by_half=False)
    assert found["brier"] == pytest.approx(whole)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_classification_metrics_are_those_of_their_formulas(classes: int) -> None:
    probabilities, labels = draw(60, classes)
    found = classification_metrics(probabilities, labels)
    of_labels = probabilities[np.arange(60), labels]
    distance = ((probabilities - np.eye(classes)[labels]) ** 2).sum(axis=1)
    assert found["nll"] == pytest.approx(-np.log(of_labels).mean(), rel=1e-12)
    assert found["brier"] == pytest.approx(distance.mean(), rel=1e-12)


def test_metrics_come_where_some_class_has_no_row() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    found = classification_metrics(probabilities, np.array([0, 0]))
    assert found["accuracy"] == 0.5
    assert found["nll"] == pytest.approx((log(2) + log(4)) / 2)
    # (0.25 + 0.0625 + 0.0625 + 0.5625 + 0.25 + 0.0625) / 2
    assert found["brier"] == pytest.approx(0.625)


@pytest.mark.parametrize("classes", [2, 5])
def test_perfect_predictions(classes: int) -> None:
    labels = np.arange(20) % classes
    found = classification_metrics(np.eye(classes)[labels], labels)
    assert found == pytest.approx({"accuracy": 1.0, "nll": 0.0, "brier": 0.0, "ece": 0.0})


def test_certain_and_wrong_predictions_are_the_worst() -> None:
    found = classification_metrics(np.eye(2)[[0, 1, 0]], np.array([1, 0, 1]))
    assert found["accuracy"] == 0.0
    assert found["brier"] == pytest.approx(2.0)
    assert found["ece"] == pytest.approx(1.0)
    assert 30.0 < found["nll"] < np.inf


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_uniform_predictions(classes: int) -> None:
    labels = np.arange(20 * classes) % classes
    found = classification_metrics(np.full((len(labels), classes), 1 / classes), labels)
    assert found["accuracy"] == pytest.approx(1 / classes)
    assert found["nll"] == pytest.approx(log(classes))
    assert found["brier"] == pytest.approx(1 - 1 / classes)
    assert found["ece"] == pytest.approx(0.0, abs=1e-12)


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.55, 0.45], [0.65, 0.35], [0.2, 0.8], [0.1, 0.9]])
    labels = np.array([1, 0, 1, 0])
    # Bin (0.5, 0.75]: confidence 0.6, accuracy 1/2; bin (0.75, 1]: 0.85 and 1/2.
    assert expected_calibration_error(probabilities, labels, bins=4) == pytest.approx(
        0.5 * 0.1 + 0.5 * 0.35
    )


def test_reliability_by_hand() -> None:
    probabilities = np.array([[0.55, 0.45], [0.65, 0.35], [0.2, 0.8], [0.1, 0.9], [0.0, 1.0]])
    groups = reliability(probabilities, np.array([1, 0, 1, 0, 1]), bins=4)
    np.testing.assert_allclose(groups.confidence, [0.6, 0.9])
    np.testing.assert_allclose(groups.accuracy, [1 / 2, 2 / 3])
    np.testing.assert_allclose(groups.share, [0.4, 0.6])


def test_bins_are_closed_on_their_right() -> None:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]])
    groups = reliability(probabilities, np.array([0, 1, 1]), bins=4)
    np.testing.assert_array_equal(groups.confidence, [0.5, 0.75, 1.0])


def test_calibration_error_of_one_bin_is_confidence_against_accuracy() -> None:
    probabilities, labels = draw(50, 4)
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    expected = abs(probabilities.max(axis=1).mean() - accuracy)
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(expected)


def test_labels_drawn_from_the_predictions_are_calibrated() -> None:
    probabilities, _ = draw(40_000, 3)
    draws = np.random.default_rng(2).random((40_000, 1))
    labels = (draws > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    assert expected_calibration_error(probabilities, labels) < 0.015


@few
@given(rows=st.integers(1, 40), classes=st.integers(2, 6), seed=st.integers(0, 1000))
def test_metrics_stay_on_their_scales(rows: int, classes: int, seed: int) -> None:
    found = classification_metrics(*draw(rows, classes, seed))
    assert 0.0 <= found["accuracy"] <= 1.0
    assert found["nll"] >= 0.0
    assert 0.0 <= found["brier"] <= 2.0
    assert 0.0 <= found["ece"] <= 1.0


@few
@given(rows=st.integers(2, 40), seed=st.integers(0, 1000))
def test_metrics_do_not_depend_on_the_order_of_rows_or_classes(rows: int, seed: int) -> None:
    probabilities, labels = draw(rows, 4, seed)
    random = np.random.default_rng(seed)
    places, classes = random.permutation(rows), random.permutation(4)
    shuffled = probabilities[places][:, classes]
    renamed = classes.argsort()[labels[places]]
    first = classification_metrics(probabilities, labels)
    assert classification_metrics(shuffled, renamed) == pytest.approx(first)


@few
@given(rows=st.integers(1, 60), seed=st.integers(0, 1000), bins=st.integers(1, 30))
def test_reliability_shares_out_every_row(rows: int, seed: int, bins: int) -> None:
    probabilities, labels = draw(rows, 3, seed)
    groups = reliability(probabilities, labels, bins)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    assert groups.share.sum() == pytest.approx(1.0)
    assert (groups.share * groups.confidence).sum() == pytest.approx(confidence.mean())
    assert (groups.share * groups.accuracy).sum() == pytest.approx(correct.mean())
    assert len(groups.share) <= bins


def test_regression_metrics_by_hand() -> None:
    mean, deviation, targets = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 4.0]])
    found = regression_metrics(mean, deviation, targets)
    assert found["rmse"] == pytest.approx(sqrt(2.5))
    assert found["mae"] == pytest.approx(1.5)
    # log(2 pi)/2 + 1/2 and log(2 pi)/2 + log 2 + 1/2
    assert found["nll"] == pytest.approx(0.5 * log(2 * pi) + 0.5 * log(2) + 0.5)


def test_regression_metrics_are_those_of_scikit_learn_and_scipy() -> None:
    random = np.random.default_rng(3)
    mean, targets = random.standard_normal((2, 50))
    deviation = random.uniform(0.1, 2.0, 50)
    found = regression_metrics(mean, deviation, targets)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(targets, mean))
    assert found["mae"] == pytest.approx(mean_absolute_error(targets, mean))
    assert found["nll"] == pytest.approx(-np.mean(stats.norm.logpdf(targets, mean, deviation)))


def test_gaussian_nll_is_lowest_at_the_true_spread() -> None:
    errors = np.array([-1.0, 1.0, -2.0, 2.0])
    spread = sqrt(2.5)
    at, below, above = (
        regression_metrics(np.zeros(4), np.full(4, factor * spread), errors)["nll"]
        for factor in (1.0, 0.9, 1.1)
    )
    assert at == pytest.approx(0.5 * log(2 * pi * e * 2.5))
    assert at < min(below, above)


def test_confusion_has_true_classes_in_rows() -> None:
    counts = confusion(np.array([1, 1, 0]), np.array([0, 1, 0]), 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 1, 0], [0, 0, 0]])
