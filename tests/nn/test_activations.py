"""Activations: their values to the last digits, fused and alone, and their slopes below zero."""

from collections.abc import Callable

import numpy as np
import pytest
from layer_cases import LayerCase, draw, predict, train
from scipy import special

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn import layers

# Each with its formula and the largest error, in units of the last place of a number of size 1, in
# float32 and float64.
FORMULAS: dict[str, tuple[layers.Activation, Callable[[Floats], Floats], float]] = {
    "linear": (layers.Identity(), lambda x: x, 0),
    "relu": (layers.ReLU(), lambda x: np.maximum(x, 0), 0),
    "leaky_relu": (layers.LeakyReLU(slope=0.2), lambda x: np.where(x > 0, x, 0.2 * x), 1),
    "elu": (
        layers.ELU(alpha=1.5),
        lambda x: np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0))),
        2,
    ),
    "selu": (
        layers.SELU(),
        lambda x: (
            special.expm1(np.minimum(x, 0)) * 1.7580993408473766
            + 1.0507009873554805 * np.maximum(x, 0)
        ),
        2,
    ),
    "gelu": (layers.GELU(), lambda x: x * special.ndtr(x), 6),
    "silu": (layers.SiLU(), lambda x: x * special.expit(x), 4),
    "mish": (layers.Mish(), lambda x: x * np.tanh(np.logaddexp(0, x)), 4),
    "tanh": (layers.Tanh(), np.tanh, 2),
    "sigmoid": (layers.Sigmoid(), special.expit, 2),
}
every_activation = pytest.mark.parametrize("name", FORMULAS)


def apply(activation: layers.Activation, inputs: Floats) -> Floats:
    case = LayerCase((activation,), (len(inputs),), (len(inputs),))
    rows = np.zeros((1, 0), inputs.dtype)
    outputs: Floats = predict(case, rows, inputs[None, None])[0, 0]
    return outputs


def test_every_activation_has_its_formula() -> None:
    assert set(FORMULAS) == set(layers.ACTIVATIONS)


@every_activation
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_are_those_of_the_formula(name: str, kind: type[np.floating]) -> None:
    activation, formula, units = FORMULAS[name]
    near = np.linspace(-8, 8, 20_001)
    tiny = np.array([1e-30, 1e-8, 1e-4, 0.0, -0.0])
    inputs = np.concatenate([near, tiny, -tiny, [1e3, -1e3, 87, -87, 89, -89]]).astype(kind)
    expected = formula(inputs.astype(np.float64))
    scale = np.maximum(np.abs(expected), 1)
    error = np.abs(apply(activation, inputs) - expected) / scale / np.finfo(kind).eps
    assert error.max() <= units


@every_activation
def test_what_is_not_a_number_stays_so(name: str) -> None:
    outputs = apply(FORMULAS[name][0], np.array([np.nan, 1.0], np.float32))
    assert np.isnan(outputs).tolist() == [True, False]


@every_activation
def test_an_infinity_saturates(name: str) -> None:
    outputs = apply(FORMULAS[name][0], np.array([np.inf], np.float32))
    assert outputs[0] == (1 if name in ("tanh", "sigmoid") else np.inf)


@every_activation
def test_fused_with_a_dense_layer_it_is_bitwise_the_one_alone(name: str) -> None:
    activation = FORMULAS[name][0]
    dense = LayerCase((layers.Dense(units=7),), (5,), (7,))
    alone = LayerCase((activation,), (7,), (7,))
    fused = LayerCase((layers.Dense(units=7), activation), (5,), (7,))
    rows, inputs = dense.rows(3), dense.inputs(3, 6)
    above = draw(3, 6, 7).astype(np.float32)
    sums = predict(dense, rows, inputs)
    activated = train(alone, np.zeros((3, 0), np.float32), sums, above)
    below = train(dense, rows.copy(), inputs, activated.below)
    together = train(fused, rows, inputs, above)
    assert together.outputs.tobytes() == activated.outputs.tobytes()
    assert together.gradients.tobytes() == below.gradients.tobytes()
    assert together.below.tobytes() == below.below.tobytes()


@every_activation
def test_slopes_say_what_it_is_below_zero(name: str) -> None:
    activation = FORMULAS[name][0]
    values = {number: np.array([0.3, 0.1]) for number in activation.numbers}
    slopes = activation.slopes(values, 2, np.dtype(np.float32))
    if name not in ("linear", "relu", "leaky_relu"):
        assert slopes is None
        return
    assert slopes is not None
    assert slopes.dtype == np.float32
    sums = draw(2, 6, 5)
    expected = np.where(sums > 0, sums, slopes[:, None, None] * sums)
    outputs = activation.fuse(sums.copy(), values).forward(np.zeros((2, 5)))
    np.testing.assert_allclose(outputs, expected, rtol=1e-7)


def test_learners_have_slopes_of_their_own() -> None:
    values = {"slope": np.array([0.0, 0.5])}
    activation = layers.LeakyReLU().fuse(np.full((2, 1, 1), -4.0), values)
    assert activation.forward(np.zeros((2, 1))).ravel().tolist() == [0.0, -2.0]
