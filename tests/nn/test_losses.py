"""Losses: by hand, against scipy and scikit-learn, at extreme logits, each learner on its own."""

from math import log

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import log_loss, mean_squared_error

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.nn.losses import LOSSES


def evaluate(name: str, outputs: Floats, targets: Array) -> tuple[Floats, Floats]:
    """Return losses (M,) and the gradient (M, N, O)."""
    gradient = np.full_like(outputs, np.nan)
    losses = np.full(len(outputs), np.nan)
    LOSSES[name](outputs, targets, gradient, losses)
    return losses, gradient


def classes(*values: list[int]) -> Array:
    return np.array(values, np.int32)


def draw_logits(learners: int, rows: int, outputs: int) -> tuple[Floats, Array]:
    random = np.random.default_rng(4)
    logits = 3.0 * random.standard_normal((learners, rows, outputs))
    return logits, random.integers(0, outputs, (learners, rows)).astype(np.int32)


def test_cross_entropy_by_hand() -> None:
    # softmax of (0, log 3) is (1/4, 3/4)
    logits = np.array([[[0.0, log(3.0)], [0.0, log(3.0)]]])
    losses, gradient = evaluate("cross_entropy", logits, classes([1, 0]))
    np.testing.assert_allclose(losses, [(log(4.0 / 3.0) + log(4.0)) / 2.0], rtol=1e-14)
    np.testing.assert_allclose(gradient, [[[0.125, -0.125], [-0.375, 0.375]]], rtol=1e-14)


def test_cross_entropy_of_uniform_logits_is_the_log_of_the_number_of_classes() -> None:
    losses, _ = evaluate("cross_entropy", np.zeros((1, 3, 10)), classes([0, 4, 9]))
    np.testing.assert_allclose(losses, [log(10.0)], rtol=1e-14)


def test_cross_entropy_is_that_of_scipy() -> None:
    logits, labels = draw_logits(3, 20, 6)
    losses, gradient = evaluate("cross_entropy", logits, labels)
    chosen = np.take_along_axis(log_softmax(logits, axis=-1), labels[..., None], axis=-1)
    np.testing.assert_allclose(losses, -chosen.mean(axis=(1, 2)), rtol=1e-12)
    expected = (scipy_softmax(logits, axis=-1) - np.eye(6)[labels]) / 20
    np.testing.assert_allclose(gradient, expected, atol=1e-15)


def test_cross_entropy_is_the_log_loss_of_scikit_learn() -> None:
    logits, labels = draw_logits(2, 30, 5)
    losses, _ = evaluate("cross_entropy", logits, labels)
    for m in range(2):
        probabilities = scipy_softmax(logits[m], axis=-1)
        assert losses[m] == pytest.approx(log_loss(labels[m], probabilities, labels=range(5)))


def test_squared_error_by_hand() -> None:
    outputs = np.array([[[3.0], [0.0]]])
    losses, gradient = evaluate("squared_error", outputs, np.array([[1.0, -1.0]]))
    np.testing.assert_array_equal(losses, [(2.0 + 0.5) / 2.0])
    np.testing.assert_array_equal(gradient, [[[1.0], [0.5]]])


def test_squared_error_is_half_that_of_scikit_learn() -> None:
    random = np.random.default_rng(6)
    outputs, targets = random.standard_normal((2, 30, 1)), random.standard_normal((2, 30))
    losses, _ = evaluate("squared_error", outputs, targets)
    for m in range(2):
        expected = 0.5 * mean_squared_error(targets[m], outputs[m, :, 0])
        assert losses[m] == pytest.approx(expected, rel=1e-12)


