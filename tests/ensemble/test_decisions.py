"""Decisions on a class: by a threshold that suits a metric, or by what mistakes cost."""

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from ensemble_pipe.core.metrics import decided_metrics
from ensemble_pipe.ensemble.decisions import Decide, Decided, Decision, best_threshold


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities with ties, zeros and ones, and labels that may be all alike."""
    count = draw(st.integers(1, 20))
    scores = draw(
        st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), min_size=count, max_size=count)
    )
    labels = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    return np.array(scores), np.array(labels)


@settings(max_examples=100, deadline=None)
@given(scored(), st.sampled_from(get_args(Decided)))
def test_no_threshold_is_better_than_the_fitted_one(
    case: tuple[np.ndarray, np.ndarray], metric: str
) -> None:
    scores, labels = case

    def at(threshold: float) -> float:
        return decided_metrics((scores >= threshold).astype(np.int64), labels, 2)[metric]

    found = best_threshold(metric, scores, labels)
    tried = [0.0, 0.1, 0.3, 0.6, 0.9, *([1.0 + 1e-9] if scores.max() < 1 else [])]
    assert 0 <= found <= 1
    assert at(found) == pytest.approx(max(at(one) for one in tried))


def test_it_is_halfway_between_two_probabilities() -> None:
    scores, labels = np.array([0.1, 0.2, 0.3, 0.9]), np.array([0, 0, 1, 1])
    assert best_threshold("f1", scores, labels) == 0.25
    # No row or every row of class 1 are as good: the one nearer to 0.5 is taken.
    assert best_threshold("accuracy", np.array([0.1, 0.8]), np.array([1, 0])) == 0.9
    neighbours = np.array([0.5, np.nextafter(0.5, 1)])
    found = best_threshold("accuracy", neighbours, np.array([0, 1]))
    assert (neighbours >= found).tolist() == [False, True]


def test_the_class_of_the_lowest_expected_cost_is_decided() -> None:
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(3), 50)
    costs = ((0.0, 1.0, 9.0), (2.0, 0.0, 2.0), (4.0, 1.0, 0.5))
    decision = Decide(costs=costs).fitted(None, np.zeros(0, np.int64))
    expected = [
        min(range(3), key=lambda j: sum(p[i] * costs[i][j] for i in range(3)))
        for p in probabilities
    ]
    decided = decision.decide(probabilities)
    assert decided.tolist() == expected
    labels = random.integers(0, 3, 50)
    found = decision.metrics(probabilities, labels)
    paid = [costs[true][one] for true, one in zip(labels, decided, strict=True)]
    assert found["cost"] == pytest.approx(np.mean(paid))
    assert found["accuracy"] == metrics.accuracy_score(labels, decided)


@given(st.floats(0.1, 10), st.floats(0.1, 10))
def test_costs_of_two_classes_are_a_threshold(missed: float, false_alarm: float) -> None:
    # Elkan 2001, equation 2: p* = (c10 - c00) / (c10 - c00 + c01 - c11), by decided and true class.
    decision = Decision(costs=((0.0, false_alarm), (missed, 0.0)))
    threshold = false_alarm / (false_alarm + missed)
    shares = np.array([threshold * 0.99, threshold + (1 - threshold) * 0.01])
    assert decision.decide(np.stack([1 - shares, shares], axis=1)).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "give one of threshold and costs"),
        ({"threshold": 0.3, "costs": ((0, 1), (1, 0))}, "give one of threshold and costs"),
        ({"threshold": 0.3, "metric": "f1"}, "metric is what threshold: auto aims at"),
        ({"costs": ((0, 1), (1, 0), (1, 1))}, "need as many rows as columns"),
        ({"costs": ((5, 1), (1, 0))}, "to predict class 0 .* where it is true costs 5, more than"),
    ],
)
def test_what_is_no_decision_is_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Decide(**values)


def test_it_must_be_for_the_classes_of_the_data() -> None:
    assert Decide(threshold="auto").misfit(2) is None
    assert "is for two classes, but here are 3" in str(Decide(threshold=0.2).misfit(3))
    assert "are for 2 classes, but here are 3" in str(Decide(costs=((0, 1), (1, 0))).misfit(3))
    with pytest.raises(ValueError, match="does not decide between 3 classes"):
        Decision(threshold=0.2).check(3)
