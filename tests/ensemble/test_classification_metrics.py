"""Metrics of classes: by hand, against scikit-learn, and at the ends of their scales."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.metrics import confusion
from ensemble_pipe.core.ranking import Counts, ranked
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.metrics.calibration import (
    Binning,
    calibration_errors,
    confidences,
    equal_mass,
    equal_width,
    reliability,
)
from ensemble_pipe.ensemble.metrics.classification import classification_metrics

few = settings(max_examples=20, deadline=None)


def draw(rows: int, classes: int, seed: int = 0) -> tuple[Floats, Integers]:
    random = np.random.default_rng(seed)
    probabilities = softmax(2.0 * random.standard_normal((rows, classes)))
    return probabilities, random.integers(0, classes, rows)


def expected_calibration_error(
    probabilities: Floats, labels: Integers, bins: int = 15, binning: Binning = equal_width
) -> float:
    return float(calibration_errors(*confidences(probabilities, labels), bins, binning)[0])


def classwise_calibration_error(
    probabilities: Floats, labels: Integers, bins: int = 15, binning: Binning = equal_width
) -> float:
    own = labels == np.arange(probabilities.shape[1])[:, None]
    return float(calibration_errors(*ranked(probabilities.T, own), bins, binning).mean())


def test_ranking_of_two_classes_is_that_of_class_1() -> None:
    probabilities, labels = draw(60, 2)
    found = classification_metrics(probabilities, labels)
    assert found["auroc"] == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))
    auprc = average_precision_score(labels, probabilities[:, 1])
    assert found["auprc"] == pytest.approx(auprc)


@pytest.mark.parametrize("classes", [3, 10])
def test_ranking_of_many_classes_is_the_mean_of_each_against_the_rest(classes: int) -> None:
    probabilities, labels = draw(200, classes)
    probabilities = probabilities.round(2)  # some are equal
    found = classification_metrics(probabilities, labels)
    auroc = roc_auc_score(np.eye(classes)[labels], probabilities, average="macro")
    auprc = average_precision_score(np.eye(classes)[labels], probabilities, average="macro")
    assert found["auroc"] == pytest.approx(auroc)
    assert found["auprc"] == pytest.approx(auprc)


def test_ranking_is_over_the_classes_that_have_rows() -> None:
    probabilities, labels = draw(60, 4)
    labels = labels % 3
    found = classification_metrics(probabilities, labels)
    each = [roc_auc_score(labels == one, probabilities[:, one]) for one in range(3)]
    assert found["auroc"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("classes", [2, 3])
def test_ranking_is_left_out_where_all_rows_are_of_one_class(classes: int) -> None:
    probabilities, labels = draw(20, classes)
    found = classification_metrics(probabilities, 0 * labels)
    assert not {"auroc", "auprc"} & found.keys()
    assert np.isfinite(list(found.values())).all()


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
    best = {name: 1.0 for name in found if name in ("auroc", "auprc", "f1") or "accuracy" in name}
    assert found == pytest.approx(dict.fromkeys(found, 0.0) | best)


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


def test_bins_of_equal_mass_hold_equally_many_rows_and_keep_equals_together() -> None:
    def bins_of(scores: list[float], bins: int) -> list[int]:
        """Return the bin of each distinct score, rising."""
        return [int(place) for place in equal_mass(*one_ranking(scores), bins)]

    assert bins_of([0.9, 0.1, 0.5, 0.3, 0.7, 0.2], 3) == [0, 0, 1, 1, 2, 2]
    assert bins_of([0.5, 0.5, 0.5, 1.0], 2) == [0, 1]


def one_ranking(scores: list[float]) -> tuple[Floats, Counts]:
    return ranked(np.array([scores]), np.zeros((1, len(scores)), bool))


def test_calibration_error_of_equal_mass_by_hand() -> None:
    confidence = np.array([0.6, 0.7, 0.9, 1.0])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 1, 0, 0])
    # Two rows a bin: confidence 0.65, accuracy 1/2; confidence 0.95, accuracy 1.
    found = expected_calibration_error(probabilities, labels, 2, equal_mass)
    assert found == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_classwise_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.8, 0.2, 0.0], [0.6, 0.4, 0.0], [0.1, 0.3, 0.6], [0.3, 0.1, 0.6]])
    labels = np.array([0, 1, 2, 2])
    # Class 0: above 1/2 a confidence of 0.7, 1/2 true; below 0.2 and 0. Class 1: 0.25 and 1/4.
    # Class 2: 0.6 and 1; 0 and 0.
    expected = (0.5 * 0.2 + 0.5 * 0.2 + 0.0 + 0.5 * 0.4) / 3
    assert classwise_calibration_error(probabilities, labels, bins=2) == pytest.approx(expected)


def test_adaptive_calibration_error_is_the_formula_of_its_paper() -> None:
    """1 / (O B) times the sum over classes and ranges of |accuracy - confidence|."""
    probabilities, labels = draw(60, 3)
    total = 0.0
    for one in range(3):
        rows = np.argsort(probabilities[:, one])
        for part in np.split(rows, 15):
            total += abs((labels[part] == one).mean() - probabilities[part, one].mean())
    found = classification_metrics(probabilities, labels)["ace"]
    assert found == pytest.approx(total / (3 * 15), rel=1e-12)


def test_calibration_error_of_one_bin_is_confidence_against_accuracy() -> None:
    probabilities, labels = draw(50, 4)
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    expected = abs(probabilities.max(axis=1).mean() - accuracy)
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(expected)


def test_labels_drawn_from_the_predictions_are_calibrated() -> None:
    probabilities, _ = draw(40_000, 3)
    draws = np.random.default_rng(2).random((40_000, 1))
    labels = (draws > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    for binning in (equal_width, equal_mass):
        assert expected_calibration_error(probabilities, labels, binning=binning) < 0.015
        assert classwise_calibration_error(probabilities, labels, binning=binning) < 0.015


@few
@given(rows=st.integers(1, 40), classes=st.integers(2, 6), seed=st.integers(0, 1000))
def test_metrics_stay_on_their_scales(rows: int, classes: int, seed: int) -> None:
    found = classification_metrics(*draw(rows, classes, seed))
    assert found.pop("nll") >= 0.0
    assert 0.0 <= found.pop("brier") <= 2.0
    assert all(0.0 <= value <= 1.0 for value in found.values())


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


def test_confusion_has_true_classes_in_rows() -> None:
    counts = confusion(np.array([1, 1, 0]), np.array([0, 1, 0]), 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 1, 0], [0, 0, 0]])
