"""Strategies: what `vary` gives to each learner."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.ensemble.strategies import Range, Vary, varied_values

RATE = "training.optimizer.learning_rate"
UNITS = "network.hidden"
SHARES = st.floats(0.0, 1.0, exclude_max=True)
few = settings(max_examples=50, deadline=None)


def values_of(values: Range | tuple[Any, ...], learners: int, seed: int = 1) -> list[object]:
    vary: Vary = {RATE: values}
    return [varied_values(vary, learner, learner, seed)[RATE] for learner in range(learners)]


def test_a_list_goes_round_in_turn() -> None:
    assert values_of((0.1, 0.2, 0.3), 7) == [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1]


def test_a_list_of_one_is_the_same_for_all() -> None:
    assert values_of(("relu",), 3) == ["relu"] * 3


def test_a_list_does_not_depend_on_the_seed() -> None:
    assert values_of((1, 2), 4, seed=1) == values_of((1, 2), 4, seed=2)


def test_items_of_a_list_may_be_lists() -> None:
    values = varied_values({UNITS: ((16,), (32, 16))}, learner=7, place=1, seed=1)
    assert values == {UNITS: (32, 16)}


def test_every_path_is_given_a_value() -> None:
    vary: Vary = {RATE: Range(low=0.1, high=1.0), UNITS: ((8,), (9,))}
    assert set(varied_values(vary, learner=0, place=0, seed=1)) == {RATE, UNITS}


def test_adding_learners_leaves_the_earlier_ones() -> None:
    drawn = Range(low=0.1, high=1.0)
    assert values_of(drawn, 8)[:3] == values_of(drawn, 3)


def test_learners_draw_different_numbers() -> None:
    assert len(set(values_of(Range(low=0.1, high=1.0), 50))) == 50


def test_another_seed_draws_other_numbers() -> None:
    drawn = Range(low=0.1, high=1.0)
    assert not set(values_of(drawn, 5, seed=1)) & set(values_of(drawn, 5, seed=2))


def test_two_ranges_of_one_learner_are_drawn_apart() -> None:
    same = Range(low=0.0, high=1.0)
    values = varied_values({"training.a": same, "training.b": same}, learner=0, place=0, seed=1)
    assert values["training.a"] != values["training.b"]


def test_the_order_in_which_paths_are_written_changes_nothing() -> None:
    first, second = Range(low=0.0, high=1.0), Range(low=0.0, high=9.0)
    one = varied_values({"training.a": first, "training.b": second}, learner=2, place=2, seed=1)
    other = varied_values({"training.b": second, "training.a": first}, learner=2, place=2, seed=1)
    assert one == other


def test_a_linear_range_by_hand() -> None:
    drawn = Range(low=1.0, high=5.0)
    assert [drawn.at(share) for share in (0.0, 0.25, 0.5, 1.0)] == [1.0, 2.0, 3.0, 5.0]


def test_a_log_range_by_hand() -> None:
    drawn = Range(low=0.001, high=10.0, scale="log")
    values = [drawn.at(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert values == pytest.approx([0.001, 0.01, 0.1, 1.0, 10.0])


def test_a_log_range_gives_every_factor_of_ten_the_same_chance() -> None:
    drawn = np.array(values_of(Range(low=1e-4, high=1e-1, scale="log"), 600), np.float64)
    counts, _ = np.histogram(np.log10(drawn), bins=[-4, -3, -2, -1])
    assert counts.sum() == 600
    assert (abs(counts - 200) < 60).all()  # five standard deviations


def test_integers_include_both_ends() -> None:
    drawn = values_of(Range(low=2, high=4, integer=True), 60)
    assert set(drawn) == {2, 3, 4}
    assert all(isinstance(value, int) for value in drawn)


@pytest.mark.parametrize(("low", "high"), [(1, 4), (0, 3), (-3, 3), (-5, -2)])
def test_integers_of_a_linear_range_have_equal_chances(low: int, high: int) -> None:
    drawn = Range(low=low, high=high, integer=True)
    count = high - low + 1
    middles = [(place + 0.5) / count for place in range(count)]
    assert [drawn.at(share) for share in middles] == list(range(low, high + 1))


@few
@given(share=SHARES, low=st.integers(1, 200), width=st.integers(1, 200))
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_integers_stay_between_their_ends(
    scale: Literal["linear", "log"], share: float, low: int, width: int
) -> None:
    value = Range(low=low, high=low + width, scale=scale, integer=True).at(share)
    assert isinstance(value, int)
    assert low <= value <= low + width


@few
@given(share=SHARES, low=st.floats(1e-6, 10.0), factor=st.floats(1.1, 1e4))
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_numbers_stay_between_their_ends(
    scale: Literal["linear", "log"], share: float, low: float, factor: float
) -> None:
    value = Range(low=low, high=low * factor, scale=scale).at(share)
    assert low <= value <= low * factor


@few
@given(shares=st.tuples(SHARES, SHARES))
@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("integer", [False, True])
def test_numbers_rise_with_the_share(
    integer: bool, scale: Literal["linear", "log"], shares: tuple[float, float]
) -> None:
    drawn = Range(low=2, high=90, scale=scale, integer=integer)
    below, above = sorted(shares)
    assert drawn.at(below) <= drawn.at(above)


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"low \(2\) must be less than high \(1\)"):
        Range(low=2, high=1)


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_log_range_needs_positive_bounds(low: float) -> None:
    with pytest.raises(ValueError, match="low above 0"):
        Range(low=low, high=1.0, scale="log")
