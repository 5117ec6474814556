"""Uncertainty: the total is the data's noise and the members' disagreement."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from ensemble_pipe.arrays import Floats
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
def test_every_part_lies_between_zero_and_the_log_of_the_classes(logits: Floats) -> None:
    highest = log(logits.shape[-1]) + 1e-12
    for values in uncertainty(logits).values():
        assert values.shape == logits.shape[1:2]
        assert ((values >= 0.0) & (values <= highest)).all()


@few
@given(logits=LOGITS)
def test_one_member_does_not_disagree(logits: Floats) -> None:
    assert not uncertainty(logits[:1])["mutual_information"].any()


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
