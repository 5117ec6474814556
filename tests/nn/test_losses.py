"""Losses: by hand, against PyTorch, SciPy and scikit-learn, at limits, alone and in a stack."""

import json
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loss_cases import CASES, LEARNERS, ROWS, evaluate
from scipy import special, stats
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.nn import losses
from ensemble_pipe.nn.losses import Loss

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("loss_golden.json").read_text())
GOLDEN_CASES: list[dict[str, Any]] = GOLDEN["cases"]
GOLDEN_NAMES = [f"{case['loss']}-{number}" for number, case in enumerate(GOLDEN_CASES)]

every_case = pytest.mark.parametrize("name", CASES)
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])

HALF_LOG_TWO_PI = 0.5 * log(2 * np.pi)


def one(
    loss: Loss, outputs: Any, targets: Any, weights: Any = None, dtype: Any = np.float64
) -> tuple[float, Floats]:
    """Return loss and gradient (N, O) of one learner from outputs (N, O)."""
    targets = np.array(targets)
    targets = targets.astype(np.int32 if targets.dtype.kind == "i" else dtype)
    weights = np.ones(len(targets)) if weights is None else weights
    values, gradient = evaluate(
        [loss], np.array([outputs], dtype), targets[None], np.array([weights], dtype)
    )
    return float(values[0]), gradient[0]


