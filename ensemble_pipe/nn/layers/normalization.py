"""Batch normalisation, with the activation and the pooling after it in the same pass."""

from collections.abc import Sequence
from math import prod
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import normalization as kernels
from ensemble_pipe.nn.kernels.lanes import aligned_zeros
from ensemble_pipe.nn.kernels.moments import measure
from ensemble_pipe.nn.layers.activation import Activation
from ensemble_pipe.nn.layers.base import Binding, Layer
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layers.pooling import MaxPool
from ensemble_pipe.nn.layout import Parameter


@settings
class BatchNorm(Layer):
    """Batch normalisation (Ioffe & Szegedy 2015, algorithms 1 and 2), per channel or column:

        y = (x - mean) / sqrt(variance + epsilon) gamma + beta

    with mean and variance of the batch in training, and their running averages in a prediction or
    where the layer is frozen: running += momentum (batch - running), with the unbiased variance.
    A training on batches of one value per channel, which have no variance, is refused before it.

    A piecewise linear activation after it, and then a max-pooling whose windows do not overlap, are
    computed in the same pass.

    Attributes:
        momentum: weight of the batch in the running averages.
        epsilon: added to the variance.
    """

    name: Literal["batch_norm"] = "batch_norm"
    momentum: Annotated[float, Gt(0), Le(1)] = 0.1
    epsilon: Annotated[float, Gt(0)] = 1e-5

    numbers = ("momentum", "epsilon")

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        shape = input_shape[-1:]
        return (
            Parameter("gamma", shape, "ones"),
            Parameter("beta", shape, "zeros"),
            Parameter("running_mean", shape, "zeros", trainable=False),
            Parameter("running_variance", shape, "ones", trainable=False),
        )

    def normalized_over(self, input_shape: tuple[int, ...], batch_rows: int) -> dict[str, int]:
        return {"": batch_rows * prod(input_shape[:-1])}

    def absorbs(self, following: Sequence[Layer], input_shape: tuple[int, ...]) -> int:
        count = int(bool(following) and _is_piecewise_linear(following[0]))
        return count + int(len(following) > count and _is_plain_pool(following[count]))

    def bind(self, binding: Binding) -> "BoundBatchNorm":
        return BoundBatchNorm(binding)


class BoundBatchNorm:
    """Batch norm with its views and buffers, and the layers after it.

    Attributes:
        fixed: whether mean and variance are the running ones.
        winners: the winning input of each window of a pooling; else unused.
    """

    outputs_may_change = True

    def __init__(self, binding: Binding) -> None:
        learners, dtype = binding.learners, binding.dtype
        channels = binding.input_shape[-1]
        height, width = binding.input_shape[:2] if len(binding.input_shape) == 3 else (1, 1)
        self.fixed = binding.frozen or not binding.training
        self.tensors = {name: Contiguous(view) for name, view in binding.tensors.items()}
        self.momentum, self.epsilon = binding.values["momentum"], binding.values["epsilon"]
        slopes, self.pool = _absorbed(binding)
        center, inverse, scale, shift = aligned_zeros((4, learners, channels), dtype)
        self.affine = kernels.Affine(center, inverse, scale, shift, slopes)
        self.mean, self.variance = np.zeros((2, learners, channels))
        lead = (learners, binding.batch_rows)
        self.input_shape = (*lead, *binding.input_shape)
        self.image_shape = (*lead, height, width, channels)
        self.windows = kernels.pool_of(self.pool, width, channels)
        pooled = (*lead, height // self.pool, width // self.pool, channels)
        self.images = aligned_zeros(pooled, dtype)
        self.outputs = self.images
        if len(binding.input_shape) == 1:
            self.outputs = self.images.reshape(*lead, channels)
        self.winners = aligned_zeros(pooled if self.pool > 1 else (0,) * 5, dtype)
        if binding.gradients is not None:
            self.gamma_gradient = Contiguous(binding.gradients["gamma"])
            self.beta_gradient = Contiguous(binding.gradients["beta"])
            self.nothing = np.zeros((learners, channels), dtype)
            self.input_gradient: Floats | None = None
            self.wants_input_gradient = binding.input_gradient
            if binding.input_gradient and not binding.may_overwrite_inputs:
                self.input_gradient = aligned_zeros(self.image_shape, dtype)

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs.reshape(self.image_shape)
        gamma, mean, variance = (
            self.tensors[name].read() for name in ("gamma", "running_mean", "running_variance")
        )
        self.affine.shift[...] = self.tensors["beta"].view
        if not self.fixed:
            measure(self.inputs, self.momentum, mean, variance, self.mean, self.variance)
            self.tensors["running_mean"].write()
            self.tensors["running_variance"].write()
        else:
            self.mean[...], self.variance[...] = mean, variance
        kernels.prepare(self.mean, self.variance, self.epsilon, gamma, self.affine)
        kernels.normalize(self.inputs, self.affine, self.windows, self.images, self.winners)
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        gradient = gradient.reshape(self.images.shape)
        chosen = self.winners if self.pool > 1 else self.inputs
        gamma, beta = self.gamma_gradient.array, self.beta_gradient.array
        kernels.parameter_gradients(gradient, chosen, self.affine, gamma, beta)
        self.gamma_gradient.write()
        self.beta_gradient.write()
        if not self.wants_input_gradient:
            return None
        if self.fixed:
            gamma = beta = self.nothing
        below = self.inputs if self.input_gradient is None else self.input_gradient
        kernels.input_gradient(
            gradient, chosen, self.inputs, self.affine, gamma, beta, self.windows, below
        )
        return below.reshape(self.input_shape)


def _is_piecewise_linear(layer: Layer) -> bool:
    if not isinstance(layer, Activation):
        return False
    values: dict[str, Floats] = {name: np.zeros(1) for name in layer.numbers}
    return layer.slopes(values, 1, np.dtype(np.float64)) is not None


def _is_plain_pool(layer: Layer) -> bool:
    """Whether a layer is a max-pooling of windows that neither overlap nor reach over the edge."""
    if not isinstance(layer, MaxPool):
        return False
    return layer.stride in (None, layer.size) and layer.padding == "valid"


def _absorbed(binding: Binding) -> tuple[Floats, int]:
    """Return the slopes (M,) of the absorbed activation, and the size of the absorbed pooling."""
    slopes, pool = np.ones(binding.learners, binding.dtype), 1
    for layer, values in binding.absorbed:
        if isinstance(layer, Activation):
            own = layer.slopes(values, binding.learners, binding.dtype)
            assert own is not None
            slopes = own
        else:
            assert isinstance(layer, MaxPool)
            pool = layer.size
    return slopes, pool
