"""Diversity: by hand, against scipy, and an ensemble's loss is its members' minus the ambiguity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import log_loss, mean_squared_error

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.diversity import (
    classification_diversity,
    error_correlation,
    joint_counts,
    mean_disagreement,
    mean_kl,
    mean_residual_correlation,
    nll_decomposition,
    q_statistic,
    regression_diversity,
    squared_error_decomposition,
)

few = settings(max_examples=20, deadline=None)


def draw(members: int, rows: int = 40, classes: int = 3) -> tuple[Floats, Integers]:
    random = np.random.default_rng(members)
    logits = random.standard_normal((members, rows, classes)).astype(np.float32)
    return logits, random.integers(0, classes, rows)


def mean_of_pairs(matrix: Floats) -> float:
    """Return the mean of a matrix (K, K) over pairs of two members."""
    return float(np.mean(matrix[~np.eye(len(matrix), dtype=bool)]))


def weights_of(members: int) -> Floats:
    weights: Floats = np.random.default_rng(members).dirichlet(np.ones(members))
    return weights


@few
@given(members=st.integers(1, 6), equal=st.booleans())
def test_the_nll_is_that_of_the_members_minus_the_ambiguity(members: int, equal: bool) -> None:
    logits, labels = draw(members)
    weights = np.full(members, 1 / members) if equal else weights_of(members)
    found = nll_decomposition(logits, labels, None if equal else weights)
    probabilities = softmax(logits)
    mean = np.tensordot(weights, probabilities, 1)
    each = [log_loss(labels, one, labels=range(3)) for one in probabilities]
    assert found.ensemble == pytest.approx(log_loss(labels, mean, labels=range(3)))
    assert found.members == pytest.approx(weights @ each)
    assert found.ambiguity == pytest.approx(found.members - found.ensemble, abs=1e-12)
    assert found.ambiguity >= 0.0


@few
@given(members=st.integers(1, 6), equal=st.booleans())
def test_the_squared_error_is_that_of_the_members_minus_the_ambiguity(
    members: int, equal: bool
) -> None:
    random = np.random.default_rng(members)
    means, targets = random.standard_normal((members, 30, 2)), random.standard_normal((30, 2))
    weights = np.full(members, 1 / members) if equal else weights_of(members)
    found = squared_error_decomposition(means, targets, None if equal else weights)
    mean = np.tensordot(weights, means, 1)
    each = [mean_squared_error(targets, one) for one in means]
    assert found.ensemble == pytest.approx(mean_squared_error(targets, mean))
    assert found.members == pytest.approx(weights @ each)
    # Krogh & Vedelsby 1995: no target is needed for the ambiguity.
    assert found.ambiguity == pytest.approx(found.members - found.ensemble)


def test_one_member_is_its_own_ensemble_and_has_no_diversity() -> None:
    logits, labels = draw(1)
    found = nll_decomposition(logits, labels)
    assert found.ensemble == found.members
    assert found.ambiguity == 0.0
    assert classification_diversity(logits, labels) == {}
    means, targets = np.ones((1, 5, 2)), np.zeros((5, 2))
    assert squared_error_decomposition(means, targets) == (1.0, 1.0, 0.0)
    assert regression_diversity(means, targets) == {}


def test_who_is_right_when_by_hand() -> None:
    right = np.array([[1, 1, 1, 0, 0, 1], [1, 1, 0, 1, 0, 1]], bool)
    # Both on 3 rows, neither on 1, one alone on 1 each: (3 - 1) / (3 + 1), (3 - 1) / sqrt(64).
    counts = joint_counts(right)
    assert [float(one[0, 1]) for one in counts] == [3, 1, 1, 1]
    np.testing.assert_allclose(q_statistic(*counts), [[1.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(error_correlation(*counts), [[1.0, 0.25], [0.25, 1.0]])


def test_disagreement_by_hand() -> None:
    predicted = np.array([[0, 1, 2, 0], [0, 1, 1, 1], [2, 2, 0, 2]])
    assert mean_disagreement(predicted, 3) == pytest.approx((0.5 + 1.0 + 1.0) / 3)


def test_correlations_are_those_of_numpy() -> None:
    random = np.random.default_rng(1)
    right = random.random((4, 50)) < 0.7
    found = error_correlation(*joint_counts(right))
    np.testing.assert_allclose(found, np.corrcoef(right), atol=1e-12)
    residuals = random.standard_normal((4, 50, 2)) + random.standard_normal((1, 50, 2))
    expected = np.mean([np.corrcoef(residuals[:, :, d]) for d in range(2)], axis=0)
    mean = mean_residual_correlation(residuals)
    assert mean == pytest.approx(mean_of_pairs(np.asarray(expected)), abs=1e-12)


def test_kl_is_that_of_scipy() -> None:
    logits, _ = draw(3, rows=60)
    probabilities = softmax(logits)
    expected = [[stats.entropy(p, q, axis=1).mean() for q in probabilities] for p in probabilities]
    assert mean_kl(logits) == pytest.approx(mean_of_pairs(np.array(expected)), abs=1e-12)


def both_measures(right: Array) -> tuple[float, float]:
    """Return the Q statistic and the correlation of the first two members."""
    counts = joint_counts(right)
    return float(q_statistic(*counts)[0, 1]), float(error_correlation(*counts)[0, 1])


def test_independent_members_have_a_q_of_zero_and_opposite_ones_of_minus_one() -> None:
    grid = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], bool)
    assert both_measures(grid) == (0.0, 0.0)
    opposite = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], bool)
    assert both_measures(opposite) == (-1.0, -1.0)


def test_what_is_not_defined_is_zero() -> None:
    right = np.array([[1, 1, 1], [1, 0, 1]], bool)  # the first is always right
    assert both_measures(right) == (0.0, 0.0)
    assert mean_residual_correlation(np.stack([np.ones((3, 1)), np.eye(3)[:, :1]])) == 0.0


def test_equal_members_have_no_diversity() -> None:
    logits, labels = draw(1)
    found = classification_diversity(np.repeat(logits, 3, axis=0), labels)
    assert found == pytest.approx(
        {"disagreement": 0, "q_statistic": 1, "error_correlation": 1, "kl": 0, "ambiguity": 0}
    )
    means, targets = np.random.default_rng(2).standard_normal((2, 1, 30, 1))
    found = regression_diversity(np.repeat(means, 3, axis=0), targets[0])
    assert found == pytest.approx({"residual_correlation": 1.0, "ambiguity": 0.0})


def test_members_that_are_sure_and_contradict_stay_finite() -> None:
    logits = np.array([[[1e4, -1e4]], [[-1e4, 1e4]], [[0.0, -np.inf]]], np.float32)
    found = classification_diversity(logits, np.array([0]))
    assert np.isfinite(list(found.values())).all()
    assert found["disagreement"] == pytest.approx(2 / 3)


def test_the_mean_is_over_pairs_of_two_members() -> None:
    logits, labels = draw(4)
    found = classification_diversity(logits, labels)
    predicted = logits.argmax(axis=2)
    matrix = np.stack([(predicted != one).mean(axis=1) for one in predicted])
    assert found["disagreement"] == pytest.approx(matrix[np.triu_indices(4, 1)].mean())
