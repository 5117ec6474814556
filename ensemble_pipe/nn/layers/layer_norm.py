"""Layer normalization."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels.layer_norm import layer_norm_backward, layer_norm_forward
from ensemble_pipe.nn.layers.base import Binding, Layer
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layout import Parameter


@settings
class LayerNorm(Layer):
    """Layer normalization (Ba, Kiros & Hinton 2016, eq. 3), the same in training and prediction.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance over the last
    axis: the features of a flat row, or the channels of each pixel. gamma, beta are (M, C).

    Attributes:
        epsilon: added to the variance.
    """

    name: Literal["layer_norm"] = "layer_norm"
    epsilon: Annotated[float, Gt(0)] = 1e-5

    shares_inputs = True
    row_wise = True

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        channels = input_shape[-1:]
        return Parameter("gamma", channels, "ones"), Parameter("beta", channels, "zeros")

    def normalized_over(self, input_shape: tuple[int, ...], batch_rows: int) -> dict[str, int]:
        return {"": input_shape[-1]}

    def bind(self, binding: Binding) -> "BoundLayerNorm":
        return BoundLayerNorm(self, binding)


class BoundLayerNorm:
    """Layer normalization with the mean and scale of each row of the last batch."""

    outputs_may_change = True

    def __init__(self, layer: LayerNorm, binding: Binding) -> None:
        self.epsilon = layer.epsilon
        self.gamma = Contiguous(binding.tensors["gamma"])
        self.beta = Contiguous(binding.tensors["beta"])
        self.outputs = binding.buffer(*binding.input_shape)
        self.flat = self.outputs.reshape(binding.learners, -1, binding.input_shape[-1])
        self.means = np.zeros(self.flat.shape[:2], binding.dtype)
        self.scales = np.zeros_like(self.means)
        self.input_gradient = binding.input_gradient
        if binding.gradients is not None:
            self.gamma_gradient = Contiguous(binding.gradients["gamma"])
            self.beta_gradient = Contiguous(binding.gradients["beta"])

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs.reshape(len(inputs), *self.flat.shape[1:])
        gamma, beta = self.gamma.read(), self.beta.read()
        layer_norm_forward(
            self.inputs, gamma, beta, self.epsilon, self.flat, self.means, self.scales
        )
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        layer_norm_backward(
            gradient.reshape(self.flat.shape),
            self.inputs,
            self.gamma.array,
            self.means,
            self.scales,
            self.gamma_gradient.array,
            self.beta_gradient.array,
        )
        self.gamma_gradient.write()
        self.beta_gradient.write()
        return gradient if self.input_gradient else None
