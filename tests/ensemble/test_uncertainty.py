"""Uncertainty of classes and numbers: the data's noise and what the members disagree about."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special, stats
from scipy.special import logsumexp

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.combiners.pooling import BLOCK_NUMBERS, mixture
from ensemble_pipe.ensemble.kernels.exponential import exponential
from ensemble_pipe.ensemble.kernels.pooling import BLOCK_ROWS
from ensemble_pipe.ensemble.uncertainty import MEASURES, uncertainty

LOGITS = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 6)),
    elements=st.floats(-30, 30, width=32),
)
few = settings(max_examples=40, deadline=None)


@few
@given(logits=LOGITS)
def test_the_total_is_the_sum_of_its_parts(logits: Floats) -> None:
    found = uncertainty(logits)
    parts = found["expected_entropy"] + found["mutual_information"]
    np.testing.assert_allclose(found["entropy"], parts, atol=1e-12)


@few
@given(logits=LOGITS)
def test_every_measure_stays_on_its_scale(logits: Floats) -> None:
    found = uncertainty(logits)
    assert all(values.shape == logits.shape[1:2] for values in found.values())
    for name in ("entropy", "expected_entropy", "mutual_information"):
        assert ((found[name] >= 0.0) & (found[name] <= log(logits.shape[-1]) + 1e-12)).all()
    for name in ("disagreement", "variation_ratio", "margin"):
        assert ((found[name] >= 0.0) & (found[name] <= 1.0)).all()
    assert (found["variation_ratio"] <= found["disagreement"]).all()
    assert (found["energy"] <= found["max_logit"] + 1e-12).all()


@few
@given(logits=LOGITS)
def test_one_member_does_not_disagree(logits: Floats) -> None:
    found = uncertainty(logits[:1])
    for name in ("mutual_information", "disagreement", "variation_ratio"):
        assert not found[name].any()
    np.testing.assert_array_equal(found["entropy"], found["expected_entropy"])


def test_members_that_agree_do_not_disagree() -> None:
    member = np.random.default_rng(1).standard_normal((1, 6, 4)).astype(np.float32)
    found = uncertainty(np.repeat(member, 5, axis=0))
    np.testing.assert_allclose(found["mutual_information"], 0.0, atol=1e-15)
    np.testing.assert_allclose(found["entropy"], found["expected_entropy"], rtol=1e-14)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_uniform_members_are_uncertain_of_everything(classes: int) -> None:
    found = uncertainty(np.zeros((3, 2, classes), np.float32))
    np.testing.assert_allclose(found["entropy"], log(classes), rtol=1e-14)
    np.testing.assert_allclose(found["expected_entropy"], log(classes), rtol=1e-14)


def test_certain_members_that_contradict_have_only_disagreement() -> None:
    logits = np.array([[[1e4, 0.0]], [[0.0, 1e4]]], np.float32)
    found = uncertainty(logits)
    np.testing.assert_array_equal(found["expected_entropy"], [0.0])
    np.testing.assert_allclose(found["mutual_information"], [log(2.0)], rtol=1e-15)


def test_certain_members_that_agree_are_sure() -> None:
    found = uncertainty(np.array([[[1e4, 0.0]], [[1e4, 0.0]]], np.float32))
    np.testing.assert_array_equal([found.pop("energy"), found.pop("max_logit")], [[-1e4], [-1e4]])
    np.testing.assert_array_equal(found.pop("margin"), [1.0])
    assert not any(values.any() for values in found.values())


def test_entropies_are_those_of_scipy() -> None:
    logits = np.random.default_rng(2).standard_normal((3, 6, 4))
    found = uncertainty(logits)
    probabilities = softmax(logits)
    np.testing.assert_allclose(found["entropy"], stats.entropy(probabilities.mean(0), axis=-1))
    each = stats.entropy(probabilities, axis=-1)
    np.testing.assert_allclose(found["expected_entropy"], each.mean(axis=0))


def test_disagreement_is_the_mean_divergence_from_the_mixture() -> None:
    logits = np.random.default_rng(3).standard_normal((4, 6, 3))
    probabilities = softmax(logits)
    divergences = stats.entropy(probabilities, probabilities.mean(axis=0)[None], axis=-1)
    found = uncertainty(logits)["mutual_information"]
    np.testing.assert_allclose(found, divergences.mean(axis=0), rtol=1e-10)


def test_votes_and_margin_by_hand() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.1, 0.7, 0.2], [0.1, 0.2, 0.7]])
    logits = np.log(probabilities)[:, None]
    found = uncertainty(logits)  # the mean is 0.325, 0.325, 0.35; the votes 2, 1, 1
    np.testing.assert_array_equal(found["disagreement"], [0.75])
    np.testing.assert_array_equal(found["variation_ratio"], [0.5])
    np.testing.assert_allclose(found["margin"], [0.025])
    found = uncertainty(logits, np.array([0.4, 0.4, 0.2, 0.0]))  # 0.46, 0.30, 0.24; 0.8, 0.2, 0
    np.testing.assert_allclose(found["disagreement"], [0.2])
    np.testing.assert_allclose(found["variation_ratio"], [0.2])
    np.testing.assert_allclose(found["margin"], [0.16])


def test_energy_and_largest_logit_are_of_the_mean_logits() -> None:
    logits = np.random.default_rng(4).standard_normal((3, 6, 4))
    found = uncertainty(logits)
    np.testing.assert_allclose(found["energy"], -logsumexp(logits.mean(axis=0), axis=1))
    np.testing.assert_allclose(found["max_logit"], -logits.mean(axis=0).max(axis=1))


def test_equal_weights_are_the_default() -> None:
    logits = np.random.default_rng(5).standard_normal((4, 6, 3)).astype(np.float32)
    for one, other in zip(
        uncertainty(logits).values(), uncertainty(logits, np.full(4, 0.25)).values(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_members_of_weight_zero_change_no_bit() -> None:
    random = np.random.default_rng(6)
    logits = random.standard_normal((4, 6, 3)).astype(np.float32)
    weights, kept = np.array([0.3, 0.0, 0.7, 0.0]), [0, 2]
    logits[1] = -np.inf  # of which nothing may be seen
    whole, part = uncertainty(logits, weights), uncertainty(logits[kept], weights[kept])
    assert all(whole[name].tobytes() == part[name].tobytes() for name in whole)


def reference(logits: Floats, weights: Floats) -> dict[str, Floats]:
    """Return the measures as their formulas read."""
    shares = special.softmax(logits.astype(np.float64), axis=-1)
    mean = np.einsum("k,kro->ro", weights, shares)
    mean_logits = np.einsum("k,kro->ro", weights, logits.astype(np.float64))
    voted = shares.argmax(axis=-1)
    votes = np.stack([weights @ (voted == o) for o in range(logits.shape[2])], axis=1)
    expected = weights @ stats.entropy(shares, axis=-1)
    second, first = np.sort(mean, axis=1)[:, -2:].T
    return {
        "entropy": stats.entropy(mean, axis=-1),
        "expected_entropy": expected,
        "mutual_information": np.maximum(stats.entropy(mean, axis=-1) - expected, 0),
        "disagreement": 1 - votes[np.arange(len(mean)), mean.argmax(axis=1)],
        "variation_ratio": 1 - votes.max(axis=1),
        "margin": first - second,
        "energy": -logsumexp(mean_logits, axis=1),
        "max_logit": -mean_logits.max(axis=1),
    }


@pytest.mark.parametrize("classes", [2, 3, 17])
@pytest.mark.parametrize("scale", [0.1, 3.0, 300.0])
def test_every_measure_is_that_of_its_formula(classes: int, scale: float) -> None:
    random = np.random.default_rng(classes)
    logits = (scale * random.standard_normal((5, 200, classes))).astype(np.float32)
    weights = random.dirichlet(np.ones(5))
    found, expected = uncertainty(logits, weights), reference(logits, weights)
    assert list(found) == list(MEASURES) == list(expected)
    for name in MEASURES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-13)
    mean = np.einsum("k,kro->ro", weights, special.softmax(logits.astype(np.float64), axis=-1))
    # Below 1e-300 a share is zero: denormal numbers take a hundred times as long.
    np.testing.assert_allclose(mixture(logits, weights), mean, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("rows", [1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1])
def test_a_row_has_the_same_bits_among_any_number_of_rows(rows: int) -> None:
    logits = np.random.default_rng(7).standard_normal((3, 200, 4)).astype(np.float32)
    many, few = uncertainty(logits), uncertainty(logits[:, 100 : 100 + rows])
    assert all(few[name].tobytes() == many[name][100 : 100 + rows].tobytes() for name in few)
    weights = np.array([0.2, 0.3, 0.5])
    part, whole = mixture(logits[:, 100 : 100 + rows], weights), mixture(logits, weights)
    assert part.tobytes() == whole[100 : 100 + rows].tobytes()


def test_more_rows_than_are_converted_at_a_time_are_pooled_alike() -> None:
    members, classes = 64, 64
    rows = BLOCK_NUMBERS // (members * classes) + 3
    logits = np.random.default_rng(8).standard_normal((members, rows, classes)).astype(np.float32)
    found = uncertainty(logits)
    last = uncertainty(logits[:, -2:])
    assert all(found[name][-2:].tobytes() == last[name].tobytes() for name in found)


def test_what_is_no_number_stays_so() -> None:
    logits = np.zeros((2, 3, 4), np.float32)
    logits[1, 1, 2] = np.nan
    found = uncertainty(logits)
    np.testing.assert_array_equal(np.isnan(found["entropy"]), [False, True, False])
    pooled = mixture(logits, np.ones(2) / 2)
    np.testing.assert_array_equal(np.isnan(pooled[:, 2]), [False, True, False])


@given(x=st.floats(-708, 0))
def test_the_exponential_is_that_of_numpy_to_the_last_bits(x: float) -> None:
    assert abs(exponential(x) - np.exp(x)) <= 3e-16 * np.exp(x)


def test_the_exponential_of_anything_lower_is_zero() -> None:
    assert [exponential(x) for x in (-708.5, -1e9, -np.inf)] == [0.0, 0.0, 0.0]
    assert exponential(0.0) == 1.0
    assert np.isnan(exponential(np.nan))
