"""Fully connected (dense) layers, and flattening of rows."""

from collections.abc import Sequence
from math import prod
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Initializer
from ensemble_pipe.nn.kernels import dense as products
from ensemble_pipe.nn.kernels.row_product import make_panels
from ensemble_pipe.nn.layers.activation import Activation, Identity
from ensemble_pipe.nn.layers.base import Binding, Layer, require_flat
from ensemble_pipe.nn.layout import Parameter


@settings
class Flatten(Layer):
    """Each row as a vector: (A, N, H, W, C) -> (A, N, H W C)."""

    name: Literal["flatten"] = "flatten"

    shares_inputs = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (prod(input_shape),)

    def bind(self, binding: Binding) -> "BoundFlatten":
        return BoundFlatten(binding)


class BoundFlatten:
    """Returns another view of the same numbers."""

    def __init__(self, binding: Binding) -> None:
        self.shape = binding.input_shape
        self.size = prod(self.shape)
        self.outputs_may_change = binding.may_overwrite_inputs

    def forward(self, inputs: Floats, step: int) -> Floats:
        return inputs.reshape(*inputs.shape[:2], self.size)

    def backward(self, gradient: Floats) -> Floats:
        return gradient.reshape(*gradient.shape[:2], *self.shape)


@settings
class Dense(Layer):
    """Fully connected layer: y = x W + b, with x (M, N, D), W (M, D, O), b (M, O).

    The activation after it is computed in the same pass as the bias.

    Attributes:
        units: O.
        initializer: of the kernel; the bias starts at zero.
    """

    name: Literal["dense"] = "dense"
    units: Annotated[int, Gt(0), Le(65536)] = 128
    initializer: Initializer = "he_normal"

    shares_inputs = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        require_flat(input_shape)
        return (self.units,)

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        fans = (input_shape[0], self.units)
        return (
            Parameter("kernel", fans, self.initializer, *fans, decays=True),
            Parameter("bias", (self.units,), "zeros", *fans),
        )

    def absorbs(self, following: Sequence[Layer], input_shape: tuple[int, ...]) -> int:
        return int(bool(following) and isinstance(following[0], Activation))

    def bind(self, binding: Binding) -> "BoundDense":
        return BoundDense(self, binding)


class BoundDense:
    """A dense layer with its views and buffers, and the activation after it."""

    def __init__(self, layer: Dense, binding: Binding) -> None:
        self.kernel, self.bias = binding.tensors["kernel"], binding.tensors["bias"]
        self.sums = binding.buffer(layer.units)
        terms = self.kernel.shape[1] if binding.row_products else 0
        self.panels = make_panels(terms, layer.units, binding.dtype)
        activation, values = binding.absorbed[0] if binding.absorbed else (Identity(), {})
        assert isinstance(activation, Activation)
        self.activation = activation.fuse(self.sums, values)
        self.outputs_may_change = self.activation.outputs_may_change
        self.input_gradient: Floats | None = None
        if binding.gradients is not None:
            self.kernel_gradient = binding.gradients["kernel"]
            self.bias_gradient = binding.gradients["bias"]
            if binding.input_gradient:
                self.input_gradient = binding.buffer(*binding.input_shape)

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs
        if self.panels.size > 0:
            products.row_products(inputs, self.kernel, self.sums, self.panels)
        else:
            np.matmul(inputs, self.kernel, out=self.sums)
        return self.activation.forward(self.bias)

    def backward(self, gradient: Floats) -> Floats | None:
        self.activation.backward(gradient, self.bias_gradient)
        products.kernel_gradient(self.inputs, gradient, self.kernel_gradient)
        if self.input_gradient is not None:
            products.input_gradient(gradient, self.kernel, self.input_gradient)
        return self.input_gradient
