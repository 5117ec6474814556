"""Schedules: against PyTorch's numbers, closed forms, boundaries, and following the loss."""

import doctest
import json
from itertools import pairwise
from math import isfinite, nan
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import TypeAdapter

from ensemble_pipe.optim import (
    SCHEDULES,
    SGDR,
    ConstantRate,
    Cosine,
    Exponential,
    MultiStep,
    OneCycle,
    Plateau,
    PlateauState,
    RangeTest,
    Schedule,
    Snapshot,
    StackedSchedule,
    StepDecay,
    WarmUp,
    plateau,
    plateau_of,
    schedules,
    warm_up,
)

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text())
ANY: TypeAdapter[Schedule] = TypeAdapter(Schedule)

# What factors a schedule may have, where it is not 0 to 1.
HIGHEST = {"range_test": 100.0}
# Those whose first factor is not the full rate, or not in a training too short for their parts.
LOW_START = {"cos_log", "fast_geometric", "one_cycle", "range_test", "triangular", "warm_up"}


def curve(schedule: Schedule, total: int) -> list[float]:
    return [schedule.factor(step, total) for step in range(total)]


@pytest.mark.parametrize("module", [schedules, plateau, warm_up], ids=lambda m: m.__name__)
def test_the_examples_of_the_docstrings_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted >= 3
    assert result.failed == 0


@pytest.mark.parametrize("case", GOLDEN["schedules"], ids=lambda case: case["schedule"]["name"])
def test_factors_are_those_of_pytorch(case: dict[str, Any]) -> None:
    schedule = ANY.validate_python(case["schedule"])
    assert curve(schedule, case["total"]) == pytest.approx(case["factors"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("total", [1, 2, 7, 1000])
def test_factors_are_pure_finite_and_not_negative(name: str, total: int) -> None:
    schedule = SCHEDULES[name]()
    factors = curve(schedule, total)
    assert factors[::-1] == [schedule.factor(step, total) for step in reversed(range(total))]
    assert all(isfinite(factor) for factor in factors)
    assert all(0.0 <= factor <= HIGHEST.get(name, 1.0) * (1 + 1e-12) for factor in factors)
    assert name in LOW_START or factors[0] == 1.0


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_registered_under_its_own_name(name: str) -> None:
    assert SCHEDULES[name]().name == name


@pytest.mark.parametrize(
    ("schedule", "total", "expected"),
    [
        (ConstantRate(), 3, [1, 1, 1]),
        (StepDecay(every=0.3, decay=0.5), 7, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        (MultiStep(milestones=(0.75, 0.5), decay=0.5), 4, [1, 1, 0.5, 0.25]),
        (Exponential(final=0.0001), 4, [1, 0.1, 0.01, 0.001]),
        (Cosine(minimum=0.2), 2, [1, 0.6]),
        (OneCycle(rise=0.5, start=0.5, final=0.25), 4, [0.5, 1, 0.625, 0.25]),
        (RangeTest(low=0.1, high=10), 3, [0.1, 1, 10]),
        (WarmUp(share=0.5), 4, [1 / 3, 2 / 3, 1, 0.5]),
        (WarmUp(share=0.5, then=StepDecay(every=0.5, decay=0.1)), 4, [1 / 3, 2 / 3, 1, 0.1]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_curves_by_hand(schedule: Schedule, total: int, expected: list[float]) -> None:
    assert curve(schedule, total) == pytest.approx(expected, rel=1e-12)


def test_cosine_falls_from_one_to_its_minimum_at_every_step() -> None:
    factors = [Cosine(minimum=0.3).factor(step, 50) for step in range(51)]
    assert (factors[0], factors[50]) == (1.0, 0.3)
    assert all(after < before for before, after in pairwise(factors))


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"warm_up"}))
@pytest.mark.parametrize("total", [2, 9, 100])
def test_warm_up_rises_in_equal_steps_and_then_is_the_other(name: str, total: int) -> None:
    then: Any = SCHEDULES[name]()
    schedule = WarmUp(share=0.3, then=then)
    warm = schedule.steps(total)
    assert 1 <= warm < total
    factors = curve(schedule, total)
    assert factors[warm:] == curve(then, total - warm)
    rises = [after - before for before, after in pairwise([0.0, *factors[: warm + 1]])]
    assert rises == pytest.approx([factors[warm] / (warm + 1)] * (warm + 1))


def test_the_schedules_of_a_stack_have_each_its_own_factor() -> None:
    own: list[Schedule] = [Cosine(), Exponential(), Cosine(), WarmUp(share=0.3), Exponential()]
    for step in range(10):
        expected = [one.factor(step, 10) for one in own]
        assert StackedSchedule(own).factors(step, 10).tolist() == expected


def test_a_schedule_inside_a_warm_up_is_chosen_by_its_name() -> None:
    read = ANY.validate_python({"name": "warm_up", "then": {"name": "sgdr", "cycles": 4}})
    assert read == WarmUp(then=SGDR(cycles=4))


# Following the loss


@pytest.mark.parametrize("case", GOLDEN["plateaus"], ids=lambda case: str(case["plateau"]))
def test_plateaus_are_those_of_pytorch(case: dict[str, Any]) -> None:
    schedule, state, found = Plateau(**case["plateau"]), PlateauState(), []
    for loss in GOLDEN["losses"]:
        state = schedule.observe(state, loss)
        found.append(state.factor)
    assert len(set(found)) > 2
    assert found == pytest.approx(case["factors"], rel=1e-12)


@pytest.mark.parametrize("loss", [2.0, 1e-9, 0.0, -1e-9, -1.0, -1e6])
@pytest.mark.parametrize("min_change", [0.0, 1e-4, 0.5])
def test_a_loss_that_stands_still_lowers_the_rate_whatever_its_sign(
    loss: float, min_change: float
) -> None:
    schedule, state = Plateau(decay=0.5, patience=9, min_change=min_change), PlateauState()
    for _ in range(51):
        state = schedule.observe(state, loss)
    assert (state.factor, state.best) == (0.5**5, loss)


@pytest.mark.parametrize("best", [4.0, -4.0])
def test_a_loss_is_better_by_a_share_of_its_size(best: float) -> None:
    schedule, state = Plateau(min_change=0.25), PlateauState(best=best)
    assert schedule.observe(state, best - 1.0).best == best
    assert schedule.observe(state, best - 1.01).best == best - 1.01


def test_a_plateau_goes_on_from_its_state_as_json_holds_it() -> None:
    schedule, state, restored = Plateau(patience=1, cooldown=2), PlateauState(), PlateauState()
    for loss in (nan, *GOLDEN["losses"]):
        saved = json.dumps(restored._asdict(), allow_nan=False)
        restored = schedule.observe(PlateauState(**json.loads(saved)), loss)
        state = schedule.observe(state, loss)
        assert restored == state
    assert state.factor < 1.0


def test_a_loss_that_is_no_number_is_a_bad_one() -> None:
    schedule, state = Plateau(patience=1, decay=0.5), PlateauState()
    for loss in (nan, 1.0, nan, nan):
        state = schedule.observe(state, loss)
    assert state == PlateauState(factor=0.5, best=1.0)


@pytest.mark.parametrize(
    ("schedule", "found"),
    [
        (Plateau(patience=3), Plateau(patience=3)),
        (WarmUp(then=Plateau(patience=3)), Plateau(patience=3)),
        (WarmUp(then=Snapshot()), None),
        (ConstantRate(), None),
    ],
)
def test_the_part_that_follows_the_loss_is_found(schedule: Schedule, found: Plateau | None) -> None:
    assert plateau_of(schedule) == found
