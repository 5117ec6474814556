"""Networks for tables, each a list of layers that depends on the task."""

from abc import ABC, abstractmethod
from math import prod
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.layers import (
    ACTIVATIONS,
    NUMBER_EMBEDDINGS,
    ActivationName,
    AnyLayer,
    AnyNumberEmbedding,
    Dense,
    Dropout,
    FeatureScale,
    Flatten,
    Parametric,
    Pbld,
    PiecewiseLinear,
)
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.sequential import Output, Sequential, place_numbers

Hidden = Annotated[tuple[Annotated[int, Gt(0), Le(65536)], ...], MinLen(1), MaxLen(1000)]
Rate = Annotated[float, Ge(0), Lt(1)]
NumberEmbeddings = Annotated[AnyNumberEmbedding, NUMBER_EMBEDDINGS]


@settings
class TableNetwork(ABC):
    """The settings that networks for tables share.

    Attributes:
        hidden: units of each hidden layer.
        embedding: of the numbers; null for none.
        dropout: share of each hidden layer's outputs that is dropped in training; null for none.
    """

    numbers: ClassVar[tuple[str, ...]] = ("dropout",)

    name: str
    hidden: Hidden
    embedding: NumberEmbeddings | None
    dropout: Rate | None

    @abstractmethod
    def listed(self, *, classes: bool) -> Sequential:
        """Return the network as a list of layers, for classes or for numbers."""

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for rows whose features are all numbers; of classes, for several.

        `nn.building` knows which features of a table are numbers, and what the task is.
        """
        places = tuple(range(prod(input_shape)))
        listed = place_numbers(self.listed(classes=outputs > 1), places)
        return listed.build(input_shape, outputs)

    @property
    def _front(self) -> list[AnyLayer]:
        return [Flatten(), *([] if self.embedding is None else [self.embedding])]

    @property
    def _dropout(self) -> list[AnyLayer]:
        return [] if self.dropout is None else [Dropout(rate=self.dropout)]


@settings
class RealMlp(TableNetwork):
    """RealMLP: an embedding of numbers, a scale of each feature, and hidden layers in NTK form.

    Holzmueller, Grinsztajn & Steinwart 2024, "Better by default: strong pre-tuned MLPs and boosted
    trees on tabular data". Its biases, frequencies and activations have a tenth of the learning
    rate, its scales six times as much. It has training settings of its own, see `config.recipes`.

    Attributes:
        hidden, embedding, dropout: as in every network for tables.
        activation: of the hidden layers, parametric; null for selu, or mish in a regression.
    """

    name: Literal["realmlp"] = "realmlp"
    hidden: Hidden = (256, 256, 256)
    embedding: NumberEmbeddings | None = Pbld(rate=0.1)
    dropout: Rate | None = 0.15
    activation: ActivationName | None = None

    def listed(self, *, classes: bool) -> Sequential:
        activation = self.activation or ("selu" if classes else "mish")
        layers: list[AnyLayer] = [*self._front, FeatureScale(rate=6.0)]
        for units in self.hidden:
            layers += [
                Dense(
                    units=units, initializer="lecun_normal", form="ntk", start="data", bias_rate=0.1
                ),
                Parametric(activation=activation, rate=0.1),
                *self._dropout,
            ]
        output = Output(initializer="lecun_normal", form="ntk", start="data", bias_rate=0.1)
        return Sequential(layers=tuple(layers), output=output)


@settings
class TabM(TableNetwork):
    """The network of TabM: an embedding of numbers and hidden layers.

    Gorishniy, Kotelnikov & Babenko 2025, "TabM: advancing tabular deep learning with
    parameter-efficient ensembling". That its members share their weights is a matter of the
    ensemble's strategy. It has training settings of its own, see `config.recipes`.

    Attributes:
        hidden, embedding, dropout: as in every network for tables.
        activation: of the hidden layers.
    """

    name: Literal["tabm"] = "tabm"
    hidden: Hidden = (512, 512)
    embedding: NumberEmbeddings | None = PiecewiseLinear()
    dropout: Rate | None = 0.1
    activation: ActivationName = "relu"

    def listed(self, *, classes: bool) -> Sequential:
        layers = self._front
        for units in self.hidden:
            layers += [Dense(units=units), ACTIVATIONS[self.activation](), *self._dropout]
        return Sequential(layers=tuple(layers))
