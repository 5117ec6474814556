"""Schedules of several cycles: their shapes and where they end."""

import doctest
from itertools import pairwise
from math import cos, pi
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ensemble_pipe.optim import (
    SGDR,
    ConstantRate,
    Cosine,
    CosLog,
    FastGeometric,
    Schedule,
    Snapshot,
    Triangular,
    WarmUp,
    cycle_ends,
    cycles,
)

TOTALS = st.integers(1, 300)
COUNTS = st.integers(1, 20)
CYCLIC: list[Schedule] = [
    Snapshot(cycles=5),
    SGDR(cycles=4),
    SGDR(cycles=3, t_mult=1.5),
    CosLog(),
    Triangular(cycles=3),
    FastGeometric(),
    FastGeometric(start=0.0, members=3),
    WarmUp(then=SGDR(cycles=3)),
]


def test_the_examples_of_the_docstrings_hold() -> None:
    result = doctest.testmod(cycles)
    assert result.attempted >= 7
    assert result.failed == 0


@settings(max_examples=100, deadline=None)
@given(schedule=st.sampled_from(CYCLIC), total=TOTALS)
def test_ends_rise_to_the_last_step(schedule: Schedule, total: int) -> None:
    ends = cycle_ends(schedule, total)
    assert ends[0] > 0
    assert all(before < after for before, after in pairwise(ends))
    assert ends[-1] == total


@pytest.mark.parametrize("schedule", CYCLIC, ids=lambda schedule: schedule.name)
def test_a_cycle_ends_where_the_rate_is_lowest(schedule: Schedule) -> None:
    factors = [schedule.factor(step, 1000) for step in range(1000)]
    for end in cycle_ends(schedule, 1000):
        around = factors[max(0, end - 10) : end + 10]
        # A triangle reaches its lowest factor on the step after its end.
        assert min(around) in factors[end - 1 : end + 1]


def test_a_schedule_without_cycles_has_no_ends() -> None:
    assert cycle_ends(ConstantRate(), 10) == cycle_ends(WarmUp(then=Cosine()), 10) == []


@pytest.mark.parametrize("schedule", [Snapshot(cycles=1), SGDR(cycles=1)], ids=lambda s: s.name)
def test_one_cycle_is_a_cosine(schedule: Schedule) -> None:
    for step in range(10):
        assert schedule.factor(step, 10) == Cosine().factor(step, 10)


# Snapshots


def fill(total: int, count: int, length: int) -> bool:
    """Whether `count` cycles of `length` steps, the last one perhaps shorter, fill a training."""
    return (count - 1) * length < total <= count * length


