"""Activations: fused with the bias of the layer before them, or layers of their own.

A fused activation works on the sums (M, R, C) of the layer before it, R rows of C channels, in the
same pass that adds the bias. On its own it is the same with a bias of zero.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.nn.kernels import activations as kernels
from ensemble_pipe.nn.layers.base import Binding, Layer
from ensemble_pipe.settings import settings


class Fused:
    """An activation bound to the sums of the layer before it.

    Attributes:
        outputs_may_change: whether `backward` works after the outputs were overwritten.
    """

    def __init__(self, activation: "Activation", sums: Floats, values: dict[str, Floats]) -> None:
        self.kernels = activation.forward_kernel, activation.backward_kernel
        self.sums = sums
        self.numbers = [values[name] for name in activation.numbers]
        self.outputs_may_change = isinstance(activation, Linear)

    def forward(self, bias: Floats) -> Floats:
        """Return f(sums + bias) for a bias (M, C), in place."""
        self.kernels[0](self.sums, bias, *self.numbers)
        return self.sums

    def backward(self, gradient: Floats, bias_gradient: Floats) -> None:
        """Turn the gradient of the outputs into that of the sums, in place, and sum it by row."""
        self.kernels[1](gradient, self.sums, bias_gradient, *self.numbers)


class Activation(Layer):
    """An elementwise function, and its derivative from its output.

    Attributes:
        forward_kernel: (sums, bias, *numbers), in place.
        backward_kernel: (gradient, outputs, bias_gradient, *numbers), in place.
        slope: of a function that is linear on both sides of zero, that below it; None for others.
    """

    forward_kernel: ClassVar[Callable[..., None]]
    backward_kernel: ClassVar[Callable[..., None]]

    def fuse(self, sums: Floats, values: dict[str, Floats]) -> Fused:
        return Fused(self, sums, values)

    def bind(self, binding: Binding) -> "BoundActivation":
        return BoundActivation(self, binding)


class BoundActivation:
    """An activation on its own."""

    def __init__(self, activation: Activation, binding: Binding) -> None:
        channels = binding.input_shape[-1]
        self.outputs = binding.buffer(*binding.input_shape)
        self.flat = self.outputs.reshape(binding.learners, -1, channels)
        self.activation = activation.fuse(self.flat, binding.values)
        self.no_bias = np.zeros((binding.learners, channels), binding.dtype)
        self.unused = np.zeros_like(self.no_bias)
        self.outputs_may_change = self.activation.outputs_may_change

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.outputs[...] = inputs
        return self.activation.forward(self.no_bias).reshape(self.outputs.shape)

    def backward(self, gradient: Floats) -> Floats:
        self.activation.backward(gradient.reshape(self.flat.shape), self.unused)
        return gradient


@settings
class Linear(Activation):
    """f(x) = x."""

    name: Literal["linear"] = "linear"

    forward_kernel = staticmethod(kernels.linear_forward)
    backward_kernel = staticmethod(kernels.linear_backward)


@settings
class ReLU(Activation):
    """f(x) = max(x, 0) (Nair & Hinton 2010)."""

    name: Literal["relu"] = "relu"

    forward_kernel = staticmethod(kernels.relu_forward)
    backward_kernel = staticmethod(kernels.relu_backward)


@settings
class Tanh(Activation):
    """f(x) = tanh(x)."""

    name: Literal["tanh"] = "tanh"

    forward_kernel = staticmethod(kernels.tanh_forward)
    backward_kernel = staticmethod(kernels.tanh_backward)
