"""Rows of other data told from one's own, and the least certain rows rejected."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.metrics.detection import ood_intervals, ood_metrics
from ensemble_pipe.ensemble.metrics.rejection import rejection_curve


def draw(distance: float, inside: int = 300, outside: int = 200) -> tuple[Floats, Floats]:
    random = np.random.default_rng(1)
    return random.standard_normal(inside), random.standard_normal(outside) + distance


@pytest.mark.parametrize("digits", [8, 1, 0])  # with fewer digits, more ties
def test_detection_is_that_of_scikit_learn_and_its_definition(digits: int) -> None:
    inside, outside = (values.round(digits) for values in draw(1.0))
    found = ood_metrics(inside, outside)
    truth = np.repeat([0, 1], [len(inside), len(outside)])
    scores = np.concatenate([inside, outside])
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, scores))
    assert found["auprc"] == pytest.approx(average_precision_score(truth, scores))
    threshold = np.quantile(inside, 0.95, method="inverted_cdf")
    assert found["fpr95"] == pytest.approx(np.mean(outside <= threshold))


def test_detection_of_what_is_wholly_apart_and_of_what_is_the_same() -> None:
    inside, outside = draw(100.0)
    assert ood_metrics(inside, outside) == {"auroc": 1.0, "fpr95": 0.0, "auprc": 1.0}
    constant = ood_metrics(np.zeros(30), np.zeros(10))
    assert constant == pytest.approx({"auroc": 0.5, "fpr95": 1.0, "auprc": 0.25})


def test_detection_intervals_are_those_of_plain_resampling() -> None:
    inside, outside = (values.round(2) for values in draw(1.0))
    found = ood_intervals(inside, outside, np.random.default_rng(2), resamples=500)
    random = np.random.default_rng(3)
    plain = [
        ood_metrics(random.choice(inside, len(inside)), random.choice(outside, len(outside)))
        for _ in range(500)
    ]
    for name, estimate in ood_metrics(inside, outside).items():
        interval = found[name]
        assert interval.estimate == estimate
        assert interval.low < estimate < interval.high
        width = interval.high - interval.low
        expected = np.quantile([one[name] for one in plain], [0.025, 0.975])
        np.testing.assert_allclose([interval.low, interval.high], expected, atol=0.25 * width)


def test_the_interval_of_auroc_covers_the_truth() -> None:
    inside, outside = draw(1.0, 2000, 2000)
    interval = ood_intervals(inside, outside, np.random.default_rng(4), resamples=200)["auroc"]
    assert interval.low < stats.norm.cdf(1 / np.sqrt(2)) < interval.high
    assert interval.high - interval.low < 0.04


def test_rejection_by_hand() -> None:
    correct = np.array([False, True, True, False])
    curve = rejection_curve(correct, np.array([0.9, 0.1, 0.3, 0.2]))
    np.testing.assert_array_equal(curve.kept, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(curve.mean, [1.0, 1 / 2, 2 / 3, 1 / 2])
    assert curve.area == pytest.approx((1 + 1 / 2 + 2 / 3 + 1 / 2) / 4)
    assert [curve.at(share) for share in (0.1, 0.5, 0.6)] == pytest.approx([1.0, 1 / 2, 2 / 3])


def test_rejecting_none_leaves_the_accuracy_and_errors_mirror_it() -> None:
    random = np.random.default_rng(5)
    labels, predicted = random.integers(0, 3, (2, 50))
    uncertainty = random.random(50)
    curve = rejection_curve(predicted == labels, uncertainty)
    wrong = rejection_curve(predicted != labels, uncertainty)
    assert curve.at(1.0) == pytest.approx(accuracy_score(labels, predicted))
    np.testing.assert_allclose(curve.mean + wrong.mean, 1.0)
    assert curve.area + wrong.area == pytest.approx(1.0)


def test_the_best_order_keeps_what_is_right_for_longest() -> None:
    correct = np.arange(10) % 2 == 0
    best = rejection_curve(correct, (~correct).astype(float))
    np.testing.assert_array_equal(best.mean[:5], 1.0)
    random = np.random.default_rng(6)
    assert all(rejection_curve(correct, random.random(10)).area <= best.area for _ in range(20))


def test_equally_uncertain_rows_come_in_no_order() -> None:
    correct = np.array([True, True, False, False])
    np.testing.assert_allclose(rejection_curve(correct, np.zeros(4)).mean, 0.5)
    halves = np.array([0.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(rejection_curve(correct, halves).mean, 0.5)
