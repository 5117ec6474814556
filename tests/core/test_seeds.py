"""Seeds: every address has its own stream, and always the same one."""

from itertools import product
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.core.seeds import MAX_SEED, Draws, Purpose, generator

WORDS = st.integers(0, 2**32 - 1)
ADDRESSES = st.tuples(
    st.integers(0, MAX_SEED), st.sampled_from(Purpose), WORDS, WORDS, WORDS, WORDS
)

FROZEN_INTEGERS = [6051426402727968839, 4111136514534761612, 7325377423048301168]
FROZEN_FLOAT = 0.6166256526448556


def draws(
    root: int, purpose: Purpose, learner: int = 0, epoch: int = 0, step: int = 0, shard: int = 0
) -> Integers:
    random = generator(root, purpose, learner=learner, epoch=epoch, step=step, shard=shard)
    return random.integers(0, 2**63, 8)


def test_the_first_draws_of_one_address_are_frozen() -> None:
    # Results of earlier versions depend on these: they may never change.
    random = generator(42, Purpose.ORDER, learner=3, epoch=5, step=7, shard=11)
    assert random.integers(0, 2**63, 3).tolist() == FROZEN_INTEGERS
    assert generator(42, Purpose.VARY, learner=1).random() == FROZEN_FLOAT


def test_the_numbers_of_purposes_are_frozen() -> None:
    assert {purpose.name: int(purpose) for purpose in Purpose} == {
        "INITIALIZE": 1,
        "ORDER": 2,
        "SPLIT": 3,
        "AUGMENT": 4,
        "VARY": 5,
        "LAYER": 6,
        "VIEW": 7,
        "FOLD": 8,
        "FEATURES": 9,
        "MIX": 10,
        "TEST_TIME": 11,
        "MC_DROPOUT": 12,
        "COMBINE": 13,
        "ESTIMATOR": 14,
        "BOOTSTRAP": 15,
        "QUANTILE_NOISE": 16,
        "TARGET_SCALE": 17,
        "BASELINE": 20,
        "PERMUTATION": 21,
        "SEARCH": 22,
        "START": 23,
    }


def test_draws_of_several_learners_are_those_of_their_own_addresses() -> None:
    learners = [3, 0, 7]
    draws = Draws(11, Purpose.LAYER, learners)
    for step, name in (
        (0, "dropout1"),
        (5, "dropout1"),
        (5, "residual1/dropout1"),
        (0, "dropout1"),
    ):
        for learner, random in zip(learners, draws.at(step, name), strict=True):
            place = crc32(name.encode())
            own = generator(11, Purpose.LAYER, learner=learner, step=step, shard=place)
            np.testing.assert_array_equal(random.random(5), own.random(5))


@settings(max_examples=30, deadline=None)
@given(address=ADDRESSES)
def test_the_same_address_gives_the_same_bits(
    address: tuple[int, Purpose, int, int, int, int],
) -> None:
    assert draws(*address).tobytes() == draws(*address).tobytes()


@settings(max_examples=60, deadline=None)
@given(first=ADDRESSES, second=ADDRESSES)
def test_two_addresses_give_two_streams(
    first: tuple[int, Purpose, int, int, int, int], second: tuple[int, Purpose, int, int, int, int]
) -> None:
    assert (draws(*first).tobytes() == draws(*second).tobytes()) == (first == second)


def test_every_address_of_a_small_grid_has_its_own_stream() -> None:
    grid = list(product((0, 1), Purpose, (0, 1), (0, 1), (0, 1), (0, 1)))
    streams = {draws(*address).tobytes() for address in grid}
    assert len(streams) == len(grid)


def test_neighbouring_streams_do_not_overlap() -> None:
    long = generator(1, Purpose.AUGMENT, step=0).integers(0, 2**63, 10_000)
    next_step = generator(1, Purpose.AUGMENT, step=1).integers(0, 2**63, 10_000)
    assert not set(long.tolist()) & set(next_step.tolist())


def test_a_draw_leaves_other_generators_alone() -> None:
    first, second = generator(1, Purpose.ORDER), generator(1, Purpose.ORDER)
    first.random(100)
    assert second.random() == generator(1, Purpose.ORDER).random()


def test_draws_of_many_learners_look_independent() -> None:
    values = np.stack([generator(1, Purpose.ORDER, learner=m).random(1000) for m in range(20)])
    correlations = np.asarray(np.corrcoef(values)) - np.eye(20)
    assert np.abs(correlations).max() < 0.16  # five standard errors of 1 / sqrt(1000)
    assert abs(values.mean() - 0.5) < 5 / np.sqrt(12 * values.size)


def test_the_largest_seed_is_taken() -> None:
    assert draws(MAX_SEED, Purpose.SPLIT).tobytes() != draws(0, Purpose.SPLIT).tobytes()


@pytest.mark.parametrize("root", [-1, 2**64])
def test_a_seed_that_does_not_fit_is_refused(root: int) -> None:
    with pytest.raises(OverflowError):
        generator(root, Purpose.SPLIT)
