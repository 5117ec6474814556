"""Convolution layers: standard and depthwise, with the activation after them."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Initializer
from ensemble_pipe.nn.kernels import depthwise as kernels
from ensemble_pipe.nn.kernels.lanes import aligned_zeros
from ensemble_pipe.nn.kernels.patches import make_patch, make_sums
from ensemble_pipe.nn.kernels.window import Padding, SlidingWindow, along
from ensemble_pipe.nn.layers.activation import Activation, Fused, Identity
from ensemble_pipe.nn.layers.base import Binding, Layer, require_image
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layers.convolution_methods import ConvolutionProblem, Gradients, choose
from ensemble_pipe.nn.layout import Parameter

Filters = Annotated[int, Gt(0), Le(65536)]
KernelSize = Annotated[int, Gt(0), Le(31)]
Stride = Annotated[int, Gt(0), Le(16)]


class Convolution(Layer):
    """The common part of all convolutions: the sliding window, and the absorbed activation.

    With "same" padding there are ceil(size / stride) outputs along an axis and an odd zero goes
    after; with "valid", floor((size - kernel_size) / stride) + 1.
    """

    kernel_size: int
    stride: int
    padding: Padding
    bias: bool

    shares_inputs = True

    def absorbs(self, following: Sequence[Layer], input_shape: tuple[int, ...]) -> int:
        return int(bool(following) and isinstance(following[0], Activation))

    def walk(self, input_shape: tuple[int, ...]) -> tuple[SlidingWindow, int, int]:
        """Return the window, and the height and width of the output.

        Raises:
            ValueError: the rows are no images, or the kernel does not fit.
        """
        height, width, _ = require_image(input_shape)
        rows, top = along(height, self.kernel_size, self.stride, self.padding)
        columns, left = along(width, self.kernel_size, self.stride, self.padding)
        if min(rows, columns) < 1:
            raise ValueError(
                f"a kernel of {self.kernel_size} by {self.kernel_size} does not fit into {height} "
                f'by {width} pixels; make it smaller, or use padding "same"'
            )
        return SlidingWindow(self.stride, top, left), rows, columns

    def biases(self, fan_in: int, filters: int) -> tuple[Parameter, ...]:
        return (Parameter("bias", (filters,), "zeros", fan_in, filters),) if self.bias else ()


@settings
class Conv2d(Convolution):
    """2-D convolution (cross-correlation): (H, W, C) -> (OH, OW, O), with a kernel (k, k, C, O).

    The activation after it is computed in the same pass as the bias.

    Attributes:
        filters: O.
        kernel_size: k.
        stride: from one output pixel to the next, in input pixels.
        padding: "same" or "valid".
        bias: whether there is one; a batch norm that follows makes it useless.
        initializer: of the kernel; the bias starts at zero.
    """

    name: Literal["conv2d"] = "conv2d"
    filters: Filters
    kernel_size: KernelSize = 3
    stride: Stride = 1
    padding: Padding = "same"
    bias: bool = True
    initializer: Initializer = "he_normal"

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*self.walk(input_shape)[1:], self.filters)

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        kernel = (self.kernel_size, self.kernel_size, input_shape[2], self.filters)
        area = self.kernel_size**2
        fans = (area * input_shape[2], area * self.filters)
        return (
            Parameter("kernel", kernel, self.initializer, *fans, decays=True),
            *self.biases(fans[0], self.filters),
        )

    def bind(self, binding: Binding) -> "BoundConv2d":
        return BoundConv2d(self, binding)


@settings
class DepthwiseConv2d(Convolution):
    """Convolution of each channel with a kernel of its own: (H, W, C) -> (OH, OW, C).

    The activation after it is computed in the same pass as the bias.

    Attributes:
        kernel_size, stride, padding, bias, initializer: as in `conv2d`.
    """

    name: Literal["depthwise_conv2d"] = "depthwise_conv2d"
    kernel_size: KernelSize = 3
    stride: Stride = 1
    padding: Padding = "same"
    bias: bool = True
    initializer: Initializer = "he_normal"

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*self.walk(input_shape)[1:], input_shape[2])

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        kernel = (self.kernel_size, self.kernel_size, input_shape[2])
        area = self.kernel_size**2
        return (
            Parameter("kernel", kernel, self.initializer, area, area, decays=True),
            *self.biases(area, input_shape[2]),
        )

    def bind(self, binding: Binding) -> "BoundDepthwiseConv2d":
        return BoundDepthwiseConv2d(self, binding)


class Sums:
    """The sums of a convolution, with the bias and the activation after it.

    Attributes:
        array: (M, N, OH, OW, O), what the convolution writes.
        outputs_may_change: whether `backward` works after the outputs were overwritten.
    """

    def __init__(self, layer: Convolution, binding: Binding, shape: tuple[int, ...]) -> None:
        self.array = aligned_zeros((binding.learners, binding.batch_rows, *shape), binding.dtype)
        self.flat = self.array.reshape(binding.learners, -1, shape[-1])
        self.bias = np.zeros((binding.learners, shape[-1]), binding.dtype)
        self.bias_gradient = np.zeros_like(self.bias)
        if layer.bias:
            self.bias = binding.tensors["bias"]
            if binding.gradients is not None:
                self.bias_gradient = binding.gradients["bias"]
        self.activation: Fused | None = None
        self.outputs_may_change = True
        if binding.absorbed or layer.bias:
            following, values = binding.absorbed[0] if binding.absorbed else (Identity(), {})
            assert isinstance(following, Activation)
            self.activation = following.fuse(self.flat, values)
            self.outputs_may_change = self.activation.outputs_may_change

    def forward(self) -> Floats:
        """Return the outputs, from the sums that `array` holds."""
        if self.activation is None:
            return self.array
        return self.activation.forward(self.bias).reshape(self.array.shape)

    def backward(self, gradient: Floats) -> None:
        """Turn the gradient of the outputs into that of the sums, in place."""
        if self.activation is not None:
            self.activation.backward(gradient.reshape(self.flat.shape), self.bias_gradient)


class BoundConv2d:
    """A convolution with its views and buffers, and the activation after it."""

    def __init__(self, layer: Conv2d, binding: Binding) -> None:
        window, height, width = layer.walk(binding.input_shape)
        size = (layer.kernel_size, layer.kernel_size, binding.input_shape[2], layer.filters)
        self.method = choose(
            ConvolutionProblem(window, size, width, binding.dtype, binding.row_products)
        )
        self.kernel = Contiguous(binding.tensors["kernel"])
        self.sums = Sums(layer, binding, (height, width, layer.filters))
        self.outputs_may_change = self.sums.outputs_may_change
        self.input_gradient = _input_gradient(binding)
        if binding.gradients is not None:
            self.kernel_gradient = Contiguous(binding.gradients["kernel"])

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs
        self.method.convolve(inputs, self.kernel.read(), self.sums.array)
        return self.sums.forward()

    def backward(self, gradient: Floats) -> Floats | None:
        self.sums.backward(gradient)
        gradients = Gradients(gradient, self.kernel_gradient.array, self.input_gradient)
        self.method.gradients(self.inputs, self.kernel.array, gradients)
        self.kernel_gradient.write()
        return self.input_gradient


class BoundDepthwiseConv2d:
    """A depthwise convolution with its views and buffers, and the activation after it."""

    def __init__(self, layer: DepthwiseConv2d, binding: Binding) -> None:
        self.window, height, width = layer.walk(binding.input_shape)
        size, channels = (layer.kernel_size,) * 2, binding.input_shape[2]
        self.kernel = Contiguous(binding.tensors["kernel"])
        self.patch = make_patch(size, width, layer.stride, channels, binding.dtype)
        self.sums = Sums(layer, binding, (height, width, channels))
        self.outputs_may_change = self.sums.outputs_may_change
        self.input_gradient = _input_gradient(binding)
        if binding.gradients is not None:
            self.kernel_gradient = Contiguous(binding.gradients["kernel"])
            self.kernel_sums = make_sums(layer.kernel_size**2, channels, binding.dtype)
            columns = binding.input_shape[1]
            self.gradient_patch = make_patch(size, columns, 1, channels, binding.dtype)

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs
        kernels.convolve(inputs, self.kernel.read(), self.window, self.sums.array, self.patch)
        return self.sums.forward()

    def backward(self, gradient: Floats) -> Floats | None:
        self.sums.backward(gradient)
        kernels.kernel_gradient(
            self.inputs,
            self.window,
            gradient,
            self.kernel_gradient.array,
            self.patch,
            self.kernel_sums,
        )
        self.kernel_gradient.write()
        if self.input_gradient is not None:
            kernels.input_gradient(
                self.kernel.array, self.window, gradient, self.input_gradient, self.gradient_patch
            )
        return self.input_gradient


def _input_gradient(binding: Binding) -> Floats | None:
    if not binding.training or not binding.input_gradient:
        return None
    shape = (binding.learners, binding.batch_rows, *binding.input_shape)
    return aligned_zeros(shape, binding.dtype)
