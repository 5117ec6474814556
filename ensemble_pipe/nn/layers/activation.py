"""Activations: fused with the bias of the layer before them, or layers of their own.

A fused activation works on the sums (M, R, C) of the layer before it, R rows of C channels, in the
same pass that adds the bias. On its own it is the same with a bias of zero.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import activations as kernels
from ensemble_pipe.nn.layers.base import Binding, Layer


class Fused:
    """An activation bound to the sums of the layer before it.

    Attributes:
        outputs_may_change: whether `backward` works after the outputs were overwritten.
    """

    def __init__(self, activation: "Activation", sums: Floats, values: dict[str, Floats]) -> None:
        self.kernels = activation.forward_kernel, activation.backward_kernel
        self.sums = sums
        self.outputs = np.zeros_like(sums) if activation.keeps_sums else sums
        self.written = [self.outputs] if activation.keeps_sums else []
        self.numbers = [values[name] for name in activation.numbers]
        self.bias = np.zeros((len(sums), sums.shape[-1]), sums.dtype)
        self.bias_gradient = np.zeros_like(self.bias)
        self.outputs_may_change = activation.keeps_sums or isinstance(activation, Identity)

    def forward(self, bias: Floats) -> Floats:
        """Return f(sums + bias) for a bias (M, C); overwrites the sums."""
        self.bias[...] = bias  # rows of views lie apart, which would keep kernels from vectorising
        self.kernels[0](self.sums, self.bias, *self.written, *self.numbers)
        return self.outputs

    def backward(self, gradient: Floats, bias_gradient: Floats) -> None:
        """Turn the gradient of the outputs into that of the sums, in place, and sum it by row."""
        self.kernels[1](gradient, self.sums, self.bias_gradient, *self.numbers)
        bias_gradient[...] = self.bias_gradient


class Activation(Layer):
    """An elementwise function, and its derivative.

    Attributes:
        forward_kernel: (sums, bias, *numbers), in place; or (sums, bias, outputs, *numbers).
        backward_kernel: (gradient, kept, bias_gradient, *numbers), in place.
        keeps_sums: whether the derivative is computed from the biased sums, which are then kept
            beside the outputs, or from the outputs, which take the sums' place.
    """

    forward_kernel: ClassVar[Callable[..., None]]
    backward_kernel: ClassVar[Callable[..., None]]
    keeps_sums: ClassVar[bool] = False

    shares_inputs = True
    row_wise = True

    def slopes(
        self, values: dict[str, Floats], learners: int, dtype: np.dtype[np.floating]
    ) -> Floats | None:
        """Return the slopes (M,) below zero of a function that is x above; None for others.

        Args:
            values: its numbers, (M,) each, by name.
            learners: M.
            dtype: of the slopes.
        """
        return None

    def fuse(self, sums: Floats, values: dict[str, Floats]) -> Fused:
        """Bind to sums (M, R, C) and the numbers (M,) of this activation, by name."""
        return Fused(self, sums, values)

    def bind(self, binding: Binding) -> "BoundActivation":
        return BoundActivation(self, binding)


class BoundActivation:
    """An activation on its own."""

    def __init__(self, activation: Activation, binding: Binding) -> None:
        channels = binding.input_shape[-1]
        self.sums = binding.buffer(*binding.input_shape)
        self.flat = self.sums.reshape(binding.learners, -1, channels)
        self.activation = activation.fuse(self.flat, binding.values)
        self.no_bias = np.zeros((binding.learners, channels), binding.dtype)
        self.unused = np.zeros_like(self.no_bias)
        self.outputs_may_change = self.activation.outputs_may_change

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.sums[...] = inputs
        return self.activation.forward(self.no_bias).reshape(self.sums.shape)

    def backward(self, gradient: Floats) -> Floats:
        self.activation.backward(gradient.reshape(self.flat.shape), self.unused)
        return gradient


@settings
class Identity(Activation):
    """f(x) = x."""

    name: Literal["linear"] = "linear"

    forward_kernel = staticmethod(kernels.linear_forward)
    backward_kernel = staticmethod(kernels.linear_backward)

    def slopes(
        self, values: dict[str, Floats], learners: int, dtype: np.dtype[np.floating]
    ) -> Floats:
        return np.ones(learners, dtype)


@settings
class ReLU(Activation):
    """f(x) = max(x, 0) (Nair & Hinton 2010)."""

    name: Literal["relu"] = "relu"

    forward_kernel = staticmethod(kernels.relu_forward)
    backward_kernel = staticmethod(kernels.relu_backward)

    def slopes(
        self, values: dict[str, Floats], learners: int, dtype: np.dtype[np.floating]
    ) -> Floats:
        return np.zeros(learners, dtype)


@settings
class LeakyReLU(Activation):
    """f(x) = x where x > 0, else slope x (Maas, Hannun & Ng 2013)."""

    name: Literal["leaky_relu"] = "leaky_relu"
    slope: Annotated[float, Ge(0), Lt(1)] = 0.01

    numbers = ("slope",)
    forward_kernel = staticmethod(kernels.leaky_relu_forward)
    backward_kernel = staticmethod(kernels.leaky_relu_backward)

    def slopes(
        self, values: dict[str, Floats], learners: int, dtype: np.dtype[np.floating]
    ) -> Floats:
        return values["slope"].astype(dtype, copy=False)


@settings
class ELU(Activation):
    """f(x) = x where x > 0, else alpha (exp(x) - 1) (Clevert, Unterthiner & Hochreiter 2016)."""

    name: Literal["elu"] = "elu"
    alpha: Annotated[float, Gt(0)] = 1.0

    numbers = ("alpha",)
    forward_kernel = staticmethod(kernels.elu_forward)
    backward_kernel = staticmethod(kernels.elu_backward)


@settings
class GELU(Activation):
    """f(x) = x P(X <= x) for a standard normal X, by erf (Hendrycks & Gimpel 2016)."""

    name: Literal["gelu"] = "gelu"

    keeps_sums = True
    forward_kernel = staticmethod(kernels.gelu_forward)
    backward_kernel = staticmethod(kernels.gelu_backward)


@settings
class SiLU(Activation):
    """f(x) = x / (1 + exp(-x)) (Elfwing, Uchibe & Doya 2018)."""

    name: Literal["silu"] = "silu"

    keeps_sums = True
    forward_kernel = staticmethod(kernels.silu_forward)
    backward_kernel = staticmethod(kernels.silu_backward)


@settings
class SELU(Activation):
    """f(x) = s x where x > 0, else s a (exp(x) - 1) (Klambauer et al. 2017, eq. 2).

    With s = 1.0507 and a = 1.6733, independent numbers of mean 0 and variance 1 keep both from
    layer to layer.
    """

    name: Literal["selu"] = "selu"

    forward_kernel = staticmethod(kernels.selu_forward)
    backward_kernel = staticmethod(kernels.selu_backward)


@settings
class Mish(Activation):
    """f(x) = x tanh(log(1 + exp(x))) (Misra 2020)."""

    name: Literal["mish"] = "mish"

    keeps_sums = True
    forward_kernel = staticmethod(kernels.mish_forward)
    backward_kernel = staticmethod(kernels.mish_backward)


@settings
class Tanh(Activation):
    """f(x) = tanh(x)."""

    name: Literal["tanh"] = "tanh"

    forward_kernel = staticmethod(kernels.tanh_forward)
    backward_kernel = staticmethod(kernels.tanh_backward)


@settings
class Sigmoid(Activation):
    """f(x) = 1 / (1 + exp(-x))."""

    name: Literal["sigmoid"] = "sigmoid"

    forward_kernel = staticmethod(kernels.sigmoid_forward)
    backward_kernel = staticmethod(kernels.sigmoid_backward)


AnyActivation = Identity | ReLU | LeakyReLU | ELU | SELU | GELU | SiLU | Mish | Tanh | Sigmoid
ActivationName = Literal[
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid"
]

ACTIVATIONS: Registry[AnyActivation] = Registry("activation", AnyActivation)
