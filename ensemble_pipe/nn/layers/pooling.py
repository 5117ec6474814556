"""Pooling: fewer pixels, each the largest or the mean of a region, by channel."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import pooling as kernels
from ensemble_pipe.nn.kernels.window import Padding, along
from ensemble_pipe.nn.layers.base import Binding, Layer, require_image

Size = Annotated[int, Gt(0), Le(16)]


@settings
class MaxPool(Layer):
    """The largest number of each window (Zhou & Chellappa 1988): (H, W, C) -> (I, J, C).

    With "valid", I = floor((H - size) / stride) + 1; with "same", I = ceil(H / stride), where cells
    outside of the image count for nothing.

    Attributes:
        size: of the square window.
        stride: from one window to the next; None for `size`.
        padding: whether windows may reach over the edge.
    """

    name: Literal["max_pool"] = "max_pool"
    size: Size = 2
    stride: Annotated[int, Gt(0)] | None = None
    padding: Padding = "valid"

    shares_inputs = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return _shape_after(input_shape, self.size, self.stride, self.padding)

    def bind(self, binding: Binding) -> "BoundMaxPool":
        regions = _window_regions(binding, self.size, self.stride, self.padding)
        return BoundMaxPool(binding, self.output_shape(binding.input_shape), *regions)


@settings
class AveragePool(Layer):
    """The mean of each window (LeCun et al. 1990): (H, W, C) -> (I, J, C).

    I and J are those of `MaxPool`. Cells outside of the image are not counted in the mean.

    Attributes:
        size: of the square window.
        stride: from one window to the next; None for `size`.
        padding: whether windows may reach over the edge.
    """

    name: Literal["average_pool"] = "average_pool"
    size: Size = 2
    stride: Annotated[int, Gt(0)] | None = None
    padding: Padding = "valid"

    shares_inputs = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return _shape_after(input_shape, self.size, self.stride, self.padding)

    def bind(self, binding: Binding) -> "BoundAveragePool":
        regions = _window_regions(binding, self.size, self.stride, self.padding)
        return BoundAveragePool(binding, self.output_shape(binding.input_shape), *regions)


@settings
class GlobalAveragePool(Layer):
    """The mean over all pixels (Lin, Chen & Yan 2014, "Network in network"): (H, W, C) -> (C,)."""

    name: Literal["global_average_pool"] = "global_average_pool"

    shares_inputs = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return require_image(input_shape)[2:]

    def bind(self, binding: Binding) -> "BoundAveragePool":
        height, width, _ = require_image(binding.input_shape)
        whole = [np.full((binding.learners, 1, 2), (0, size)) for size in (height, width)]
        return BoundAveragePool(binding, self.output_shape(binding.input_shape), *whole)


class BoundMaxPool:
    """Takes the largest number of each region, and gives its gradient to where it came from.

    Attributes:
        rows, columns: each learner's regions, (M, I, 2) and (M, J, 2); see the kernels.
    """

    outputs_may_change = True

    def __init__(
        self,
        binding: Binding,
        output_shape: tuple[int, ...],
        rows: Integers,
        columns: Integers,
    ) -> None:
        self.rows, self.columns = rows, columns
        self.outputs = binding.buffer(*output_shape)
        self.winners = np.zeros(self.outputs.shape, np.uint8)
        if binding.training:
            self.input_gradient = binding.buffer(*binding.input_shape)

    def forward(self, inputs: Floats, step: int) -> Floats:
        kernels.max_pool_forward(inputs, self.rows, self.columns, self.outputs, self.winners)
        return self.outputs

    def backward(self, gradient: Floats) -> Floats:
        kernels.max_pool_backward(
            gradient, self.rows, self.columns, self.winners, self.input_gradient
        )
        return self.input_gradient


class BoundAveragePool:
    """Takes the mean of each region (M, I, 2) by (M, J, 2), and spreads its gradient evenly."""

    outputs_may_change = True

    def __init__(
        self,
        binding: Binding,
        output_shape: tuple[int, ...],
        rows: Integers,
        columns: Integers,
    ) -> None:
        self.rows, self.columns = rows, columns
        self.outputs = binding.buffer(*output_shape)
        self.images = self.outputs.reshape(
            *self.outputs.shape[:2], rows.shape[1], columns.shape[1], -1
        )
        if binding.training:
            self.input_gradient = binding.buffer(*binding.input_shape)

    def forward(self, inputs: Floats, step: int) -> Floats:
        kernels.average_pool_forward(inputs, self.rows, self.columns, self.images)
        return self.outputs

    def backward(self, gradient: Floats) -> Floats:
        images = gradient.reshape(self.images.shape)
        kernels.average_pool_backward(images, self.rows, self.columns, self.input_gradient)
        return self.input_gradient


def _shape_after(
    input_shape: tuple[int, ...], size: int, stride: int | None, padding: Padding
) -> tuple[int, ...]:
    height, width, channels = require_image(input_shape)
    rows, _ = along(height, size, stride or size, padding)
    columns, _ = along(width, size, stride or size, padding)
    if min(rows, columns) < 1:
        raise ValueError(
            f"a window of {size} by {size} does not fit into {height} by {width} pixels; "
            'make it smaller, or use padding "same"'
        )
    return rows, columns, channels


def _window_regions(
    binding: Binding, size: int, stride: int | None, padding: Padding
) -> tuple[Integers, Integers]:
    """Return the rows (M, I, 2) and columns (M, J, 2) of the windows, cut off at the edges."""
    height, width, _ = require_image(binding.input_shape)

    def edges(length: int) -> Integers:
        count, before = along(length, size, stride or size, padding)
        starts = np.arange(count) * (stride or size) - before
        ends = np.stack([starts, starts + size], axis=1).clip(0, length)
        return np.tile(ends, (binding.learners, 1, 1))

    return edges(height), edges(width)
