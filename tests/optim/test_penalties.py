"""Penalties, decay, clipping and the limit of norms: by hand, and where they apply."""

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.optim import RULES, SGD, Adam, Rule, Segment, StackedRule, segments
from ensemble_pipe.optim.segments import merge_neighbours

KERNEL = (Segment(0, 6, 3),)


def step_of(
    rule: Rule, row: list[float], gradient: list[float], parts: tuple[Segment, ...]
) -> Floats:
    """Return a row after one step at the rule's own rate."""
    slots: dict[str, Floats] = {name: np.zeros((1, len(gradient))) for name in rule.slots}
    stack, rows = StackedRule([rule], slots, parts), np.array([row])
    stack.step(rows, np.array([gradient]), stack.learning_rates * np.ones(1), 0)
    moved: Floats = rows[0]
    return moved


def plain(**numbers: Any) -> SGD:
    return SGD(momentum=0.0, **{"learning_rate": 0.5, **numbers})


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, [3.0, -2.5, -0.5]),  # w - 0.5 g
        ({"l2": 0.1}, [2.8, -2.4, -0.5]),  # w - 0.5 (g + 0.1 w)
        ({"l1": 0.2}, [2.9, -2.4, -0.5]),  # w - 0.5 (g + 0.2 sign w), sign 0 = 0
        ({"weight_decay": 0.1}, [2.8, -2.375 - 0.025, -0.5]),  # w - 0.5 g - 0.5 * 0.1 w
        ({"l1": 0.2, "l2": 0.1, "weight_decay": 0.1}, [2.5, -2.2, -0.5]),
    ],
)
def test_a_step_of_plain_descent_by_hand(numbers: dict[str, float], expected: list[float]) -> None:
    moved = step_of(plain(**numbers), [4.0, -2.0, 0.0], [2.0, 1.0, 1.0], (Segment(0, 3, 1),))
    np.testing.assert_allclose(moved, expected, rtol=1e-14)


@pytest.mark.parametrize("penalty", ["l1", "l2", "weight_decay"])
def test_biases_feel_no_penalty(penalty: str) -> None:
    parts = (Segment(0, 2, 1), Segment(2, 4, decays=False))
    moved = step_of(plain(**{penalty: 1.0}), [1.0] * 4, [0.0] * 4, parts)
    np.testing.assert_array_equal(moved, [0.5, 0.5, 1.0, 1.0])


def test_adam_divides_a_penalty_by_the_second_moment_and_not_a_decay() -> None:
    """Loshchilov & Hutter 2019: what sets AdamW apart."""
    part = (Segment(0, 2, 1),)
    start, gradient = [1.0, 1.0], [1e-6, 1e6]
    decayed = step_of(Adam(learning_rate=0.1, weight_decay=0.5), start, gradient, part)
    without = step_of(Adam(learning_rate=0.1), start, gradient, part)
    np.testing.assert_allclose(without - decayed, [0.05, 0.05], rtol=1e-12)
    penalised = step_of(Adam(learning_rate=0.1, l2=0.5), start, gradient, part)
    np.testing.assert_allclose(penalised, [0.9, 0.9], rtol=1e-2)


# Clipping


@pytest.mark.parametrize(
    ("clip_norm", "moved"),
    [
        (None, [-3.0, -4.0]),
        (5.1, [-3.0, -4.0]),  # norm(3, 4) = 5
        (1.0, [-0.6, -0.8]),
    ],
)
def test_a_gradient_longer_than_the_limit_keeps_its_direction(
    clip_norm: float | None, moved: list[float]
) -> None:
    rule = plain(learning_rate=1.0, clip_norm=clip_norm)
    found = step_of(rule, [0.0, 0.0], [3.0, 4.0], (Segment(0, 2, 1),))
    np.testing.assert_allclose(found, moved, rtol=1e-6)


def test_clipping_comes_before_penalties() -> None:
    rule = plain(learning_rate=1.0, clip_norm=1.0, l2=1.0)
    found = step_of(rule, [10.0, 0.0], [3.0, 4.0], (Segment(0, 2, 1),))
    np.testing.assert_allclose(found, [10.0 - (0.6 + 10.0), -0.8], rtol=1e-6)


def test_the_norm_is_over_all_that_moves() -> None:
    parts = (Segment(0, 1, 1), Segment(1, 2, decays=False), Segment(2, 3, 1, rate_factor=0.0))
    found = step_of(plain(learning_rate=1.0, clip_norm=1.0), [0.0] * 3, [3.0, 4.0, 1e9], parts)
    np.testing.assert_allclose(found, [-0.6, -0.8, 0.0], rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 700), scale=st.sampled_from([1e-30, 1.0, 1e25]))