def test_losses_of_perfect_outputs_are_zero() -> None:
    targets = np.array([[1.5, -2.0]], np.float32)
    losses, gradient = evaluate("squared_error", targets[..., None].copy(), targets)
    assert losses[0] == 0.0
    assert not gradient.any()
    certain = np.array([[[1e4, 0.0], [0.0, 1e4]]], np.float32)
    losses, gradient = evaluate("cross_entropy", certain, classes([0, 1]))
    assert losses[0] == 0.0
    assert not gradient.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_give_finite_losses_and_gradients(
    dtype: type[np.floating], size: float
) -> None:
    logits = np.array([[[size, 0.0, -size], [0.0, size, size], [size, size, size]]], dtype)
    losses, gradient = evaluate("cross_entropy", logits, classes([2, 0, 1]))
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_wrong_label_costs_its_distance_to_the_highest_logit(dtype: type[np.floating]) -> None:
    logits = np.array([[[1e4, 0.0, -1e4]]], dtype)
    losses, gradient = evaluate("cross_entropy", logits, classes([2]))
    np.testing.assert_array_equal(losses, [2e4])
    np.testing.assert_array_equal(gradient, [[[1.0, 0.0, -1.0]]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [0.0, 100.0, 1e4, -1e4])
def test_cross_entropy_does_not_depend_on_a_common_shift(
    dtype: type[np.floating], shift: float
) -> None:
    logits = np.full((1, 1, 2), shift, dtype)
    losses, gradient = evaluate("cross_entropy", logits, classes([0]))
    np.testing.assert_allclose(losses, [log(2.0)], rtol=1e-6)
    np.testing.assert_allclose(gradient, [[[-0.5, 0.5]]], rtol=1e-6)


@pytest.mark.parametrize("margin", [1.0, 5.0, 9.0, 12.0])
def test_small_losses_keep_their_digits_in_float32(margin: float) -> None:
    logits = np.array([[[10.0, 10.0 - margin]]], np.float32)
    losses, _ = evaluate("cross_entropy", logits, classes([0]))
    # log(1 + x) in float32 has an absolute error of the size of its rounding.
    np.testing.assert_allclose(losses, [np.log1p(np.exp(-margin))], rtol=1e-6, atol=1.2e-7)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_learners_loss_depends_on_its_own_numbers_alone(
    name: str, dtype: type[np.floating]
) -> None:
    outputs, targets = draw_case(name, dtype)
    losses, gradient = evaluate(name, outputs, targets)
    outputs[1], targets[1] = np.nan, 0
    other_losses, other_gradient = evaluate(name, outputs, targets)
    assert np.isnan(other_losses[1])
    for m in (0, 2):
        assert losses[m] == other_losses[m]
        assert gradient[m].tobytes() == other_gradient[m].tobytes()


@pytest.mark.parametrize("name", LOSSES)
def test_a_learner_of_three_has_bitwise_the_loss_of_one_alone(name: str) -> None:
    outputs, targets = draw_case(name, np.float32)
    losses, gradient = evaluate(name, outputs, targets)
    for m in range(3):
        one = slice(m, m + 1)
        own_losses, own_gradient = evaluate(name, outputs[one].copy(), targets[one].copy())
        assert losses[m] == own_losses[0]
        assert gradient[m].tobytes() == own_gradient[0].tobytes()


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_leaves_outputs_and_targets_as_they_are(name: str) -> None:
    outputs, targets = draw_case(name, np.float32)
    before = outputs.tobytes(), targets.tobytes()
    evaluate(name, outputs, targets)
    assert (outputs.tobytes(), targets.tobytes()) == before


@pytest.mark.parametrize("name", LOSSES)
def test_repeating_the_batch_changes_no_loss(name: str) -> None:
    outputs, targets = draw_case(name, np.float64)
    losses, gradient = evaluate(name, outputs, targets)
    twice, halved = evaluate(name, np.tile(outputs, (1, 2, 1)), np.tile(targets, (1, 2)))
    np.testing.assert_allclose(twice, losses, rtol=1e-12)
    np.testing.assert_allclose(halved[:, :13], 0.5 * gradient, rtol=1e-12)


def draw_case(name: str, dtype: type[np.floating]) -> tuple[Floats, Array]:
    """Return outputs (3, 13, O) and targets (3, 13)."""
    if name == "cross_entropy":
        logits, labels = draw_logits(3, 13, 5)
        return logits.astype(dtype), labels
    random = np.random.default_rng(8)
    return (
        random.standard_normal((3, 13, 1)).astype(dtype),
        random.standard_normal((3, 13)).astype(dtype),
    )