BY_HAND: dict[str, tuple[Loss, Any, Any, float, Any]] = {
    # softmax of (0, log 3) is (1/4, 3/4)
    "cross_entropy": (
        losses.CrossEntropy(),
        [[0.0, log(3.0)], [0.0, log(3.0)]],
        [1, 0],
        (log(4 / 3) + log(4)) / 2,
        [[0.125, -0.125], [-0.375, 0.375]],
    ),
    # smoothed by a half the target (0, 1) is (1/4, 3/4): the gradient vanishes
    "cross_entropy smoothed": (
        losses.CrossEntropy(smoothing=0.5),
        [[0.0, log(3.0)]],
        [1],
        log(4) / 4 + 3 * log(4 / 3) / 4,
        [[0.0, 0.0]],
    ),
    "cross_entropy of equal logits": (
        losses.CrossEntropy(),
        [[7.0] * 4],
        [2],
        log(4),
        [[0.25, 0.25, -0.75, 0.25]],
    ),
    # the logistic function of log 3 is 3/4
    "binary_cross_entropy": (
        losses.BinaryCrossEntropy(),
        [[log(3.0)], [log(3.0)], [-log(3.0)]],
        [1, 0, 1],
        (log(4 / 3) + 2 * log(4)) / 3,
        [[-0.25 / 3], [0.25], [-0.25]],
    ),
    # the example of CS231n: costs 2.9, 0 and 12.9
    "hinge": (
        losses.Hinge(),
        [[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]],
        [0, 1, 2],
        15.8 / 3,
        [[-1 / 3, 1 / 3, 0], [0, 0, 0], [1 / 3, 1 / 3, -2 / 3]],
    ),
    "squared_error": (losses.SquaredError(), [[3.0], [0.0]], [1.0, -1.0], 1.25, [[1.0], [0.5]]),
    "squared_error of two": (
        losses.SquaredError(),
        [[3.0, 1.0]],
        [[1.0, 4.0]],
        (4 + 9) / 2,
        [[2.0, -3.0]],
    ),
    "absolute_error": (
        losses.AbsoluteError(),
        [[3.0], [-2.0], [5.0], [5.0]],
        [1.0, -1.0, 5.0, 9.0],
        7 / 4,
        [[0.25], [-0.25], [0.0], [-0.25]],
    ),
    # 2 is beyond delta, 1 is not
    "huber": (
        losses.Huber(delta=1.5),
        [[3.0], [-2.0]],
        [1.0, -1.0],
        (1.5 * 1.25 + 0.5) / 2,
        [[0.75], [-0.5]],
    ),
    # softplus(log(e - 1)) is 1; the raw gradient is (1 - e**2 / v) / 2v s(raw), s = (e - 1) / e
    "gaussian_nll": (
        losses.GaussianNLL(variance_floor=1.0),
        [[5.0, log(np.e - 1)]],
        [2.0],
        (log(2) + 9 / 2) / 2 + HALF_LOG_TWO_PI,
        [[1.5, (1 - 9 / 2) / 4 * (1 - 1 / np.e)]],
    ),
    "beta_nll": (
        losses.BetaNLL(variance_floor=1.0, beta=1.0),
        [[5.0, log(np.e - 1)]],
        [2.0],
        2 * ((log(2) + 9 / 2) / 2 + HALF_LOG_TWO_PI),
        [[3.0, (1 - 9 / 2) / 2 * (1 - 1 / np.e)]],
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    loss, outputs, targets, value, expected = BY_HAND[name]
    found, gradient = one(loss, outputs, targets)
    assert found == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("case", GOLDEN_CASES, ids=GOLDEN_NAMES)
def test_loss_and_gradient_are_those_of_pytorch(case: dict[str, Any]) -> None:
    loss = losses.LOSSES[case["loss"]](**case["numbers"])
    value, gradient = one(loss, case["outputs"], case["targets"], case["weights"])
    assert value == pytest.approx(case["value"], rel=1e-12)
    np.testing.assert_allclose(gradient, case["gradient"], rtol=1e-11, atol=1e-15)


def reference(name: str, outputs: Floats, targets: Array, weights: Floats) -> float:
    """Return one learner's loss by SciPy or scikit-learn, which divide by the sum of weights."""
    centre, share = outputs[:, 0], weights.mean()
    if name == "cross_entropy":
        probabilities = special.softmax(outputs, axis=-1)
        found = log_loss(
            targets, probabilities, sample_weight=weights, labels=range(outputs.shape[-1])
        )
        return float(share * found)
    if name == "cross_entropy-soft":
        rows = special.rel_entr(targets, special.softmax(outputs, axis=-1)).sum(axis=-1)
        rows += special.entr(targets).sum(axis=-1)
        return float(np.mean(weights * rows))
    if name == "squared_error":
        return float(share * mean_squared_error(targets, centre, sample_weight=weights) / 2)
    if name == "absolute_error":
        return float(share * mean_absolute_error(targets, centre, sample_weight=weights))
    deviation = np.sqrt(1e-6 + np.logaddexp(0.0, outputs[:, 1]))
    return float(np.mean(-weights * stats.norm.logpdf(targets, centre, deviation)))


@pytest.mark.parametrize(
    "name",
    ["cross_entropy", "cross_entropy-soft", "squared_error", "absolute_error", "gaussian_nll"],
)
def test_loss_is_that_of_scipy_and_scikit_learn(name: str) -> None:
    case = CASES[name].alone(0)
    values, _ = case.evaluate()
    expected = reference(name, case.outputs[0], case.targets[0], case.weights[0])
    assert values[0] == pytest.approx(expected, rel=1e-12)


def test_huber_is_that_of_scipy() -> None:
    case = CASES["huber"]
    error = case.outputs[..., 0] - case.targets
    deltas = losses.numbers_of(case.losses)["delta"][:, None]
    expected = (case.weights * special.huber(deltas, error)).mean(axis=1)
    np.testing.assert_allclose(case.evaluate()[0], expected, rtol=1e-12)


def test_smoothing_is_a_mixture_with_even_targets() -> None:
    smooth = CASES["cross_entropy-smoothed"]
    shares = np.eye(5)[smooth.targets]
    s = losses.numbers_of(smooth.losses)["smoothing"][:, None, None]
    mixed = replace(CASES["cross_entropy"], targets=(1 - s) * shares + s / 5)
    for found, expected in zip(smooth.evaluate(), mixed.evaluate(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-16)


@both_types
@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy-smoothed"])
def test_one_hot_shares_are_class_numbers(name: str, dtype: type[np.floating]) -> None:
    case = CASES[name].in_type(dtype)
    soft = replace(case, targets=np.eye(5, dtype=dtype)[case.targets])
    (values, gradient), (soft_values, soft_gradient) = case.evaluate(), soft.evaluate()
    tolerance = float(4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(soft_values, values, rtol=tolerance)
    np.testing.assert_allclose(soft_gradient, gradient, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy-soft"])
def test_binary_is_cross_entropy_of_zero_and_the_logit(name: str, smoothing: float) -> None:
    case = CASES[name]
    values, gradient = replace(
        case, losses=(losses.BinaryCrossEntropy(smoothing=smoothing),) * LEARNERS
    ).evaluate()
    shares = np.stack([1.0 - case.targets, case.targets], axis=-1)
    two = replace(
        case,
        losses=(losses.CrossEntropy(smoothing=smoothing),) * LEARNERS,
        outputs=np.concatenate([np.zeros_like(case.outputs), case.outputs], axis=-1),
        targets=shares,
    )
    expected, both = two.evaluate()
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient[..., 0], both[..., 1], rtol=1e-11, atol=1e-16)


def test_huber_with_a_large_delta_is_the_squared_error() -> None:
    case = CASES["squared_error-two"]
    huber = replace(case, losses=(losses.Huber(delta=1e6),) * LEARNERS)
    for found, expected in zip(huber.evaluate(), case.evaluate(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_huber_with_a_small_delta_is_delta_times_the_absolute_error() -> None:
    case, delta = CASES["absolute_error-two"], 1e-9
    huber = replace(case, losses=(losses.Huber(delta=delta),) * LEARNERS)
    for found, expected in zip(huber.evaluate(), case.evaluate(), strict=True):
        np.testing.assert_allclose(found / delta, expected, rtol=1e-8)


@both_types
@pytest.mark.parametrize("name", ["gaussian_nll", "gaussian_nll-two"])
def test_beta_nll_of_beta_zero_is_gaussian_nll(name: str, dtype: type[np.floating]) -> None:
    case = CASES[name].in_type(dtype)
    floors = losses.numbers_of(case.losses)["variance_floor"]
    betas = tuple(losses.BetaNLL(beta=0.0, variance_floor=float(floor)) for floor in floors)
    for found, expected in zip(
        replace(case, losses=betas).evaluate(), case.evaluate(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_beta_nll_of_beta_one_moves_means_as_the_squared_error() -> None:
    case = CASES["beta_nll"]
    _, gradient = replace(case, losses=(losses.BetaNLL(beta=1.0),) * LEARNERS).evaluate()
    squared = replace(
        case, losses=(losses.SquaredError(),) * LEARNERS, outputs=case.outputs[..., :1].copy()
    )
    np.testing.assert_allclose(gradient[..., :1], squared.evaluate()[1], rtol=1e-13)


@every_case
def test_a_row_of_weight_zero_is_as_if_it_were_not_there(name: str) -> None:
    case = CASES[name]
    kept = np.flatnonzero(case.weights[0])
    assert len(kept) == ROWS - 1
    (values, gradient), (fewer_values, fewer) = case.evaluate(), case.rows(kept).evaluate()
    np.testing.assert_allclose(values * ROWS, fewer_values * len(kept), rtol=1e-12)
    np.testing.assert_allclose(gradient[:, kept] * ROWS, fewer * len(kept), rtol=1e-12)
    assert not np.delete(gradient, kept, axis=1).any()


@every_case
def test_a_row_of_weight_two_is_as_if_it_were_there_twice(name: str) -> None:
    case = CASES[name]
    twice = case.rows(np.append(np.arange(ROWS), 6))
    unweighted = evaluate(twice.losses, twice.outputs, twice.targets)
    weights = np.ones((LEARNERS, ROWS))
    weights[:, 6] = 2.0
    values, gradient = evaluate(case.losses, case.outputs, case.targets, weights)
    np.testing.assert_allclose(values * ROWS, unweighted[0] * (ROWS + 1), rtol=1e-12)
    doubled = unweighted[1][:, :ROWS] * weights[..., None]
    np.testing.assert_allclose(gradient * ROWS, doubled * (ROWS + 1), rtol=1e-12)


@every_case
@both_types
def test_a_learner_of_three_has_bitwise_the_loss_of_one_alone(
    name: str, dtype: type[np.floating]
) -> None:
    case = CASES[name].in_type(dtype)
    values, gradient = case.evaluate()
    for m in range(LEARNERS):
        own_values, own_gradient = case.alone(m).evaluate()
        assert values[m] == own_values[0]
        assert gradient[m].tobytes() == own_gradient[0].tobytes()


@every_case
@both_types
def test_a_nan_is_its_learners_alone(name: str, dtype: type[np.floating]) -> None:
    case = CASES[name].in_type(dtype)
    values, gradient = case.evaluate()
    for place in range(case.outputs.shape[-1]):
        outputs = case.outputs.copy()
        outputs[1, 3, place] = np.nan
        other_values, other_gradient = replace(case, outputs=outputs).evaluate()
        assert np.isnan(other_values[1])
        for m in (0, 2):
            assert values[m] == other_values[m]
            assert gradient[m].tobytes() == other_gradient[m].tobytes()


@every_case
def test_a_batch_is_read_and_never_written(name: str) -> None:
    case = CASES[name]
    arrays = case.outputs, case.targets, case.weights
    before = [array.tobytes() for array in arrays]
    case.evaluate()
    assert [array.tobytes() for array in arrays] == before


@every_case
@both_types
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_outputs_give_finite_losses_and_gradients(
    name: str, dtype: type[np.floating], size: float
) -> None:
    case = CASES[name].in_type(dtype)
    values, gradient = replace(case, outputs=size * case.outputs).evaluate()
    assert np.isfinite(values).all()
    assert np.isfinite(gradient).all()


@both_types
def test_a_certain_answer_costs_nothing_if_right_and_its_distance_if_wrong(
    dtype: type[np.floating],
) -> None:
    certain = [[1e4, 0.0, -1e4]]
    answers: list[tuple[Loss, Any, int, float, list[int]]] = [
        (losses.CrossEntropy(), certain, 0, 0.0, [0, 0, 0]),
        (losses.CrossEntropy(), certain, 2, 2e4, [1, 0, -1]),
        (losses.BinaryCrossEntropy(), [[1e4]], 1, 0.0, [0]),
        (losses.BinaryCrossEntropy(), [[1e4]], 0, 1e4, [1]),
        (losses.BinaryCrossEntropy(), [[-1e4]], 1, 1e4, [-1]),
        (losses.Hinge(), certain, 0, 0.0, [0, 0, 0]),
        (losses.Hinge(), certain, 2, 3e4 + 2, [1, 1, -2]),
    ]
    for loss, outputs, label, value, expected in answers:
        found, gradient = one(loss, outputs, [label], dtype=dtype)
        assert found == value
        np.testing.assert_array_equal(gradient, [expected])


@both_types
@pytest.mark.parametrize("shift", [0.0, 100.0, 1e4, -1e4])
def test_cross_entropy_does_not_depend_on_a_common_shift(
    dtype: type[np.floating], shift: float
) -> None:
    value, gradient = one(losses.CrossEntropy(), [[shift, shift]], [0], dtype=dtype)
    assert value == pytest.approx(log(2.0), rel=1e-6)
    np.testing.assert_allclose(gradient, [[-0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("margin", [1.0, 5.0, 9.0, 12.0, 40.0, 80.0])
def test_small_losses_keep_their_digits_in_float32(margin: float) -> None:
    exact = np.log1p(np.exp(-margin))
    value, _ = one(losses.CrossEntropy(), [[10.0, 10.0 - margin]], [0], dtype=np.float32)
    # log(1 + x) in float32 has an absolute error of the size of its rounding.
    assert value == pytest.approx(exact, rel=1e-6, abs=1.2e-7)
    value, gradient = one(losses.BinaryCrossEntropy(), [[margin]], [1], dtype=np.float32)
    assert value == pytest.approx(exact, rel=1e-6)
    assert gradient[0, 0] == pytest.approx(-special.expit(-margin), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 7, 10, 16, 17, 26, 33])
def test_cross_entropy_of_any_number_of_classes_is_that_of_scipy(classes: int) -> None:
    random = np.random.default_rng(classes)
    logits = random.normal(0.0, 4.0, (7, classes)).astype(np.float32)
    labels = random.integers(classes, size=7)
    value, gradient = one(losses.CrossEntropy(), logits, labels, dtype=np.float32)
    exact = special.log_softmax(logits.astype(np.float64), axis=1)
    own = np.arange(7), labels
    assert value == pytest.approx(-exact[own].mean(), rel=1e-6)
    expected = np.exp(exact)
    expected[own] -= 1.0
    np.testing.assert_allclose(gradient, expected / 7, atol=3e-8)


@pytest.mark.parametrize("rows", [1, 5, 32])
@pytest.mark.parametrize("classes", [2, 5, 26])
@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_has_the_same_bits_in_a_stack_of_any_shape(
    classes: int, rows: int, soft: bool
) -> None:
    random = np.random.default_rng(classes)
    logits = random.normal(0.0, 4.0, (3, rows, classes)).astype(np.float32)
    labels = random.integers(classes, size=(3, rows)).astype(np.int32)
    targets = np.eye(classes, dtype=np.float32)[labels] if soft else labels
    weights, loss = np.ones((3, rows), np.float32), losses.CrossEntropy(smoothing=0.1)
    together = evaluate([loss] * 3, logits, targets, weights)
    for m in range(3):
        own = slice(m, m + 1)
        alone = evaluate([loss], logits[own].copy(), targets[own].copy(), weights[own])
        for found, expected in zip(alone, together, strict=True):
            assert found.tobytes() == expected[own].tobytes()


def test_float32_stays_close_to_float64() -> None:
    for name, case in CASES.items():
        pairs = zip(case.in_type(np.float32).evaluate(), case.evaluate(), strict=True)
        for found, exact in pairs:
            scale = np.abs(exact).max()
            np.testing.assert_allclose(found / scale, exact / scale, atol=2e-6, err_msg=name)
