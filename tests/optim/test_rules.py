"""Update rules: against PyTorch's numbers, alone and in a stack, and on a bowl."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble_pipe import optim
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.optim.rules import FLUSH_EVERY

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text())
CASES: list[dict[str, Any]] = GOLDEN["cases"]
NAMES = [f"{case['rule']}-{number}" for number, case in enumerate(CASES)]

# A kernel, a bias, a kernel at a lower rate, a frozen one; odd lengths put rows at odd offsets.
SEGMENTS = (
    optim.Segment(0, 63, 7),
    optim.Segment(63, 70, decays=False),
    optim.Segment(70, 115, 5, rate_factor=0.5),
    optim.Segment(115, 121, 3, rate_factor=0.0),
)
SIZE = 121

# Three learners of each rule, with every penalty and limit at several values, none included.
COMMON: list[dict[str, Any]] = [
    {},
    {"l1": 0.01, "l2": 0.1, "clip_norm": 3.0},
    {"weight_decay": 0.1, "max_norm": 1.5},
]
OWN: dict[str, list[dict[str, Any]]] = {
    "sgd": [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.5}],
    "nesterov": [{"momentum": 0.0}, {"momentum": 0.9}, {"momentum": 0.5}],
    "adagrad": [{}, {"epsilon": 0.1}, {"learning_rate": 0.1}],
    "adadelta": [{}, {"rho": 0.5}, {"epsilon": 1e-3}],
    "rmsprop": [{}, {"rho": 0.99}, {"epsilon": 1e-3}],
    "adam": [{}, {"beta1": 0.5, "beta2": 0.9}, {"beta1": 0.0, "beta2": 0.9999, "epsilon": 1e-2}],
    "adamw": [{"weight_decay": 0.0}, {"beta1": 0.5}, {"learning_rate": 0.1}],
}
STACKS: dict[str, list[optim.Rule]] = {
    name: [
        optim.RULES[name](**{**own, **common})
        for own, common in zip(OWN[name], COMMON, strict=True)
    ]
    for name in optim.RULES
}


def stacked(
    rules: list[optim.Rule],
    segments: tuple[optim.Segment, ...],
    dtype: type[np.floating] = np.float32,
) -> optim.StackedRule:
    shape = (len(rules), segments[-1].stop)
    return optim.StackedRule(
        rules, {name: np.zeros(shape, dtype) for name in rules[0].slots}, segments
    )


def golden_path(case: dict[str, Any], dtype: type[np.floating]) -> Floats:
    numbers = {name: value for name, value in case.items() if name not in ("rule", "path")}
    rule = stacked([optim.RULES[case["rule"]](**numbers)], (optim.Segment(0, 5, 5),), dtype)
    rows = np.array([GOLDEN["start"]], dtype)
    path = []
    for step, gradient in enumerate(GOLDEN["gradients"]):
        rate = rule.learning_rates * np.array([GOLDEN["factors"][step]])
        rule.step(rows, np.array([gradient], dtype), rate, step)
        path.append(rows[0].copy())
    return np.stack(path)


def moved(
    rules: list[optim.Rule], places: slice, restored: int | None = None
) -> tuple[Floats, Floats, dict[str, Floats]]:
    """Return start, rows (M, P) and slots after ten steps of the learners at `places` of three.

    Each row ends with four numbers that are not trainable. At step `restored` the stack is laid
    out anew from copies of its slots.
    """
    random = np.random.default_rng(5)
    rows = random.standard_normal((3, SIZE + 4)).astype(np.float32)[places].copy()
    start = rows.copy()
    rule = stacked(rules[places], SEGMENTS)
    for step in range(10):
        if step == restored:
            slots = {name: values.copy() for name, values in rule.slots.items()}
            rule = optim.StackedRule(rules[places], slots, SEGMENTS)
        gradients = random.standard_normal((3, SIZE)).astype(np.float32)[places].copy()
        factors = np.full(len(rows), 1.0 - 0.05 * step)
        rule.step(rows, gradients, rule.learning_rates * factors, step)
    return start, rows, rule.slots


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_twelve_steps_are_those_of_pytorch(case: dict[str, Any]) -> None:
    np.testing.assert_allclose(golden_path(case, np.float64), case["path"], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_float32_steps_stay_within_rounding_of_float64(case: dict[str, Any]) -> None:
    start = np.array(GOLDEN["start"])
    exact = np.array(case["path"])
    # Rounding is relative to the numbers and to the distance they have moved.
    scale = np.maximum(np.abs(start), np.abs(exact - start).max(axis=0))
    error = np.abs(golden_path(case, np.float32) - exact) / scale
    assert error.max() < 4 * np.finfo(np.float32).eps


def test_golden_numbers_cover_every_rule_and_setting() -> None:
    assert GOLDEN["torch"] == "2.13.0"
    assert len(GOLDEN["gradients"]) >= 12
    assert {case["rule"] for case in CASES} == set(optim.RULES)
    assert {"l2", "weight_decay", "clip_norm"} <= {key for case in CASES for key in case}
    assert {case["momentum"] for case in CASES if case["rule"] == "sgd"} == {0.0, 0.5, 0.9}


def test_two_steps_of_descent_by_hand() -> None:
    rule = stacked(
        [optim.SGD(learning_rate=0.5, momentum=0.5)], (optim.Segment(0, 2, 1),), np.float64
    )
    rows = np.array([[1.0, 2.0]])
    rule.step(rows, np.array([[4.0, -2.0]]), np.array([0.5]), 0)
    np.testing.assert_array_equal(rows, [[-1.0, 3.0]])
    rule.step(rows, np.array([[2.0, 0.0]]), np.array([0.5]), 1)
    np.testing.assert_array_equal(rule.slots["velocity"], [[4.0, -1.0]])  # 0.5 * 4 + 2, 0.5 * -2
    np.testing.assert_array_equal(rows, [[-3.0, 3.5]])  # -1 - 0.5 * 4, 3 - 0.5 * -1


@pytest.mark.parametrize(
    "rule", [optim.Adam(learning_rate=0.1), optim.AdamW(learning_rate=0.1)], ids=repr
)
def test_first_step_of_adam_is_the_rate_whatever_the_gradient(rule: optim.Rule) -> None:
    stack = stacked([rule], (optim.Segment(0, 3, 3),), np.float64)
    rows = np.zeros((1, 3))
    stack.step(rows, np.array([[1e4, -1.0, 1e-3]]), np.array([0.1]), 0)
    np.testing.assert_allclose(rows, [[-0.1, 0.1, -0.1]], rtol=2e-5)


def test_nesterov_is_sutskevers_path_seen_from_the_point_ahead() -> None:
    """v <- mu v - rate grad(w + mu v); w <- w + v, worked in its own terms on a quadratic."""
    rate, momentum, curvature = 0.1, 0.8, np.array([1.0, 3.0])
    nesterov = optim.Nesterov(learning_rate=rate, momentum=momentum)
    rule = stacked([nesterov], (optim.Segment(0, 2, 1),), np.float64)
    rows = np.array([[2.0, -1.0]])
    w, v = rows[0].copy(), np.zeros(2)
    for step in range(20):
        v = momentum * v - rate * curvature * (w + momentum * v)
        w = w + v
        rule.step(rows, curvature * rows, np.array([rate]), step)
        np.testing.assert_allclose(rows[0], w + momentum * v, rtol=1e-12)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("m", [0, 1, 2])
def test_a_learner_of_a_stack_moves_bitwise_as_alone(name: str, m: int) -> None:
    _, together, slots = moved(STACKS[name], slice(None))
    _, alone, own_slots = moved(STACKS[name], slice(m, m + 1))
    assert together[m].tobytes() == alone[0].tobytes()
    for slot, values in slots.items():
        assert values[m].tobytes() == own_slots[slot][0].tobytes()


@pytest.mark.parametrize("name", STACKS)
def test_a_number_moves_bitwise_alike_wherever_it_stands(name: str) -> None:
    """Whether it falls to vector instructions or to what is left over after them."""
    random = np.random.default_rng(8)
    values = random.standard_normal((4, 1, 75)).astype(np.float32)
    rules = [optim.RULES[name](**{**OWN[name][1], "l1": 0.01, "l2": 0.1, "weight_decay": 0.1})]

    def path(part: slice) -> Floats:
        start: Floats = values[0, :, part].copy()
        gradients = values[1:, :, part].copy()
        rule = stacked(rules, (optim.Segment(0, start.shape[1]),))
        for step, gradient in enumerate(gradients):
            rule.step(start, gradient, rule.learning_rates * np.ones(1), step)
        return start

    whole = path(slice(None))
    for place in range(75):
        assert path(slice(place, place + 1)).tobytes() == whole[:, place].tobytes()


@pytest.mark.parametrize("name", STACKS)
def test_restored_at_any_step_it_goes_on_to_the_same_bytes(name: str) -> None:
    _, expected, _ = moved(STACKS[name], slice(None))
    for step in range(10):
        _, found, _ = moved(STACKS[name], slice(None), restored=step)
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", STACKS)
def test_what_is_frozen_or_not_trainable_keeps_its_bytes(name: str) -> None:
    start, rows, slots = moved(STACKS[name], slice(None))
    assert rows[:, 115:].tobytes() == start[:, 115:].tobytes()
    assert (rows[:, :115] != start[:, :115]).all()
    for values in slots.values():
        assert not values[:, 115:].any()


@pytest.mark.parametrize("name", STACKS)
def test_a_learner_that_diverges_leaves_the_others_alone(name: str) -> None:
    rule = stacked(STACKS[name], SEGMENTS)
    rows = np.ones((3, SIZE), np.float32)
    gradients = np.ones((3, SIZE), np.float32)
    gradients[1] = np.nan
    rule.step(rows, gradients, rule.learning_rates * np.ones(3), 0)
    assert np.isnan(rows[1, :115]).all()
    assert np.isfinite(rows[[0, 2]]).all()
    assert (gradients[[0, 2]] == 1.0).all()


@pytest.mark.parametrize("name", STACKS)
def test_slots_without_gradients_come_to_rest_at_zero(name: str) -> None:
    """Not among the denormal numbers, which are slow to compute with."""
    rule = stacked([optim.RULES[name]()], (optim.Segment(0, 9),))
    rows, gradients = np.ones((1, 9), np.float32), np.zeros((1, 9), np.float32)
    for values in rule.slots.values():
        values[:] = 1e-42
    rule.step(rows, gradients, rule.learning_rates * np.ones(1), FLUSH_EVERY)
    for values in rule.slots.values():
        assert not values.any()


@pytest.mark.parametrize(
    "rule",
    [
        optim.SGD(learning_rate=0.3, momentum=0.0),
        optim.SGD(learning_rate=0.1, momentum=0.9),
        optim.Nesterov(learning_rate=0.1, momentum=0.9),
        optim.Adagrad(learning_rate=1.0),
        optim.Adadelta(learning_rate=1.0, epsilon=1e-3),
        optim.RMSprop(learning_rate=0.1),
        optim.Adam(learning_rate=0.1),
        optim.Adam(learning_rate=0.05, beta1=0.0, beta2=0.9),
        optim.AdamW(learning_rate=0.1, weight_decay=1e-4),
    ],
    ids=repr,
)
def test_solves_a_quadratic_bowl(rule: optim.Rule) -> None:
    curvature, bottom = np.array([0.5, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
    steps = 400
    rows = np.zeros((1, 3))
    stack = stacked([rule], (optim.Segment(0, 3, 3),), np.float64)
    for step in range(steps):
        rate = stack.learning_rates * np.array([1.0 - step / steps])
        stack.step(rows, curvature * (rows - bottom), rate, step)
    np.testing.assert_allclose(rows[0], bottom, atol=1e-2)


def test_rates_are_each_learners_own_times_its_factor() -> None:
    rules: list[optim.Rule] = [
        optim.SGD(learning_rate=0.1),
        optim.SGD(learning_rate=0.01),
        optim.SGD(learning_rate=0.3),
    ]
    rates = stacked(rules, SEGMENTS).learning_rates * np.array([1.0, 0.5, 0.0])
    np.testing.assert_array_equal(rates, [0.1, 0.005, 0.0])
    assert rates.dtype == np.float64


def test_one_stack_holds_one_kind_of_rule() -> None:
    with pytest.raises(ValueError, match="must share their update rule"):
        stacked([optim.SGD(), optim.Adam()], SEGMENTS)


@pytest.mark.parametrize("name", optim.RULES)
def test_a_rule_is_registered_under_its_own_name(name: str) -> None:
    assert optim.RULES[name]().name == name
