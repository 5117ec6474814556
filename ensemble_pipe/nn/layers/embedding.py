"""Embedding of categorical columns of a table."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Initializer, Normal
from ensemble_pipe.nn.kernels import embedding as kernels
from ensemble_pipe.nn.layers.base import Binding, Layer, require_flat
from ensemble_pipe.nn.layout import Parameter


@settings
class CategoricalColumn:
    """A column of category codes.

    Attributes:
        column: its name in the table, or its place in the encoded row, counted from 0.
        categories: their number n; codes are 0 ... n - 1. Null takes it from the data.
        dimension: length of each category's vector.
    """

    column: Annotated[int, Ge(0)] | str
    categories: Annotated[int, Gt(0), Le(1 << 24)] | None = None
    dimension: Annotated[int, Gt(0), Le(4096)] = 8

    @property
    def place(self) -> int:
        """Its place in the row, which `nn.building` finds for a name."""
        if isinstance(self.column, str):
            raise ValueError(f"column {self.column!r} is a name, and only places are known here")
        return self.column

    @property
    def count(self) -> int:
        """The number of categories, which `nn.building` takes from the data where it is null."""
        if self.categories is None:
            raise ValueError(f"column {self.column!r}: the number of categories is not known here")
        return self.categories

    @property
    def tensor(self) -> str:
        return f"table{self.place}"


@settings
class Embedding(Layer):
    """A learned vector in place of each category (Guo & Berkhahn 2016): (D,) -> (D',).

    A row of outputs holds the other columns, in order, then the vector of each categorical column,
    in the order of `columns`. Category 0 stands for the unknown: codes outside of 0 ... n - 1, and
    what is no number, count as 0; fractions are cut off. No gradient goes to a code.

    Attributes:
        columns: the categorical ones.
        initializer: of the tables (M, n, dimension).
    """

    name: Literal["embedding"] = "embedding"
    columns: tuple[CategoricalColumn, ...]
    initializer: Initializer = Normal(deviation=0.05)

    shares_inputs = True
    row_wise = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        features = require_flat(input_shape)
        places = [embedded.place for embedded in self.columns]
        if not places:
            raise ValueError("has no columns; list at least one")
        if max(places) >= features:
            raise ValueError(
                f"rows have columns 0 to {features - 1}, so there is no column {max(places)}"
            )
        if len(set(places)) < len(places):
            raise ValueError(f"names a column twice in {places}; name each once")
        return (features + sum(embedded.dimension - 1 for embedded in self.columns),)

    def feature_widths(self, widths: tuple[int, ...]) -> tuple[int, ...]:
        places = {embedded.place for embedded in self.columns}
        others = [width for place, width in enumerate(widths) if place not in places]
        return (*others, *(embedded.dimension for embedded in self.columns))

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        return tuple(
            Parameter(
                column.tensor,
                (column.count, column.dimension),
                self.initializer,
                fan_in=1,  # a row chooses one category
                fan_out=column.dimension,
            )
            for column in self.columns
        )

    def bind(self, binding: Binding) -> "BoundEmbedding":
        return BoundEmbedding(self, binding)


class BoundEmbedding:
    """Tables with their columns and the places of their vectors in the outputs."""

    outputs_may_change = True

    def __init__(self, layer: Embedding, binding: Binding) -> None:
        self.columns, self.binding = layer.columns, binding
        places = {embedded.place for embedded in self.columns}
        others = [place for place in range(binding.input_shape[0]) if place not in places]
        self.others = np.array(others, np.int64)
        sizes = [len(others), *(embedded.dimension for embedded in self.columns)]
        self.firsts = [int(first) for first in np.cumsum(sizes)[:-1]]
        self.outputs = binding.buffer(sum(sizes))
        self.input_gradient = None
        if binding.training and binding.input_gradient:
            self.input_gradient = binding.buffer(*binding.input_shape)

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs
        kernels.copy_columns(inputs, self.others, self.outputs)
        for embedded, first in zip(self.columns, self.firsts, strict=True):
            table = self.binding.tensors[embedded.tensor]
            kernels.look_up(inputs, embedded.place, table, first, self.outputs)
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        assert self.binding.gradients is not None
        for embedded, first in zip(self.columns, self.firsts, strict=True):
            table = self.binding.gradients[embedded.tensor]
            kernels.add_up(gradient, self.inputs, embedded.place, first, table)
        if self.input_gradient is not None:
            kernels.spread_columns(gradient, self.others, self.input_gradient)
        return self.input_gradient
