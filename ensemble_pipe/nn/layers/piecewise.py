"""Piecewise linear embeddings of numbers."""

import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Uniform
from ensemble_pipe.nn.kernels import piecewise as kernels
from ensemble_pipe.nn.layers.base import Binding
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layers.numbers import BoundNumbers, NumberEmbedding
from ensemble_pipe.nn.layout import Parameter


@settings
class PiecewiseLinear(NumberEmbedding):
    """a x + b + e(x) W in place of each number x, with its piecewise linear encoding e(x).

    With the edges of B bins, e(x) is 1 in each bin below that of x, (x - low) / (high - low) in its
    own, and 0 above; in the lowest and the highest bin it goes on linearly beyond the edge.
    Gorishniy, Rubachev & Babenko 2022, "On embeddings for numerical features in tabular deep
    learning", eq. 1; W (M, K, B, J) starts at zero beside a linear embedding a, b (M, K, J), as in
    TabM (Gorishniy, Kotelnikov & Babenko 2025).

    The edges are quantiles of the training rows that a learner sees, at equal shares; of equal
    ones, one is kept. They are statistics of the learner, which no step moves: the lowest edge
    (M, K), and the widths (M, K, B) of the bins, 0 behind the last.

    Attributes:
        places, rate: as in every embedding of numbers.
        bins: B, at most.
        dimension: J, the length of a number's vector.
    """

    name: Literal["piecewise_linear"] = "piecewise_linear"
    bins: Annotated[int, Gt(0), Le(4096)] = 48
    dimension: Annotated[int, Gt(0), Le(4096)] = 16

    @property
    def width(self) -> int:
        return self.dimension

    def tensors(self, count: int) -> tuple[Parameter, ...]:
        vectors, limit = (count, self.dimension), Uniform(limit=1 / math.sqrt(self.dimension))
        fans = (self.bins, self.dimension)
        return (
            Parameter("kernel", (count, *fans), "zeros", *fans, decays=True, begins_alike=True),
            Parameter("slope", vectors, limit, 1, self.dimension),
            Parameter("bias", vectors, limit, 1, self.dimension),
            Parameter("lowest", (count,), "zeros", trainable=False, from_data=True),
            Parameter("widths", (count, self.bins), "zeros", trainable=False, from_data=True),
        )

    @property
    def fits(self) -> bool:
        return True

    def fit(self, binding: Binding, inputs: Floats) -> None:
        """Find the edges of the bins."""
        shares, tensors = np.linspace(0, 1, self.bins + 1), binding.tensors
        for k, place in enumerate(self.own_places(binding.input_shape)):
            edges = np.unique(np.quantile(inputs[0, :, place].astype(np.float64), shares))
            tensors["lowest"][0, k] = edges[0]
            tensors["widths"][0, k] = 0
            tensors["widths"][0, k, : len(edges) - 1] = np.diff(edges)

    def bind_numbers(self, binding: Binding) -> "BoundPiecewiseLinear":
        return BoundPiecewiseLinear(self, binding)


class BoundPiecewiseLinear(BoundNumbers):
    """A piecewise linear embedding, with the bin of each number of the last batch."""

    def __init__(self, layer: PiecewiseLinear, binding: Binding) -> None:
        super().__init__(layer, binding)
        self.tensors = {name: Contiguous(view) for name, view in binding.tensors.items()}
        widths = binding.tensors["widths"]
        self.edges = np.zeros(widths.shape, binding.dtype)
        self.counts = np.zeros(widths.shape[:2], np.int64)
        rows = (*widths.shape[:2], binding.batch_rows)
        self.bins, self.shares = np.zeros(rows, np.int64), np.zeros(rows, binding.dtype)
        self.sums = np.zeros((layer.bins, layer.dimension), binding.dtype)
        if binding.gradients is not None:
            own = binding.gradients.items()
            self.gradients = {name: Contiguous(view) for name, view in own}

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.read(inputs)
        own = {name: tensor.read() for name, tensor in self.tensors.items()}
        kernels.lay_edges(own["lowest"], own["widths"], self.edges, self.counts)
        kernels.piecewise_forward(
            inputs, self.places, self.edges, self.counts, own["widths"], own["kernel"],
            own["slope"], own["bias"], self.first, self.outputs, self.bins, self.shares, self.sums,
        )  # fmt: skip
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        self.spread(gradient)
        tensors, own = self.tensors, self.gradients
        kernels.piecewise_backward(
            gradient, self.inputs, self.places, tensors["widths"].array, tensors["kernel"].array,
            tensors["slope"].array, self.first, self.bins, self.shares,
            own["kernel"].array, own["slope"].array, own["bias"].array,
            self.input_gradient, self.sums,
        )  # fmt: skip
        for tensor in own.values():
            tensor.write()
        return self.below
