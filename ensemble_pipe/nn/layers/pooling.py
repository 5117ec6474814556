"""Pooling layers: maximum, average and global average of image regions, by channel."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import pooling as kernels
from ensemble_pipe.nn.kernels.window import Padding, along
from ensemble_pipe.nn.layers.base import Binding, Layer, require_image

Size = Annotated[int, Gt(0), Le(16)]


class Regions(NamedTuple):
    """The region of each output: rows (M, I, 2) and columns (M, J, 2), as first and end."""

    rows: Integers
    columns: Integers


@settings
class WindowPool(Layer):
    """The common part of poolings with equal windows."""

    name: str
    size: Size = 2
    stride: Annotated[int, Gt(0)] | None = None
    padding: Padding = "valid"

    shares_inputs = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        height, width, channels = require_image(input_shape)
        rows, _ = self._along(height)
        columns, _ = self._along(width)
        if min(rows, columns) < 1:
            raise ValueError(
                f"a window of {self.size} by {self.size} does not fit into {height} by {width} "
                'pixels; make it smaller, or use padding "same"'
            )
        return rows, columns, channels

    def regions(self, binding: Binding) -> Regions:
        """Return the regions of the windows, cut off at the edges."""
        height, width, _ = require_image(binding.input_shape)

        def edges(length: int) -> Integers:
            count, before = self._along(length)
            starts = np.arange(count) * (self.stride or self.size) - before
            ends = np.stack([starts, starts + self.size], axis=1).clip(0, length)
            return np.tile(ends, (binding.learners, 1, 1))

        return Regions(edges(height), edges(width))

    def _along(self, length: int) -> tuple[int, int]:
        return along(length, self.size, self.stride or self.size, self.padding)


@settings
class MaxPool(WindowPool):
    """The largest number of each window (Zhou & Chellappa 1988): (H, W, C) -> (I, J, C).

    With "valid", I = floor((H - size) / stride) + 1; with "same", I = ceil(H / stride), where cells
    outside of the image count for nothing.

    Attributes:
        size: of the square window.
        stride: from one window to the next; None for `size`.
        padding: whether windows may reach over the edge.
    """

    name: Literal["max_pool"] = "max_pool"

    def bind(self, binding: Binding) -> "BoundMaxPool":
        return BoundMaxPool(binding, self.output_shape(binding.input_shape), self.regions(binding))


@settings
class AveragePool(WindowPool):
    """The mean of each window (LeCun et al. 1990): (H, W, C) -> (I, J, C).

    I and J are those of `MaxPool`. Cells outside of the image are not counted in the mean.

    Attributes:
        size, stride, padding: as in `max_pool`.
    """

    name: Literal["average_pool"] = "average_pool"

    def bind(self, binding: Binding) -> "BoundAveragePool":
        return BoundAveragePool(
            binding, self.output_shape(binding.input_shape), self.regions(binding)
        )


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
        return BoundAveragePool(binding, self.output_shape(binding.input_shape), Regions(*whole))


class BoundMaxPool:
    """Takes the largest number of each region, and passes the gradient to its position.

    Attributes:
        rows, columns: the regions, see the kernels.
    """

    outputs_may_change = True

    def __init__(self, binding: Binding, output_shape: tuple[int, ...], regions: Regions) -> None:
        self.rows, self.columns = regions
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

    def __init__(self, binding: Binding, output_shape: tuple[int, ...], regions: Regions) -> None:
        self.rows, self.columns = regions
        self.outputs = binding.buffer(*output_shape)
        self.images = self.outputs.reshape(
            *self.outputs.shape[:2], self.rows.shape[1], self.columns.shape[1], -1
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
