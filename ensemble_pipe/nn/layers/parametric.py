"""Activations between the identity and a function, by a learned share of each unit."""

from typing import Literal

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import parametric as kernels
from ensemble_pipe.nn.layers.activation import ACTIVATIONS, ActivationName
from ensemble_pipe.nn.layers.base import Binding, Layer, RateFactor
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layout import Parameter


@settings
class Parametric(Layer):
    """y = x + alpha (f(x) - x), with a learned alpha (M, C) of each unit or channel.

    It starts at alpha = 1, the activation f itself; 0 is the identity. Holzmueller, Grinsztajn &
    Steinwart 2024, "Better by default", appendix A; a generalisation of PReLU (He et al. 2015).

    Attributes:
        activation: f, with the numbers that it has by default.
        rate: factor of the learning rate of alpha.
    """

    name: Literal["parametric"] = "parametric"
    activation: ActivationName = "selu"
    rate: RateFactor = 1.0

    shares_inputs = True
    row_wise = True

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        return (Parameter("alpha", input_shape[-1:], "ones", rate_factor=self.rate),)

    def bind(self, binding: Binding) -> "BoundParametric":
        return BoundParametric(self, binding)


class BoundParametric:
    """A parametric activation, with the activations f(x) of the last batch."""

    outputs_may_change = True

    def __init__(self, layer: Parametric, binding: Binding) -> None:
        activation, learners = ACTIVATIONS[layer.activation](), binding.learners
        numbers = activation.values(binding.input_shape)
        values = {name: np.full(learners, own, binding.dtype) for name, own in numbers.items()}
        self.sums = binding.buffer(*binding.input_shape).reshape(
            learners, -1, binding.input_shape[-1]
        )
        self.activation = activation.fuse(self.sums, values)
        self.outputs = np.zeros_like(self.sums)
        self.alpha = Contiguous(binding.tensors["alpha"])
        self.no_bias = np.zeros((learners, binding.input_shape[-1]), binding.dtype)
        self.unused = np.zeros_like(self.no_bias)
        self.input_gradient = binding.input_gradient
        if binding.gradients is not None:
            self.curve_gradient = np.zeros_like(self.sums)
            self.alpha_gradient = Contiguous(binding.gradients["alpha"])

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs.reshape(len(inputs), *self.sums.shape[1:])
        self.sums[...] = self.inputs
        self.curve = self.activation.forward(self.no_bias)
        kernels.mix(self.inputs, self.curve, self.alpha.read(), self.outputs)
        return self.outputs.reshape(len(self.outputs), *inputs.shape[1:])

    def backward(self, gradient: Floats) -> Floats | None:
        flat = gradient.reshape(self.sums.shape)
        kernels.mix_backward(
            flat, self.inputs, self.curve, self.alpha.array, self.curve_gradient,
            self.alpha_gradient.array,
        )  # fmt: skip
        self.alpha_gradient.write()
        if not self.input_gradient:
            return None
        self.activation.backward(self.curve_gradient, self.unused)
        kernels.add(flat, self.curve_gradient)
        return gradient
