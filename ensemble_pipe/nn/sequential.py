"""Networks as lists of layers."""

from dataclasses import replace
from typing import Annotated, Literal

from annotated_types import MaxLen

from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Initializer
from ensemble_pipe.nn.layers import (
    LAYERS,
    AnyLayer,
    Dense,
    Embedding,
    FeatureScale,
    Flatten,
    NumberEmbedding,
)
from ensemble_pipe.nn.layers.base import RateFactor
from ensemble_pipe.nn.network import Network


@settings
class Output:
    """The settings of the dense layer that gives a network's outputs.

    Attributes:
        initializer, form, start, bias_rate: as of any `dense` layer.
    """

    initializer: Initializer = "he_normal"
    form: Literal["standard", "ntk"] = "standard"
    start: Literal["drawn", "data"] = "drawn"
    bias_rate: RateFactor = 1.0

    def layer(self, outputs: int) -> Dense:
        """Return the layer for so many outputs."""
        return Dense(units=outputs, initializer=self.initializer, form=self.form, start=self.start)


@settings
class Sequential:
    """Any list of layers; the last must give flat rows.

    Attributes:
        layers: in order; a dense layer with as many units as there are outputs is put behind them.
        output: of that dense layer.
    """

    name: Literal["sequential"] = "sequential"
    layers: Annotated[tuple[Annotated[AnyLayer, LAYERS], ...], MaxLen(1000)]
    output: Output = Output()

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for rows of `input_shape` and `outputs` outputs.

        Raises:
            ConfigError: a layer cannot take what the one before it gives.
        """
        return Network(input_shape, [*self.layers, self.output.layer(outputs)])


def place_numbers(network: Sequential, places: tuple[int, ...]) -> Sequential:
    """Return the network with the places of the numbers that it embeds first, unless it has them.

    Args:
        network: whose embedding of numbers stands behind nothing but a flatten, an embedding of
            categories or scales.
        places: of the numbers in the row that it gets there.
    """
    before = (Flatten, Embedding, FeatureScale)
    first = next((layer for layer in network.layers if not isinstance(layer, before)), None)
    if not isinstance(first, NumberEmbedding) or first.places is not None:
        return network
    layers = (replace(one, places=places) if one is first else one for one in network.layers)
    return replace(network, layers=tuple(layers))
