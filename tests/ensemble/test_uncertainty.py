"""Uncertainty of classes and numbers: the data's noise and what the members disagree about."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.special import logsumexp

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.uncertainty import uncertainty

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
