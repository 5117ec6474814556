"""Weight averaging: closed forms, alone and in a stack, and restored at any step."""

import doctest

import numpy as np
import pytest

from ensemble_pipe import optim
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.optim import averaging

TOTAL, SIZE = 40, 23
CALENDAR = optim.Calendar(TOTAL, tuple(range(4, TOTAL + 1, 4)), (10, 20, 40))
STACKS: dict[str, list[optim.Averaging]] = {
    "ema": [optim.EMA(decay=0.9), optim.EMA(decay=0.5), optim.EMA(decay=0.99)],
    "polyak": [optim.Polyak(start=0.0), optim.Polyak(start=0.5), optim.Polyak(start=0.93)],
    "swa": [optim.SWA(start=0.0), optim.SWA(start=0.5, every=2), optim.SWA(start=0.2, at="cycle")],
    "last": [optim.Last(epochs=3)] * 3,
}


def iterates(dtype: type[np.floating] = np.float32) -> Floats:
    """Return rows after each of the steps, (TOTAL, 3, SIZE)."""
    values: Floats = np.random.default_rng(2).standard_normal((TOTAL, 3, SIZE)).astype(dtype)
    return values


def empty(
    averagings: list[optim.Averaging], dtype: type[np.floating] = np.float32
) -> dict[str, Floats]:
    return {name: np.zeros((len(averagings), SIZE), dtype) for name in averagings[0].slots}


def after(
    averagings: list[optim.Averaging],
    rows: Floats,
    first: int = 0,
    saved: dict[str, Floats] | None = None,
) -> optim.StackedAverage:
    """Return the averages once the steps from number `first` on are taken."""
    slots = saved or empty(averagings, rows.dtype.type)
    stack = optim.StackedAverage(averagings, slots, [CALENDAR] * len(averagings))
    for step in range(first, len(rows)):
        stack.update(rows[step], step + 1)
    return stack


def test_the_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(averaging).failed == 0


@pytest.mark.parametrize("name", optim.AVERAGES)
def test_an_averaging_is_registered_under_its_own_name(name: str) -> None:
    assert optim.AVERAGES[name]().name == name


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        (optim.EMA(decay=0.9), [0.9 ** (TOTAL - i) for i in range(1, TOTAL + 1)]),
        (optim.EMA(decay=0.5), [0.5 ** (TOTAL - i) for i in range(1, TOTAL + 1)]),
        (optim.Polyak(start=0.0), [1] * 40),
        (optim.Polyak(start=0.8), [0] * 32 + [1] * 8),
        (optim.SWA(start=0.0), [0, 0, 0, 1] * 10),
        (optim.SWA(start=0.7), [0] * 31 + [1, 0, 0, 0, 1, 0, 0, 0, 1]),
        (optim.SWA(start=0.4, every=3), [0] * 27 + [1] + [0] * 11 + [1]),
        (optim.SWA(start=0.3, at="cycle"), [0] * 19 + [1] + [0] * 19 + [1]),
        (optim.Last(epochs=3), [0] * 31 + [1, 0, 0, 0, 1, 0, 0, 0, 1]),
        (optim.Last(epochs=20), [0, 0, 0, 1] * 10),
    ],
    ids=lambda value: repr(value) if not isinstance(value, list) else "",
)
def test_an_average_is_the_weighted_mean_of_all_iterates(
    kind: optim.Averaging, weights: list[float]
) -> None:
    rows = iterates(np.float64)
    expected = np.average(rows, axis=0, weights=weights)
    found = after([kind] * 3, rows).average(rows[-1], TOTAL)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", optim.AVERAGES)
def test_the_average_of_equal_rows_is_that_row(kind: str) -> None:
    rows = np.broadcast_to(iterates()[0], (TOTAL, 3, SIZE)).copy()
    found = after(STACKS[kind], rows).average(rows[-1], TOTAL)
    assert found.tobytes() == rows[0].tobytes()


@pytest.mark.parametrize("kind", optim.AVERAGES)
def test_float32_stays_near_float64(kind: str) -> None:
    rows = iterates()
    exact = after(STACKS[kind], rows.astype(np.float64)).average(rows[-1].astype(float), TOTAL)
    found = after(STACKS[kind], rows).average(rows[-1], TOTAL)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=1e-6)


@pytest.mark.parametrize("kind", optim.AVERAGES)
@pytest.mark.parametrize("m", [0, 1, 2])
def test_a_learner_of_a_stack_averages_bitwise_as_alone(kind: str, m: int) -> None:
    rows = iterates()
    together = after(STACKS[kind], rows).average(rows[-1], TOTAL)
    own = rows[:, m : m + 1].copy()
    alone = after(STACKS[kind][m : m + 1], own).average(own[-1], TOTAL)
    assert together[m].tobytes() == alone[0].tobytes()


@pytest.mark.parametrize("kind", optim.AVERAGES)
def test_restored_at_any_step_it_goes_on_to_the_same_bytes(kind: str) -> None:
    rows = iterates()
    expected = after(STACKS[kind], rows).average(rows[-1], TOTAL)
    for stop in range(TOTAL):
        saved = after(STACKS[kind], rows[:stop]).slots
        found = after(STACKS[kind], rows, stop, saved).average(rows[-1], TOTAL)
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "kind", [optim.Polyak(start=0.5), optim.SWA(start=0.5), optim.Last()], ids=repr
)
def test_before_the_first_row_is_collected_it_is_the_row_itself(kind: optim.Averaging) -> None:
    rows = iterates()[:3]
    found = after([kind] * 3, rows).average(rows[-1], 3)
    assert found.tobytes() == rows[-1].tobytes()


@pytest.mark.parametrize("kind", optim.AVERAGES)
def test_a_learner_that_diverges_leaves_the_others_alone(kind: str) -> None:
    rows = iterates()
    sound = after(STACKS[kind], rows).average(rows[-1], TOTAL)
    rows[35:, 1] = np.nan
    found = after(STACKS[kind], rows).average(rows[-1], TOTAL)
    assert np.isnan(found[1]).all()
    assert found[[0, 2]].tobytes() == sound[[0, 2]].tobytes()


@pytest.mark.parametrize(
    "wrong", [[optim.EMA(), optim.Polyak()], [optim.Last(epochs=2), optim.Last(epochs=3)]], ids=repr
)
def test_one_stack_holds_one_kind_of_averaging(wrong: list[optim.Averaging]) -> None:
    with pytest.raises(ValueError, match="must share their kind of weight averaging"):
        optim.StackedAverage(wrong, empty(wrong), [CALENDAR] * 2)


def test_cycles_that_a_schedule_has_not_are_refused() -> None:
    kinds: list[optim.Averaging] = [optim.SWA(at="cycle")]
    with pytest.raises(ValueError, match="at the end of each cycle: the training has none"):
        optim.StackedAverage(kinds, empty(kinds), [optim.Calendar(4, (2, 4))])
