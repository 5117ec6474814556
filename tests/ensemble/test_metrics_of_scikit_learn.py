"""Metrics of classes are scikit-learn's: counts to the last bit, sums to 1e-12.

Sums of floats run in another order here, so that they may differ in their last bits.
"""

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.metrics import class_metric, confusion, metrics_for, precision_recall_f1
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.metrics.classification import classification_metrics

many = settings(max_examples=50, deadline=None)
Rows = tuple[Floats, Integers]


@st.composite
def rows(draw: st.DrawFn, dtype: type = np.float64) -> Rows:
    """Return probabilities (R, O), with zeros, ones and ties, and labels that may miss classes."""
    count, classes = draw(st.integers(1, 30)), draw(st.integers(2, 7))
    scores = draw(arrays.arrays(np.int64, (count, classes), elements=st.integers(0, 4)))
    sharp = draw(st.sampled_from([0.0, 0.5, 3.0, 40.0, 1000.0]))  # the last makes ones and zeros
    labels = draw(arrays.arrays(np.int32, count, elements=st.integers(0, classes - 1)))
    return softmax(sharp * scores).astype(dtype), labels


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-12, abs=1e-15)


ONE_ROW = np.array([[0.25, 0.75]]), np.array([1], np.int32)
CERTAIN_AND_WRONG = np.eye(4)[[0, 1, 2, 3]], np.array([1, 2, 3, 0], np.int32)
ALL_ALIKE = np.full((4, 5), 0.2), np.array([0, 2, 4, 4], np.int32)


@many
@given(rows())
@example(ONE_ROW)
@example(CERTAIN_AND_WRONG)
@example(ALL_ALIKE)
def test_of_rows(case: Rows) -> None:
    probabilities, labels = case
    names = np.arange(probabilities.shape[1])
    found = classification_metrics(probabilities, labels)
    decided = probabilities.argmax(axis=1)
    assert found["accuracy"] == metrics.accuracy_score(labels, decided)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are decided for no row, or have none
        balanced = metrics.balanced_accuracy_score(labels, decided)
        kind = "binary" if len(names) == 2 else "macro"
        assert found["f1"] == close(metrics.f1_score(labels, decided, average=kind))
    assert found["balanced_accuracy"] == close(balanced)
    assert found["nll"] == close(metrics.log_loss(labels, probabilities, labels=names))
    brier = metrics.brier_score_loss(labels, probabilities, labels=names, scale_by_half=False)
    assert found["brier"] == close(brier)


@many
@given(rows())
@example(ALL_ALIKE)
def test_of_the_most_probable_classes_with_ties_as_they_are_there(case: Rows) -> None:
    probabilities, labels = case
    names = np.arange(probabilities.shape[1])
    found = classification_metrics(probabilities, labels)
    for k in (3, 5):
        assert (f"top_{k}_accuracy" in found) == (len(names) > k)
        if len(names) > k:
            top = metrics.top_k_accuracy_score(labels, probabilities, k=k, labels=names)
            assert found[f"top_{k}_accuracy"] == top


@many
@given(rows())
@example(CERTAIN_AND_WRONG)
def test_of_ranks(case: Rows) -> None:
    probabilities, labels = case
    found = classification_metrics(probabilities, labels)
    present = np.unique(labels)
    if len(present) < 2:
        assert not {"auroc", "auprc"} & found.keys()
        return
    counted = [1] if probabilities.shape[1] == 2 else present
    pairs = [(labels == one, probabilities[:, one]) for one in counted]
    auroc = np.mean([metrics.roc_auc_score(*pair) for pair in pairs])
    auprc = np.mean([metrics.average_precision_score(*pair) for pair in pairs])
    assert found["auroc"] == close(float(auroc))
    assert found["auprc"] == close(float(auprc))


@many
@given(rows())
def test_of_counts(case: Rows) -> None:
    probabilities, labels = case
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    names = np.arange(classes)
    counts = confusion(predicted, labels, classes)
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(labels, predicted, labels=names))
    *expected, _ = metrics.precision_recall_fscore_support(
        labels, predicted, labels=names, zero_division=np.nan
    )
    np.testing.assert_array_equal(precision_recall_f1(counts), expected)


@many
@given(rows(np.float32))
def test_of_float32_to_its_own_precision(case: Rows) -> None:
    probabilities, labels = case
    names = np.arange(probabilities.shape[1])
    found = classification_metrics(probabilities, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row of float32 need not sum to 1 so closely
        nll = metrics.log_loss(labels, probabilities, labels=names)
    assert found["accuracy"] == metrics.accuracy_score(labels, probabilities.argmax(axis=1))
    assert found["nll"] == pytest.approx(nll, rel=1e-5, abs=1e-6)


@many
@given(rows())
def test_each_metric_by_its_name_is_the_one_that_is_reported(case: Rows) -> None:
    probabilities, labels = case
    found = classification_metrics(probabilities, labels)
    for name in metrics_for("classification"):
        expected = found.get(name, 0.5)  # chance where ranks are of one class alone
        assert class_metric(name, probabilities, labels) == close(expected)


def test_of_classes_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    probabilities = random.dirichlet(np.ones(7), 40)
    labels = random.integers(0, 7, 40)
    whole = classification_metrics(probabilities, labels)
    monkeypatch.setattr("ensemble_pipe.ensemble.metrics.classification._BLOCK_NUMBERS", 40 * 3)
    assert classification_metrics(probabilities, labels) == whole
