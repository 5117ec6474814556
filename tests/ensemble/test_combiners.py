"""Combiners: one member is itself, and many are the mixture of all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax as scipy_softmax

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.combiners import Weighted, pooling, softmax

LOGITS = arrays(np.float32, (3, 4, 5), elements=st.floats(-50, 50, width=32))
few = settings(max_examples=25, deadline=None)


def draw(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def mean_of(logits: Floats) -> Floats:
    return Weighted.equal(len(logits)).probabilities(logits)


@few
@given(logits=LOGITS)
def test_softmax_is_that_of_scipy(logits: Floats) -> None:
    expected = scipy_softmax(logits.astype(np.float64), axis=-1)
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-12)


def test_softmax_of_extreme_logits_is_finite() -> None:
    values = softmax(np.array([[1e4, 0.0, -1e4], [1e4, 1e4, -1e4]], np.float32))
    np.testing.assert_array_equal(values, [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])


def test_softmax_is_float64_and_leaves_the_logits() -> None:
    logits = draw(4, 3)
    before = logits.copy()
    assert softmax(logits).dtype == np.float64
    np.testing.assert_array_equal(logits, before)
    exact = logits.astype(np.float64)
    softmax(exact)
    np.testing.assert_array_equal(exact, before)


def test_mean_of_one_member_is_the_member() -> None:
    logits = draw(1, 7, 3)
    assert mean_of(logits).tobytes() == softmax(logits[0]).tobytes()


def test_mean_of_two_by_hand() -> None:
    logits = np.log(np.array([[[0.25, 0.75]], [[0.75, 0.25]]]))
    np.testing.assert_allclose(mean_of(logits), [[0.5, 0.5]], rtol=1e-15)


def test_mean_of_equal_members_is_each_of_them() -> None:
    logits = np.repeat(draw(1, 7, 3), 4, axis=0)
    np.testing.assert_allclose(mean_of(logits), softmax(logits[0]), rtol=1e-15)


@few
@given(logits=LOGITS)
def test_mean_probabilities_are_the_mean_and_sum_to_one(logits: Floats) -> None:
    mean = mean_of(logits)
    np.testing.assert_allclose(mean, softmax(logits).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(mean.sum(axis=-1), 1.0, rtol=1e-12)


def moments(means: Floats, variances: Floats, weights: tuple[float, ...] = ()) -> list[Floats]:
    """Return mean, aleatoric and epistemic variance of a mixture, equally weighted without."""
    combiner = Weighted(weights=weights) if weights else Weighted.equal(len(means))
    return list(combiner.mixture(means, variances))


def test_a_mixture_of_one_member_is_the_member() -> None:
    means, variances = draw(1, 6, 2), draw(1, 6, 2) ** 2
    mean, aleatoric, epistemic = moments(means, variances)
    np.testing.assert_array_equal(mean, means[0])
    np.testing.assert_array_equal(aleatoric, variances[0])
    assert not epistemic.any()


def test_mixture_by_hand() -> None:
    means, variances = np.array([[[1.0]], [[3.0]]]), np.array([[[2.0]], [[4.0]]])
    assert [part.item() for part in moments(means, variances)] == [2.0, 3.0, 1.0]
    found = moments(means, variances, (0.75, 0.25))
    assert [part.item() for part in found] == [1.5, 2.5, 0.75]


@pytest.mark.parametrize("weights", [(0.2,) * 5, (0.1, 0.2, 0.3, 0.15, 0.25)])
def test_mixture_has_the_moments_of_draws_from_it(weights: tuple[float, ...]) -> None:
    """The law of total variance, on simulated draws: first a member, then a number."""
    random = np.random.default_rng(8)
    means, variances = 2.0 * random.standard_normal((5, 3, 2)), random.uniform(0.1, 4.0, (5, 3, 2))
    mean, aleatoric, epistemic = moments(means, variances, weights)
    members = random.choice(5, 200_000, p=weights)
    drawn = random.normal(means[members], np.sqrt(variances[members]))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(drawn.var(axis=0), aleatoric + epistemic, rtol=0.02)
    np.testing.assert_allclose(means[members].var(axis=0), epistemic, rtol=0.02)


@pytest.mark.parametrize("members", [1, 3])
def test_mixture_is_computed_in_float64(members: int) -> None:
    parts = moments(draw(members, 4, 1), np.full((members, 4, 1), 0.1, np.float32))
    assert {part.dtype for part in parts} == {np.dtype(np.float64)}


@pytest.mark.parametrize("members", [3, 7, 20, 49])
def test_no_probability_of_many_members_that_are_certain_is_above_1(members: int) -> None:
    logits = np.zeros((members, 5, 3), np.float32)
    logits[:, :, 1] = 60.0
    probabilities = Weighted.equal(members).probabilities(logits)
    assert probabilities.max() <= 1.0
    assert pooling.log_mixture(logits, Weighted.equal(members).member_weights()).max() <= 0.0
