"""Update rules: against PyTorch's numbers, alone and in a stack, and on a bowl."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble_pipe.arrays import Floats
from ensemble_pipe.optim import RULES, SGD, Adam, Rule
from ensemble_pipe.optim.rules import Stacked

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text())
CASES: list[dict[str, Any]] = GOLDEN["cases"]
NAMES = [f"{case['rule']}-{number}" for number, case in enumerate(CASES)]

# An odd length puts the rows of a stack at odd offsets.
SIZE = 37

STACKS: dict[str, tuple[Rule, ...]] = {
    "sgd": (
        SGD(learning_rate=0.1, momentum=0.0),
        SGD(learning_rate=0.01, momentum=0.9),
        SGD(learning_rate=0.3, momentum=0.5),
    ),
    "adam": (
        Adam(learning_rate=0.001),
        Adam(learning_rate=0.1, beta1=0.5, beta2=0.9),
        Adam(learning_rate=0.01, beta1=0.0, beta2=0.9999, epsilon=1e-2),
    ),
}


def stacked(rules: tuple[Rule, ...], size: int, dtype: type[np.floating]) -> Stacked:
    shape = (len(rules), size)
    return Stacked(rules, {name: np.zeros(shape, dtype) for name in rules[0].slots})


def golden_rule(case: dict[str, Any]) -> Rule:
    numbers = {name: value for name, value in case.items() if name not in ("rule", "path")}
    return RULES[case["rule"]](**numbers)


def golden_path(case: dict[str, Any], dtype: type[np.floating]) -> Floats:
    rule = stacked((golden_rule(case),), len(GOLDEN["start"]), dtype)
    rows = np.array([GOLDEN["start"]], dtype)
    path = []
    for step, gradient in enumerate(GOLDEN["gradients"]):
        rate = rule.rate(np.array([GOLDEN["factors"][step]]))
        rule.step(rows, np.array([gradient], dtype), rate, step)
        path.append(rows[0].copy())
    return np.stack(path)


def moved(rules: tuple[Rule, ...], places: slice) -> tuple[Floats, dict[str, Floats]]:
    """Return rows and slots after ten steps of the learners at `places` of a stack of three."""
    random = np.random.default_rng(5)
    rows = random.standard_normal((3, SIZE)).astype(np.float32)[places].copy()
    rule = stacked(rules[places], SIZE, np.float32)
    for step in range(10):
        gradients = random.standard_normal((3, SIZE)).astype(np.float32)[places].copy()
        factors = np.full(len(rows), 1.0 - 0.05 * step)
        rule.step(rows, gradients, rule.rate(factors), step)
    return rows, rule.slots


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


def test_golden_numbers_cover_momentum_and_both_moments() -> None:
    assert GOLDEN["torch"] == "2.13.0"
    assert len(GOLDEN["gradients"]) >= 10
    assert {case["momentum"] for case in CASES if case["rule"] == "sgd"} == {0.0, 0.9}
    assert len({(case["beta1"], case["beta2"]) for case in CASES if case["rule"] == "adam"}) > 2


def test_first_step_of_descent_by_hand() -> None:
    rule = stacked((SGD(learning_rate=0.5, momentum=0.9),), 2, np.float64)
    rows = np.array([[1.0, 2.0]])
    rule.step(rows, np.array([[4.0, -2.0]]), np.array([0.5]), 0)
    np.testing.assert_array_equal(rows, [[-1.0, 3.0]])
    np.testing.assert_array_equal(rule.slots["velocity"], [[4.0, -2.0]])


def test_second_step_of_descent_keeps_a_share_of_the_velocity() -> None:
    rule = stacked((SGD(learning_rate=0.5, momentum=0.5),), 1, np.float64)
    rows = np.array([[1.0]])
    rule.step(rows, np.array([[4.0]]), np.array([0.5]), 0)
    rule.step(rows, np.array([[2.0]]), np.array([0.5]), 1)
    np.testing.assert_array_equal(rule.slots["velocity"], [[4.0]])  # 0.5 * 4 + 2
    np.testing.assert_array_equal(rows, [[-3.0]])  # 1 - 0.5 * 4 - 0.5 * 4


def test_first_step_of_adam_is_the_rate_whatever_the_gradient() -> None:
    rule = stacked((Adam(learning_rate=0.1),), 3, np.float64)
    rows = np.zeros((1, 3))
    rule.step(rows, np.array([[1e4, -1.0, 1e-3]]), np.array([0.1]), 0)
    np.testing.assert_allclose(rows, [[-0.1, 0.1, -0.1]], rtol=2e-5)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("m", [0, 1, 2])
def test_a_learner_of_a_stack_moves_bitwise_as_alone(name: str, m: int) -> None:
    together, slots = moved(STACKS[name], slice(None))
    alone, own_slots = moved(STACKS[name], slice(m, m + 1))
    assert together[m].tobytes() == alone[0].tobytes()
    for slot, values in slots.items():
        assert values[m].tobytes() == own_slots[slot][0].tobytes()


@pytest.mark.parametrize("name", STACKS)
def test_the_same_steps_give_the_same_bytes(name: str) -> None:
    first, _ = moved(STACKS[name], slice(None))
    again, _ = moved(STACKS[name], slice(None))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", STACKS)
def test_a_learner_that_diverges_leaves_the_others_alone(name: str) -> None:
    rules = STACKS[name]
    rule = stacked(rules, SIZE, np.float32)
    rows = np.ones((3, SIZE), np.float32)
    gradients = np.ones((3, SIZE), np.float32)
    gradients[1] = np.nan
    rule.step(rows, gradients, rule.rate(np.ones(3)), 0)
    assert np.isnan(rows[1]).all()
    assert np.isfinite(rows[[0, 2]]).all()


@pytest.mark.parametrize("name", STACKS)
def test_a_step_leaves_the_gradients_as_they_are(name: str) -> None:
    rule = stacked(STACKS[name], SIZE, np.float32)
    gradients = np.full((3, SIZE), 0.25, np.float32)
    rule.step(np.zeros((3, SIZE), np.float32), gradients, rule.rate(np.ones(3)), 0)
    np.testing.assert_array_equal(gradients, 0.25)


@pytest.mark.parametrize(
    "rule",
    [
        SGD(learning_rate=0.3, momentum=0.0),
        SGD(learning_rate=0.1, momentum=0.9),
        Adam(learning_rate=0.1),
        Adam(learning_rate=0.05, beta1=0.0, beta2=0.9),
    ],
    ids=repr,
)
def test_solves_a_quadratic_bowl(rule: Rule) -> None:
    curvature, bottom = np.array([0.5, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
    steps = 400
    rows = np.zeros((1, 3))
    stack = stacked((rule,), 3, np.float64)
    for step in range(steps):
        rate = stack.rate(np.array([1.0 - step / steps]))
        stack.step(rows, curvature * (rows - bottom), rate, step)
    np.testing.assert_allclose(rows[0], bottom, atol=1e-2)


def test_rates_are_each_learners_own_times_its_factor() -> None:
    rule = stacked(STACKS["sgd"], 1, np.float32)
    np.testing.assert_array_equal(rule.rate(np.array([1.0, 0.5, 0.0])), [0.1, 0.005, 0.0])
    assert rule.rate(np.ones(3)).dtype == np.float64


def test_one_stack_holds_one_kind_of_rule() -> None:
    with pytest.raises(ValueError, match="must share their update rule"):
        stacked((SGD(), Adam()), 1, np.float32)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_registered_under_its_own_name(name: str) -> None:
    assert RULES[name]().name == name
