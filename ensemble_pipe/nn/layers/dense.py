"""Fully connected (dense) layers, and flattening of rows."""

from collections.abc import Sequence
from math import prod, sqrt
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Initializer
from ensemble_pipe.nn.kernels import dense as products
from ensemble_pipe.nn.kernels.row_product import make_panels
from ensemble_pipe.nn.layers.activation import Activation, Identity
from ensemble_pipe.nn.layers.base import Binding, Layer, RateFactor, require_flat
from ensemble_pipe.nn.layout import Parameter

# Of a unit over the training rows: one that varies less is constant, and cannot be scaled.
_LEAST_SPREAD = 1e-6
_MIXED_ROWS = 5


@settings
class Flatten(Layer):
    """Each row as a vector: (A, N, H, W, C) -> (A, N, H W C)."""

    name: Literal["flatten"] = "flatten"

    shares_inputs = True
    row_wise = True

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


# Rows of a batch from which on NumPy's BLAS sums over them faster, by a tenth to a half.
MANY_ROWS = 512


def write_kernel_gradient(inputs: Floats, gradient: Floats, kernel_gradient: Floats) -> None:
    """kernel_gradient (M, D, O) = x' gradient, for x (A, N, D) and gradient (M, N, O)."""
    if inputs.shape[1] < MANY_ROWS:
        products.kernel_gradient(inputs, gradient, kernel_gradient)
    else:
        np.matmul(inputs.transpose(0, 2, 1), gradient, out=kernel_gradient)


@settings
class Dense(Layer):
    """Fully connected layer: y = x W + b, with x (M, N, D), W (M, D, O), b (M, O).

    The activation after it is computed in the same pass as the bias.

    In NTK form (Jacot, Gabriel & Hongler 2018) y = x V / sqrt(D) + b, where the rule moves V. Of
    rules whose steps do not depend on the size of gradients, as Adam's, that is a learning rate
    of W = V / sqrt(D) that is 1 / sqrt(D) of the others; decay multiplies V and W by the same
    factor, so that it keeps the whole rate. So W is what is stored, and 1 / sqrt(D) a factor of its
    rate.

    First values that follow from the data give every unit a standard deviation of 1 over training
    rows, before its bias, which is minus a random convex combination of 5 rows' values: the unit is
    0 somewhere among the data (Holzmueller, Grinsztajn & Steinwart 2024, appendix A; Steinwart
    2019, "A sober look at neural network initializations").

    Attributes:
        units: O.
        initializer: of the kernel; the bias starts at zero.
        form: whether the rate of the kernel is that of the NTK form.
        start: whether the first values are drawn alone, or scaled by the data.
        bias_rate: factor of the learning rate of the bias.
    """

    name: Literal["dense"] = "dense"
    units: Annotated[int, Gt(0), Le(65536)] = 128
    initializer: Initializer = "he_normal"
    form: Literal["standard", "ntk"] = "standard"
    start: Literal["drawn", "data"] = "drawn"
    bias_rate: RateFactor = 1.0

    shares_inputs = True
    row_wise = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        require_flat(input_shape)
        return (self.units,)

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        fans = (input_shape[0], self.units)
        factor = 1 / sqrt(input_shape[0]) if self.form == "ntk" else 1.0
        return (
            Parameter(
                "kernel", fans, self.initializer, *fans,
                decays=True, rate_factor=factor, decay_factor=1.0,
            ),
            Parameter("bias", (self.units,), "zeros", *fans, rate_factor=self.bias_rate),
        )  # fmt: skip

    @property
    def fits(self) -> bool:
        return self.start == "data"

    def fit(self, binding: Binding, inputs: Floats) -> None:
        """Scale the kernel to the data, and set the bias by some of its rows."""
        kernel, bias = binding.tensors["kernel"][0], binding.tensors["bias"][0]
        sums = np.matmul(inputs[0], kernel).astype(np.float64)
        spread = sums.std(axis=0)
        scale = 1 / np.where(spread > _LEAST_SPREAD, spread, 1.0)
        kernel *= scale.astype(kernel.dtype)
        (random,) = binding.generators(0)
        chosen = random.integers(len(sums), size=(_MIXED_ROWS, self.units))
        shares = random.exponential(size=chosen.shape)
        mixed = (np.take_along_axis(sums, chosen, axis=0) * shares).sum(axis=0)
        bias[:] = -scale * mixed / shares.sum(axis=0)

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
            self.wants_input_gradient = binding.input_gradient
            if binding.input_gradient and not binding.may_overwrite_inputs:
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
        write_kernel_gradient(self.inputs, gradient, self.kernel_gradient)
        if not self.wants_input_gradient:
            return None
        below = self.inputs if self.input_gradient is None else self.input_gradient
        products.input_gradient(gradient, self.kernel, below)
        return below
