"""Layers: a description without state, and the same bound to rows and work buffers.

A description knows its shapes and parameters. Binding it to M rows of parameters and N rows of
input makes the views and every buffer that a step needs, once.
"""

from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.nn.kernels import activations as kernels
from ensemble_pipe.nn.layout import Parameter

# forward(outputs, bias) and backward(gradient, outputs, bias_gradient), fused with the bias.
ACTIVATIONS = {
    "linear": (kernels.linear_forward, kernels.linear_backward),
    "relu": (kernels.relu_forward, kernels.relu_backward),
    "tanh": (kernels.tanh_forward, kernels.tanh_backward),
}


@dataclass(frozen=True)
class Binding:
    """What a layer is bound to.

    Attributes:
        learners, batch_rows: M and N.
        dtype: of parameters, inputs and outputs.
        parameters: views (M, *shape) by name.
        gradients: the same views of the gradient rows; None for inference.
        input_gradient: whether the gradient with respect to the input is wanted.
    """

    learners: int
    batch_rows: int
    dtype: np.dtype[np.floating]
    parameters: dict[str, Floats]
    gradients: dict[str, Floats] | None
    input_gradient: bool

    def buffer(self, *shape: int) -> Floats:
        """Return a zeroed work buffer (M, N, *shape)."""
        return np.zeros((self.learners, self.batch_rows, *shape), self.dtype)


class BoundLayer(Protocol):
    def forward(self, inputs: Floats) -> Floats:
        """Return outputs (M, N, ...) for inputs (M, N, ...), or (N, ...) shared by all learners."""
        ...

    def backward(self, gradient: Floats) -> Floats | None:
        """Write parameter gradients; return the input's gradient, or None where it is not wanted.

        Args:
            gradient: (M, N, ...) with respect to the outputs; may be overwritten.
        """
        ...


class Layer(Protocol):
    @property
    def output_shape(self) -> tuple[int, ...]: ...

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...

    def bind(self, binding: Binding) -> BoundLayer: ...


@dataclass(frozen=True)
class Flatten:
    """Each row as a vector: (..., N, H, W, C) -> (..., N, H W C)."""

    input_shape: tuple[int, ...]
    parameters: tuple[Parameter, ...] = ()

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (prod(self.input_shape),)

    def bind(self, binding: Binding) -> "BoundFlatten":
        return BoundFlatten(self.input_shape)


class BoundFlatten:
    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.input_shape = input_shape

    def forward(self, inputs: Floats) -> Floats:
        lead = inputs.shape[: inputs.ndim - len(self.input_shape)]
        return inputs.reshape(*lead, -1)

    def backward(self, gradient: Floats) -> Floats:
        return gradient.reshape(*gradient.shape[:2], *self.input_shape)


@dataclass(frozen=True)
class Dense:
    """Fully connected layer: activation(x W + b).

    Attributes:
        name: prefix of its parameters.
        inputs, units: D and O.
        activation: a name of `ACTIVATIONS`.
        initializer: of the kernel (D, O); the bias (O,) starts at zero.
    """

    name: str
    inputs: int
    units: int
    activation: str
    initializer: str

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.units,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        fans = (self.inputs, self.units)
        return (
            Parameter(f"{self.name}/kernel", fans, self.initializer, *fans),
            Parameter(f"{self.name}/bias", (self.units,), "zeros", *fans),
        )

    def bind(self, binding: Binding) -> "BoundDense":
        return BoundDense(self, binding)


class BoundDense:
    """A dense layer with its views and buffers."""

    def __init__(self, layer: Dense, binding: Binding) -> None:
        names = (f"{layer.name}/kernel", f"{layer.name}/bias")
        self.kernel, self.bias = (binding.parameters[name] for name in names)
        self.activate, self.activate_backward = ACTIVATIONS[layer.activation]
        self.outputs = binding.buffer(layer.units)
        self.input_gradient: Floats | None = None
        if binding.gradients is not None:
            self.kernel_gradient, self.bias_gradient = (binding.gradients[name] for name in names)
            if binding.input_gradient:
                self.input_gradient = binding.buffer(layer.inputs)

    def forward(self, inputs: Floats) -> Floats:
        self.inputs = inputs
        np.matmul(inputs, self.kernel, out=self.outputs)
        self.activate(self.outputs, self.bias)
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        self.activate_backward(gradient, self.outputs, self.bias_gradient)
        np.matmul(self.inputs.swapaxes(-1, -2), gradient, out=self.kernel_gradient)
        if self.input_gradient is not None:
            np.matmul(gradient, self.kernel.swapaxes(-1, -2), out=self.input_gradient)
        return self.input_gradient
