"""Combiners: one member is itself, and many are the mixture of all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax as scipy_softmax

from ensemble_pipe.arrays import Floats
from ensemble_pipe.ensemble.combiners import gaussian_mixture, mean_probability, softmax

LOGITS = arrays(np.float32, (3, 4, 5), elements=st.floats(-50, 50, width=32))
few = settings(max_examples=25, deadline=None)


def draw(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


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
    assert mean_probability(logits).tobytes() == softmax(logits[0]).tobytes()


def test_mean_of_two_by_hand() -> None:
    logits = np.log(np.array([[[0.25, 0.75]], [[0.75, 0.25]]]))
    np.testing.assert_allclose(mean_probability(logits), [[0.5, 0.5]], rtol=1e-15)


def test_mean_of_equal_members_is_each_of_them() -> None:
    logits = np.repeat(draw(1, 7, 3), 4, axis=0)
    np.testing.assert_allclose(mean_probability(logits), softmax(logits[0]), rtol=1e-15)


@few
@given(logits=LOGITS)
def test_mean_probabilities_are_the_mean_and_sum_to_one(logits: Floats) -> None:
    mean = mean_probability(logits)
    np.testing.assert_allclose(mean, softmax(logits).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(mean.sum(axis=-1), 1.0, rtol=1e-12)


def test_mixture_of_one_member_has_its_mean_and_the_noise() -> None:
    mean, deviation = gaussian_mixture(np.array([[1.5, -2.0]], np.float32), 0.25)
    np.testing.assert_array_equal(mean, [1.5, -2.0])
    np.testing.assert_array_equal(deviation, [0.5, 0.5])


def test_mixture_by_hand() -> None:
    mean, deviation = gaussian_mixture(np.array([[1.0], [3.0]], np.float32), 3.0)
    np.testing.assert_array_equal(mean, [2.0])
    np.testing.assert_array_equal(deviation, [2.0])  # sqrt(3 + 1)


def test_mixture_of_members_with_variances_of_their_own_by_hand() -> None:
    means = np.array([[1.0, 0.0], [3.0, 0.0]], np.float32)
    mean, deviation = gaussian_mixture(means, np.array([[2.0, 4.0], [4.0, 14.0]]))
    np.testing.assert_array_equal(mean, [2.0, 0.0])
    np.testing.assert_array_equal(deviation, [2.0, 3.0])  # sqrt(3 + 1), sqrt(9 + 0)


def test_one_variance_for_all_is_that_of_each() -> None:
    means = draw(3, 4)
    for one, other in zip(
        gaussian_mixture(means, 0.5), gaussian_mixture(means, np.full((3, 4), 0.5)), strict=True
    ):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("variance", [0.49, np.linspace(0.1, 2.0, 15).reshape(5, 3)])
def test_mixture_has_the_variance_of_draws_from_it(variance: Floats | float) -> None:
    means = 2.0 * draw(5, 3)
    mean, deviation = gaussian_mixture(means, variance)
    random = np.random.default_rng(1)
    members = random.integers(0, 5, 200_000)
    deviations = np.sqrt(np.broadcast_to(variance, means.shape))
    drawn = random.normal(means[members], deviations[members])
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(drawn.std(axis=0), deviation, rtol=0.02)


@pytest.mark.parametrize("members", [1, 3])
def test_mixture_is_computed_in_float64(members: int) -> None:
    mean, deviation = gaussian_mixture(draw(members, 4), 0.1)
    assert mean.dtype == deviation.dtype == np.float64