@settings(max_examples=50, deadline=None)
@given(total=TOTALS, count=COUNTS)
def test_snapshot_factors_are_those_of_huang_equation_2(total: int, count: int) -> None:
    length = -(-total // count)
    assume(fill(total, count, length))
    for t in range(1, total + 1):
        expected = 0.5 * (cos(pi * ((t - 1) % length) / length) + 1.0)
        assert Snapshot(cycles=count).factor(t - 1, total) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(total=TOTALS, count=COUNTS)
def test_snapshot_cycles_start_at_the_full_rate_and_are_equally_long(
    total: int, count: int
) -> None:
    snapshot = Snapshot(cycles=count)
    ends = snapshot.ends(total)
    for start, end in pairwise([0, *ends]):
        factors = [snapshot.factor(step, total) for step in range(start, end)]
        assert factors[0] == 1.0
        assert all(after < before for before, after in pairwise(factors))
    lengths = [end - start for start, end in pairwise([0, *ends])]
    length = -(-total // count)
    if fill(total, count, length):
        assert set(lengths[:-1]) <= {length}
        assert 0 < lengths[-1] <= length
    else:
        assert max(lengths) - min(lengths) <= 1


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from([Snapshot, SGDR, Triangular]),
    growth=st.sampled_from([1.0, 1.5, 2.0, 10.0]),
    count=COUNTS,
    total=TOTALS,
)
def test_every_cycle_has_an_end_where_there_are_as_many_steps(
    kind: Any, growth: float, count: int, total: int
) -> None:
    schedule = kind(cycles=count, **({"t_mult": growth} if kind is SGDR else {}))
    assert len(set(cycle_ends(schedule, total))) == min(count, total)
    warm = WarmUp(share=0.1, then=schedule)
    assert len(set(cycle_ends(warm, total + 40))) == min(count, total + 40 - warm.steps(total + 40))


@settings(max_examples=100, deadline=None)
@given(members=COUNTS, start=st.floats(0, 0.99), total=TOTALS)
def test_every_triangle_has_a_middle_where_there_are_steps_for_it(
    members: int, start: float, total: int
) -> None:
    ends = cycle_ends(FastGeometric(members=members, start=start), total)
    assert len(ends) == min(members, (total + 1) // 2)


@pytest.mark.parametrize(
    ("schedule", "total", "ends"),
    [
        (Snapshot(cycles=3), 12, [4, 8, 12]),
        (Snapshot(cycles=4), 10, [3, 6, 9, 10]),
        (Snapshot(cycles=6), 10, [2, 3, 5, 7, 8, 10]),
        (Snapshot(cycles=3), 2, [1, 2]),
        (SGDR(cycles=3, t_mult=2.0), 3, [1, 2, 3]),
        (SGDR(cycles=4, t_mult=10.0), 100, [1, 2, 10, 100]),
        (Snapshot(cycles=5), 5, [1, 2, 3, 4, 5]),
        (Snapshot(cycles=1), 7, [7]),
        (SGDR(cycles=3, t_mult=2.0), 70, [10, 30, 70]),
        (SGDR(cycles=3, t_mult=1.0), 10, [3, 7, 10]),
        (SGDR(cycles=3, t_mult=2.0), 2, [1, 2]),
        (Triangular(cycles=4), 40, [10, 20, 30, 40]),
        (FastGeometric(start=0.75, members=3), 100, [80, 90, 100]),
        (FastGeometric(start=0.75, members=3), 3, [1, 3]),
        (WarmUp(share=0.3, then=SGDR(cycles=3)), 100, [40, 60, 100]),
    ],
    ids=repr,
)
def test_ends_by_hand(schedule: Schedule, total: int, ends: list[int]) -> None:
    assert cycle_ends(schedule, total) == ends


# The others


@settings(max_examples=50, deadline=None)
@given(half=st.integers(1, 8), members=st.integers(1, 6), before=st.integers(0, 40))
def test_fast_geometric_factors_are_those_of_garipov_section_4(
    half: int, members: int, before: int
) -> None:
    c, alpha_1, alpha_2 = 2 * half, 0.5, 0.05
    total = before + (2 * members - 1) * half
    schedule = FastGeometric(
        start=before / total, members=members, alpha_1=alpha_1, alpha_2=alpha_2
    )
    stands = []
    for i in range(1, total - before + 1):
        t = ((i - 1) % c + 1) / c
        low = (1 - 2 * t) * alpha_1 + 2 * t * alpha_2
        high = (2 - 2 * t) * alpha_2 + (2 * t - 1) * alpha_1
        expected = low if t <= 0.5 else high
        assert schedule.factor(before + i - 1, total) == pytest.approx(expected)
        if t == 0.5:
            stands.append(before + i)
    assert schedule.ends(total) == stands
    assert len(stands) == members


def test_fast_geometric_comes_down_to_its_triangles_without_a_jump() -> None:
    schedule = FastGeometric(start=0.8, members=1, alpha_1=0.3, alpha_2=0.01)
    factors = [schedule.factor(step, 1000) for step in range(1000)]
    assert factors[:401] == [1.0] * 401
    falls = [before - after for before, after in pairwise(factors[400:])]
    assert all(0 < fall < 0.004 for fall in falls)
    assert factors[-1] == 0.01


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 5), t_mult=st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_each_cycle_of_sgdr_is_t_mult_times_the_last(count: int, t_mult: float) -> None:
    ends = SGDR(cycles=count, t_mult=t_mult).ends(10_000)
    lengths = [end - start for start, end in pairwise([0, *ends])]
    for short, long in pairwise(lengths):
        # Each boundary is rounded to a whole step.
        assert abs(long - t_mult * short) <= (1 + t_mult)
