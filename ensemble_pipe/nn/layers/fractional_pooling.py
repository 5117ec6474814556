"""Pooling by a ratio between 1 and 2, over regions that are drawn anew at every step."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.layers.base import Binding, Layer, require_image
from ensemble_pipe.nn.layers.pooling import BoundMaxPool, Regions

Sequence = Literal["random", "pseudorandom"]


@settings
class FractionalMaxPool(Layer):
    """Fractional max-pooling (Graham 2014): (H, W, C) -> (floor(H / ratio), floor(W / ratio), C).

    Each axis is cut at edges a_0 < a_1 < ... with steps of 1 and 2, drawn for each learner and
    step of training. Disjoint regions reach from a_i up to before a_(i+1), overlapping ones include
    it. A prediction is the mean of several passes with edges of their own, the same for everyone.

    Attributes:
        ratio: alpha, by which height and width shrink.
        sequence: "random" shuffles the steps; "pseudorandom" has a_i = ceil(alpha (i + u)) with
            one u for all, so that steps of 1 and 2 are spread evenly.
        overlapping: whether neighbouring regions share a row or column.
        test_draws: the number of passes.
    """

    name: Literal["fractional_max_pool"] = "fractional_max_pool"
    ratio: Annotated[float, Gt(1), Lt(2)] = 1.41
    sequence: Sequence = "random"
    overlapping: bool = True
    test_draws: Annotated[int, Ge(1), Le(1000)] = 4

    shares_inputs = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        height, width, channels = require_image(input_shape)
        return self._outputs("height", height), self._outputs("width", width), channels

    def bind(self, binding: Binding) -> "BoundFractionalMaxPool":
        return BoundFractionalMaxPool(self, binding)

    def _outputs(self, axis: str, size: int) -> int:
        outputs = int(size / self.ratio)
        if not 0 < outputs <= size - self.overlapping <= 2 * outputs:
            raise ValueError(
                f"steps of 1 and 2 cannot cut {axis} {size} into {outputs} regions, as ratio "
                f"{self.ratio:g} asks; use a ratio nearer to 1.5, or larger images"
            )
        return outputs


class BoundFractionalMaxPool:
    """Draws the regions, then pools as any other maximum."""

    outputs_may_change = True

    def __init__(self, layer: FractionalMaxPool, binding: Binding) -> None:
        self.layer, self.binding = layer, binding
        self.height, self.width, _ = require_image(binding.input_shape)
        output_shape = layer.output_shape(binding.input_shape)
        rows, columns = (
            np.zeros((binding.learners, count, 2), np.int64) for count in output_shape[:2]
        )
        self.pool = BoundMaxPool(binding, output_shape, Regions(rows, columns))
        self.test_draws = Draws(0, Purpose.LAYER, [0])

    def forward(self, inputs: Floats, step: int) -> Floats:
        rows, columns = self.pool.rows, self.pool.columns
        if self.binding.training:
            for m, random in enumerate(self.binding.generators(step)):
                rows[m] = draw_regions(self.layer, random, self.height, rows.shape[1])
                columns[m] = draw_regions(self.layer, random, self.width, columns.shape[1])
        else:
            (random,) = self.test_draws.at(step, self.binding.name)
            rows[:] = draw_regions(self.layer, random, self.height, rows.shape[1])
            columns[:] = draw_regions(self.layer, random, self.width, columns.shape[1])
        return self.pool.forward(inputs, step)

    def backward(self, gradient: Floats) -> Floats:
        return self.pool.backward(gradient)


def draw_regions(
    layer: FractionalMaxPool, random: np.random.Generator, size: int, count: int
) -> Integers:
    """Return the first and the end of each of `count` regions (I, 2) that cover `size` cells."""
    total = size - layer.overlapping
    if layer.sequence == "random":
        steps = np.ones(count, np.int64)
        steps[: total - count] = 2
        random.shuffle(steps)
        edges = np.concatenate([[0], steps.cumsum()])
    else:
        # ceil(alpha (i + u)) with alpha = total / count; whole numbers first keep its end exact.
        whole, rest = np.divmod(np.arange(count + 1) * total, count)
        edges = whole + np.ceil((rest + random.random() * total) / count).astype(np.int64)
        edges -= edges[0]
    return np.stack([edges[:-1], edges[1:] + layer.overlapping], axis=1)
