"""Metrics on the stop part are scikit-learn's, of what a learner predicts."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics

from ensemble_pipe.core.metrics import metrics_for
from ensemble_pipe.nn.losses import BinaryCrossEntropy, CrossEntropy, GaussianNLL, SquaredError
from ensemble_pipe.training.measures import stop_metrics

ROWS = 60
RANDOM = np.random.default_rng(4)
WEIGHTS = np.ones(ROWS, np.float32)


def measured(outputs: np.ndarray, targets: np.ndarray, loss: object, name: str) -> float:
    found = stop_metrics(outputs, targets, loss, WEIGHTS, f"stop/{name}")  # type: ignore[arg-type]
    return found[f"stop/{name}"]


def test_of_several_classes() -> None:
    logits = RANDOM.normal(size=(ROWS, 4)).astype(np.float32)
    labels = RANDOM.integers(0, 4, ROWS).astype(np.int32)
    shares = np.exp(logits.astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    decided = shares.argmax(axis=1)
    expected = {
        "nll": metrics.log_loss(labels, shares),
        "brier": metrics.brier_score_loss(labels, shares, scale_by_half=False),
        "accuracy": metrics.accuracy_score(labels, decided),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, decided),
        "f1": metrics.f1_score(labels, decided, average="macro"),
        "auroc": metrics.roc_auc_score(labels, shares, multi_class="ovr"),
    }
    assert set(expected) == set(metrics_for("classification"))
    for name, value in expected.items():
        assert measured(logits, labels, CrossEntropy(), name) == pytest.approx(value, rel=1e-6)


def test_of_two_classes_from_one_output() -> None:
    scores = RANDOM.normal(size=(ROWS, 1)).astype(np.float32)
    labels = RANDOM.integers(0, 2, ROWS).astype(np.int32)
    found = measured(scores, labels, BinaryCrossEntropy(), "f1")
    assert found == pytest.approx(metrics.f1_score(labels, scores[:, 0] > 0))
    found = measured(scores, labels, BinaryCrossEntropy(), "auroc")
    assert found == pytest.approx(metrics.roc_auc_score(labels, scores[:, 0]))
    assert measured(scores, np.ones_like(labels), BinaryCrossEntropy(), "auroc") == 0.5


def test_of_numbers_with_a_variance_and_without() -> None:
    outputs = RANDOM.normal(size=(ROWS, 2)).astype(np.float32)
    targets = RANDOM.normal(size=ROWS).astype(np.float32)
    loss = GaussianNLL()
    mean, variance = loss.predictions(outputs).astype(np.float64).T
    nll = -norm.logpdf(targets, mean, np.sqrt(variance)).mean()
    assert measured(outputs, targets, loss, "nll") == pytest.approx(nll)
    rmse = metrics.root_mean_squared_error(targets, mean)
    assert measured(outputs, targets, loss, "rmse") == pytest.approx(rmse)
    mae = metrics.mean_absolute_error(targets, mean)
    assert measured(outputs, targets, loss, "mae") == pytest.approx(mae)
    assert 0 < measured(outputs, targets, loss, "crps") < mae
    noise = -norm.logpdf(targets, mean, rmse).mean()
    assert measured(outputs[:, :1], targets, SquaredError(), "nll") == pytest.approx(noise)
