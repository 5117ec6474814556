"""Depthwise separable convolution: by channel, then pixel by pixel."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Initializer
from ensemble_pipe.nn.kernels.window import Padding
from ensemble_pipe.nn.layers.base import Binding, Layer
from ensemble_pipe.nn.layers.convolution import (
    Conv2d,
    DepthwiseConv2d,
    Filters,
    KernelSize,
    Stride,
)
from ensemble_pipe.nn.layout import Parameter


@settings
class SeparableConv2d(Layer):
    """A depthwise convolution, then one of 1 by 1 pixels (Chollet 2017, "Xception", section 1.1).

    (H, W, C) -> (OH, OW, O), with kernels (k, k, C) and (1, 1, C, O) and nothing between them. The
    activation after it is computed in the same pass as the bias.

    Attributes:
        filters: O.
        kernel_size, stride, padding: of the depthwise part, as in `conv2d`.
        bias: whether there is one, after the second part.
        initializer: of both kernels.
    """

    name: Literal["separable_conv2d"] = "separable_conv2d"
    filters: Filters
    kernel_size: KernelSize = 3
    stride: Stride = 1
    padding: Padding = "same"
    bias: bool = True
    initializer: Initializer = "he_normal"

    shares_inputs = True

    @property
    def depthwise(self) -> DepthwiseConv2d:
        return DepthwiseConv2d(
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            bias=False,
            initializer=self.initializer,
        )

    @property
    def pointwise(self) -> Conv2d:
        return Conv2d(
            filters=self.filters, kernel_size=1, bias=self.bias, initializer=self.initializer
        )

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.pointwise.output_shape(self.depthwise.output_shape(input_shape))

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        between = self.depthwise.output_shape(input_shape)
        depthwise, pointwise = (
            self.depthwise.parameters(input_shape),
            self.pointwise.parameters(between),
        )
        return (
            replace(depthwise[0], name="depthwise_kernel"),
            replace(pointwise[0], name="pointwise_kernel"),
            *pointwise[1:],
        )

    def absorbs(self, following: Sequence[Layer], input_shape: tuple[int, ...]) -> int:
        return self.pointwise.absorbs(following, input_shape)

    def bind(self, binding: Binding) -> "BoundSeparableConv2d":
        return BoundSeparableConv2d(self, binding)


class BoundSeparableConv2d:
    """Both parts, bound."""

    def __init__(self, layer: SeparableConv2d, binding: Binding) -> None:
        depthwise = _part("depthwise", binding)
        pointwise = _part("pointwise", binding)
        between = layer.depthwise.output_shape(binding.input_shape)
        self.depthwise = layer.depthwise.bind(replace(depthwise, absorbed=()))
        self.pointwise = layer.pointwise.bind(
            replace(pointwise, input_shape=between, input_gradient=True)
        )
        self.outputs_may_change = self.pointwise.outputs_may_change

    def forward(self, inputs: Floats, step: int) -> Floats:
        return self.pointwise.forward(self.depthwise.forward(inputs, step), step)

    def backward(self, gradient: Floats) -> Floats | None:
        between = self.pointwise.backward(gradient)
        assert between is not None
        return self.depthwise.backward(between)


def _part(name: str, binding: Binding) -> Binding:
    """Return the binding of one part, whose kernel is "<part>_kernel" in the whole."""

    def own(tensors: dict[str, Floats]) -> dict[str, Floats]:
        return {**tensors, "kernel": tensors[f"{name}_kernel"]}

    gradients = None if binding.gradients is None else own(binding.gradients)
    return replace(binding, tensors=own(binding.tensors), gradients=gradients)
