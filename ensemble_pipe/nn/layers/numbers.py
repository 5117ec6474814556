"""What embeddings of numbers share: which features they embed, and where the vectors stand."""

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels.embedding import copy_columns, spread_columns
from ensemble_pipe.nn.layers.base import Binding, BoundLayer, Layer, RateFactor, require_flat
from ensemble_pipe.nn.layers.dense import BoundFlatten
from ensemble_pipe.nn.layout import Parameter

Places = tuple[int, ...]


@settings
class NumberEmbedding(Layer):
    """A vector in place of each number of a table: (D,) -> (D - K + K width,).

    A row of outputs holds the other features, in order, then the vectors of the K numbers. One-hot
    features, indicators and vectors of categories are no numbers, and pass by as they are.

    Attributes:
        places: of the numbers in a row, counted from 0. Null takes them from the data, for the
            first embedding of numbers in a network, which only a flatten, an embedding of
            categories or scales may stand before.
        rate: factor of the learning rate of the vectors' tensors.
    """

    places: Places | None = None
    rate: RateFactor = 1.0

    shares_inputs: ClassVar[bool] = True
    row_wise: ClassVar[bool] = True
    embeds_numbers: ClassVar[bool] = True

    @property
    @abstractmethod
    def width(self) -> int:
        """The length of each number's vector."""

    @abstractmethod
    def tensors(self, count: int) -> tuple[Parameter, ...]:
        """Return the tensors for so many numbers, at least one."""

    @abstractmethod
    def bind_numbers(self, binding: Binding) -> BoundLayer:
        """Bind to rows with at least one number."""

    def own_places(self, input_shape: tuple[int, ...]) -> Places:
        """Return the places of the numbers.

        Raises:
            ValueError: they are not known, or a row has no such places.
        """
        features = require_flat(input_shape)
        if self.places is None:
            raise ValueError(
                "embeds the numbers of a table, which must be the first layer of a network but for "
                "a flatten, an embedding of categories and scales; or give it `places`"
            )
        if len(set(self.places)) < len(self.places):
            raise ValueError(f"names a place twice in {list(self.places)}; name each once")
        if self.places and not 0 <= min(self.places) <= max(self.places) < features:
            raise ValueError(f"rows have places 0 to {features - 1}, not {list(self.places)}")
        return self.places

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (input_shape[0] + len(self.own_places(input_shape)) * (self.width - 1),)

    def feature_widths(self, widths: Places) -> Places:
        own = self.own_places((sum(widths),))
        starts = np.cumsum((0, *widths[:-1]))
        others = [width for start, width in zip(starts, widths, strict=True) if start not in own]
        return (*others, *(self.width for _ in own))

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        count = len(self.own_places(input_shape))
        tensors = self.tensors(count) if count else ()
        return tuple(replace(tensor, rate_factor=self.rate) for tensor in tensors)

    def bind(self, binding: Binding) -> BoundLayer:
        some = self.own_places(binding.input_shape)
        return self.bind_numbers(binding) if some else BoundFlatten(binding)


class BoundNumbers:
    """The part of a bound embedding of numbers that copies the other features.

    Attributes:
        places: (K,) of the numbers.
        first: place of the first number's vector in the outputs (M, N, D').
        input_gradient: (M, N, D); empty where it is not wanted.
    """

    outputs_may_change: bool = True

    def __init__(self, layer: NumberEmbedding, binding: Binding) -> None:
        own = layer.own_places(binding.input_shape)
        others = [place for place in range(binding.input_shape[0]) if place not in set(own)]
        self.binding = binding
        self.places, self.others = np.array(own, np.int64), np.array(others, np.int64)
        self.first = len(others)
        self.outputs = binding.buffer(*layer.output_shape(binding.input_shape))
        wanted = binding.training and binding.input_gradient
        self.input_gradient = binding.buffer(*binding.input_shape if wanted else (0,))

    def read(self, inputs: Floats) -> None:
        """Keep the inputs, and copy what is no number to the outputs."""
        self.inputs = inputs
        copy_columns(inputs, self.others, self.outputs)

    def spread(self, gradient: Floats) -> None:
        """Begin the gradient of the inputs: that of the outputs, where they were copied."""
        if self.input_gradient.size:
            spread_columns(gradient, self.others, self.input_gradient)

    @property
    def below(self) -> Floats | None:
        """The gradient of the inputs, if it is wanted."""
        return self.input_gradient if self.input_gradient.size else None
