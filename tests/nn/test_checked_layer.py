"""Layers of a caller's own: what they return is checked before compiled kernels read it."""

from typing import Any, Literal

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError, InputError
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.layers import Binding, Dense, Layer, Residual
from ensemble_pipe.nn.layers.checked import CheckedLayer
from ensemble_pipe.nn.layout import Parameter
from ensemble_pipe.nn.network import BoundNetwork, Network

M, N, D = 2, 3, 4


class BoundScale:
    outputs_may_change = True

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.gain = binding.tensors["gain"]

    def forward(self, inputs: Floats, step: int) -> Any:
        self.inputs = inputs
        return inputs * self.gain[:, None]

    def backward(self, gradient: Floats) -> Any:
        gradients = self.binding.gradients or {}
        gradients["gain"][...] = (self.inputs * gradient).sum(axis=1)
        return gradient * self.gain[:, None]


@settings
class Scale(Layer):
    """Multiplies each feature by a gain."""

    name: Literal["scale"] = "scale"
    bound = BoundScale

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        return (Parameter("gain", input_shape, "he_normal"),)

    def bind(self, binding: Binding) -> Any:
        return self.bound(binding)


def scale_with(**members: Any) -> Layer:
    """Return the layer with other members of what it binds."""
    cls = type("Other", (Scale,), {"bound": type("BoundOther", (BoundScale,), members)})
    return cls()  # type: ignore[no-any-return]


def pass_through(layer: Layer, before: int = D) -> tuple[BoundNetwork, Floats]:
    """Return a network with the layer between two of the package, after a step, and gradients."""
    network = Network((D,), [Dense(units=before), layer, Dense(units=2)])
    rows = np.stack([network.initialize(1, m) for m in range(M)])
    gradients = np.zeros((M, network.layout.trainable), np.float32)
    bound = network.bind(rows, N, gradients)
    inputs = np.random.default_rng(1).normal(size=(N, D)).astype(np.float32)
    bound.forward(inputs)
    bound.backward(np.ones((M, N, 2), np.float32))
    return bound, gradients


def forward_of(change: Any) -> Layer:
    return scale_with(forward=lambda self, x, step: change(BoundScale.forward(self, x, step)))


def backward_of(change: Any) -> Layer:
    return scale_with(backward=lambda self, g: change(BoundScale.backward(self, g)))


WRONG = {
    "float64": (lambda a: a.astype(np.float64), "float64 (2, 3, 4)"),
    "byte order": (lambda a: a.astype(">f4"), ">f4 (2, 3, 4)"),
    "an axis less": (lambda a: a[0], "float32 (3, 4)"),
    "too wide": (lambda a: np.repeat(a, 2, axis=2), "float32 (2, 3, 8)"),
    "fewer rows": (lambda a: a[:, :2], "float32 (2, 2, 4)"),
    "a list": (lambda a: a.tolist(), "a list"),
    "nothing": (lambda a: None, "None"),
}


@pytest.mark.parametrize("method", ["forward", "backward"])
@pytest.mark.parametrize(("change", "found"), WRONG.values(), ids=list(WRONG))
def test_another_type_or_shape_is_refused(method: str, change: Any, found: str) -> None:
    layer = forward_of(change) if method == "forward" else backward_of(change)
    with pytest.raises(InputError) as caught:
        pass_through(layer)
    right = "must be float32 (2, 3, 4)"
    assert str(caught.value) == f"layer 'scale': {method} returned {found}, {right}"


STRIDED = {
    "in Fortran's order": lambda a: np.asarray(a, order="F"),
    "a slice": lambda a: np.repeat(a, 2, axis=2)[..., ::2],
    "read only": lambda a: np.broadcast_to(a[None], (1, *a.shape))[0],
    "a subclass": lambda a: np.ma.masked_array(a),
}


@pytest.mark.parametrize("of", [forward_of, backward_of])
@pytest.mark.parametrize("change", STRIDED.values(), ids=list(STRIDED))
def test_an_array_in_another_order_is_copied(of: Any, change: Any) -> None:
    _, expected = pass_through(Scale())
    _, found = pass_through(of(change))
    np.testing.assert_array_equal(found, expected)


def rebind_entry(self: Any, gradient: Floats) -> Any:
    self.binding.gradients["gain"] = (self.inputs * gradient).sum(axis=1)
    return gradient


def add(self: Any, gradient: Floats) -> Any:
    self.binding.gradients["gain"] += (self.inputs * gradient).sum(axis=1)
    return gradient


def test_a_gradient_that_takes_the_place_of_the_given_array_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        pass_through(scale_with(backward=rebind_entry))
    assert str(caught.value) == (
        "layer 'scale': backward put another array in the place of binding.gradients['gain']; "
        "write into the given one: binding.gradients['gain'][...] = values"
    )


@pytest.mark.parametrize("backward", [add, lambda self, gradient: gradient])
def test_a_gradient_that_is_not_written_is_refused(backward: Any) -> None:
    with pytest.raises(InputError, match=r"'scale': backward did not overwrite all of gradients\["):
        pass_through(scale_with(backward=backward))


def test_a_gradient_of_nan_counts_as_written() -> None:
    def backward(self: Any, gradient: Floats) -> Any:
        self.binding.gradients["gain"][...] = np.nan
        return gradient

    pass_through(scale_with(backward=backward))


def test_a_gradient_that_nobody_wants_is_dropped() -> None:
    network = Network((D,), [Scale(), Dense(units=2)])
    rows, gradients = np.ones((M, network.layout.size), np.float32), None
    gradients = np.zeros_like(rows)
    chain = network.bind(rows, N, gradients).chain
    chain.forward(np.ones((M, N, D), np.float32), 0)
    assert chain.backward(np.ones((M, N, 2), np.float32)) is None


def test_what_bind_returns_must_be_able_to_train() -> None:
    class Lacking(Scale):
        def bind(self, binding: Binding) -> Any:
            return None

    with pytest.raises(InputError) as caught:
        pass_through(Lacking())
    assert str(caught.value) == (
        "layer 'scale': bind returned None, which lacks forward, backward, outputs_may_change"
    )


@pytest.mark.parametrize("shape", [[4], (4.0,), (0,), 4, None])
def test_the_shape_of_a_row_is_whole_numbers(shape: Any) -> None:
    class Odd(Scale):
        def output_shape(self, input_shape: tuple[int, ...]) -> Any:
            return shape

    with pytest.raises(ConfigError, match="must be a tuple of whole numbers above 0") as caught:
        Network((D,), [Odd()])
    assert "layer scale1 cannot take rows of shape (4,): output_shape returned" in str(caught.value)


def test_layers_in_a_residual_block_are_checked_too() -> None:
    layer = forward_of(lambda a: a.astype(np.float64))
    with pytest.raises(InputError, match="'scale': forward returned float64"):
        pass_through(Residual(layers=(layer,)))  # type: ignore[arg-type]


def test_layers_of_the_package_are_not_wrapped() -> None:
    bound, _ = pass_through(Scale())
    assert [isinstance(layer, CheckedLayer) for layer in bound.chain.layers] == [False, True, False]