def test_a_clipped_step_of_float32_has_the_length_of_the_limit(size: int, scale: float) -> None:
    """Also where squares of float32 numbers overflow."""
    gradients = np.random.default_rng(size).standard_normal((1, size)).astype(np.float32)
    gradients *= np.float32(scale)
    rule = plain(learning_rate=1.0, clip_norm=2.0)
    stack = StackedRule([rule], {"velocity": np.zeros_like(gradients)}, (Segment(0, size),))
    rows = np.zeros_like(gradients)
    stack.step(rows, gradients, np.ones(1), 0)
    length = np.linalg.norm(gradients.astype(np.float64))
    expected = min(length, 2.0)
    assert np.linalg.norm(rows.astype(np.float64)) == pytest.approx(expected, rel=1e-5)


# The limit of norms


def test_a_column_that_is_too_long_is_scaled_back_by_hand() -> None:
    row = [3.0, 0.1, 0.0, 4.0, 0.2, 0.0]  # columns (3, 4), (0.1, 0.2), (0, 0)
    moved = step_of(plain(max_norm=2.0), row, [0.0] * 6, KERNEL)
    np.testing.assert_allclose(moved, [1.2, 0.1, 0.0, 1.6, 0.2, 0.0], rtol=1e-14)


@pytest.mark.parametrize("name", RULES)
def test_no_column_is_longer_than_the_limit_after_a_step(name: str) -> None:
    random = np.random.default_rng(4)
    rows, gradients = (random.standard_normal((2, 40)).astype(np.float32) for _ in range(2))
    parts = (Segment(0, 20, 4), Segment(20, 24, decays=False), Segment(24, 40, 8))
    rules = [RULES[name](learning_rate=0.5, max_norm=limit) for limit in (0.7, None)]
    free = [RULES[name](learning_rate=0.5) for _ in rules]
    slots, spare = ({slot: np.zeros((2, 40), np.float32) for slot in rules[0].slots} for _ in "ab")
    limited, unlimited = rows.copy(), rows.copy()
    StackedRule(rules, slots, parts).step(limited, gradients, np.full(2, 0.5), 0)
    StackedRule(free, spare, parts).step(unlimited, gradients, np.full(2, 0.5), 0)
    for start, stop, columns in ((0, 20, 4), (24, 40, 8)):
        long = np.linalg.norm(unlimited[0, start:stop].reshape(-1, columns), axis=0)
        found = np.linalg.norm(limited[0, start:stop].reshape(-1, columns), axis=0)
        np.testing.assert_allclose(found, np.minimum(long, 0.7), rtol=1e-6)
    assert limited[0, 20:24].tobytes() == unlimited[0, 20:24].tobytes()
    assert limited[1].tobytes() == unlimited[1].tobytes()


# Segments


def test_the_examples_of_segments_hold() -> None:
    assert doctest.testmod(segments).failed == 0


def test_rate_factors_multiply_the_rate_and_with_it_the_decay() -> None:
    parts = (Segment(0, 1, 1), Segment(1, 2, 1, rate_factor=0.1))
    moved = step_of(plain(learning_rate=1.0, weight_decay=0.5), [1.0, 1.0], [0.2, 0.2], parts)
    np.testing.assert_allclose(moved, [1 - 0.2 - 0.5, 1 - 0.02 - 0.05], rtol=1e-14)


def test_neighbours_are_joined_only_where_they_are_treated_alike() -> None:
    parts = [
        Segment(0, 4, 2), Segment(4, 6, 1), Segment(6, 8, decays=False),
        Segment(8, 9, decays=False, rate_factor=0.5), Segment(9, 12, 3, rate_factor=0.0),
        Segment(12, 13), Segment(13, 13), Segment(13, 15),
    ]  # fmt: skip
    found = [(part.start, part.stop) for part in merge_neighbours(parts)]
    assert found == [(0, 6), (6, 8), (8, 9), (12, 15)]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((Segment(0, 4), Segment(5, 6)), "does not follow on position 4"),
        ((Segment(0, 4), Segment(3, 6)), "does not follow on position 4"),
        ((Segment(0, 4),), "segments end at 4, trainable numbers at 6"),
        ((Segment(0, 6, 4),), "no whole number of columns"),
    ],
)
def test_segments_that_do_not_cover_the_row_are_refused(
    parts: tuple[Segment, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        StackedRule([SGD()], {"velocity": np.zeros((1, 6))}, parts)
