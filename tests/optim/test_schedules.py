"""Schedules: closed forms, boundaries, and the cycles of snapshots."""

import doctest
from itertools import pairwise
from math import cos, pi

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.optim import SCHEDULES, Constant, Cosine, Snapshot, schedules

TOTALS = st.integers(1, 300)
CYCLES = st.integers(1, 20)


def test_the_examples_of_the_docstrings_hold() -> None:
    result = doctest.testmod(schedules)
    assert result.attempted >= 3
    assert result.failed == 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_registered_under_its_own_name(name: str) -> None:
    assert SCHEDULES[name]().name == name


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("total", [1, 2, 7, 100])
def test_factors_start_at_one_and_stay_between_zero_and_one(name: str, total: int) -> None:
    schedule = SCHEDULES[name]()
    factors = [schedule.factor(step, total) for step in range(total)]
    assert factors[0] == 1.0
    assert all(0.0 < factor <= 1.0 for factor in factors)


def test_constant_is_one_everywhere() -> None:
    assert {Constant().factor(step, 9) for step in range(9)} == {1.0}


def test_cosine_goes_from_one_through_a_half_to_zero() -> None:
    values = [Cosine().factor(step, 60) for step in (0, 20, 30, 40, 60)]
    assert values == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0], abs=1e-15)


def test_cosine_falls_at_every_step() -> None:
    factors = [Cosine().factor(step, 50) for step in range(51)]
    assert factors == sorted(factors, reverse=True)
    assert len(set(factors)) == 51


def test_one_cycle_of_snapshots_is_a_cosine() -> None:
    for step in range(10):
        assert Snapshot(cycles=1).factor(step, 10) == Cosine().factor(step, 10)


@settings(max_examples=50, deadline=None)
@given(total=TOTALS, cycles=CYCLES)
def test_snapshot_factors_are_those_of_huang_equation_2(total: int, cycles: int) -> None:
    length = -(-total // cycles)
    for t in range(1, total + 1):
        expected = 0.5 * (cos(pi * ((t - 1) % length) / length) + 1.0)
        assert Snapshot(cycles=cycles).factor(t - 1, total) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(total=TOTALS, cycles=CYCLES)
def test_every_cycle_starts_at_the_full_rate_and_falls_to_its_end(total: int, cycles: int) -> None:
    snapshot = Snapshot(cycles=cycles)
    ends = snapshot.ends(total)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        factors = [snapshot.factor(step, total) for step in range(start, end)]
        assert factors[0] == 1.0
        assert all(after < before for before, after in pairwise(factors))


@settings(max_examples=50, deadline=None)
@given(total=TOTALS, cycles=CYCLES)
def test_ends_rise_to_the_last_step_at_equal_distances(total: int, cycles: int) -> None:
    snapshot = Snapshot(cycles=cycles)
    ends = snapshot.ends(total)
    lengths = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    assert ends[-1] == total
    assert set(lengths[:-1]) <= {snapshot.cycle_steps(total)}
    assert 0 < lengths[-1] <= snapshot.cycle_steps(total)
    assert len(ends) <= cycles


@pytest.mark.parametrize(
    ("total", "cycles", "ends"),
    [
        (12, 3, [4, 8, 12]),
        (10, 4, [3, 6, 9, 10]),
        (5, 5, [1, 2, 3, 4, 5]),
        (7, 1, [7]),
        (1, 1, [1]),
    ],
)
def test_ends_by_hand(total: int, cycles: int, ends: list[int]) -> None:
    assert Snapshot(cycles=cycles).ends(total) == ends


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 30), cycles=CYCLES)
def test_there_are_as_many_ends_as_cycles_where_they_divide_the_steps(
    length: int, cycles: int
) -> None:
    assert len(Snapshot(cycles=cycles).ends(length * cycles)) == cycles
