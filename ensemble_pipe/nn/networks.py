"""Networks by name: settings that become layers, once the shapes of the data are known."""

from abc import ABC, abstractmethod
from math import prod
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen

from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Initializer
from ensemble_pipe.nn.layers import (
    ACTIVATIONS,
    ActivationName,
    AnyLayer,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    PlainLayer,
    ReLU,
    Residual,
)
from ensemble_pipe.nn.layers.convolution import Conv2d
from ensemble_pipe.nn.layers.normalization import BatchNorm
from ensemble_pipe.nn.layers.separable import SeparableConv2d
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.sequential import Output, place_numbers
from ensemble_pipe.nn.sequential import Sequential as Sequential
from ensemble_pipe.nn.tabular import NumberEmbeddings
from ensemble_pipe.nn.tabular import RealMlp as RealMlp
from ensemble_pipe.nn.tabular import TabM as TabM

Width = Annotated[int, Gt(0), Le(65536)]
Kernel = Annotated[int, Gt(0), Le(31)]
PoolSize = Annotated[int, Gt(0), Le(16)]
# Of each of many layers; deeper networks than any that was trained.
Widths = Annotated[tuple[Width, ...], MaxLen(1000)]
Rate = Annotated[float, Ge(0), Lt(1)]


@settings
class LinearModel:
    """A linear model: logistic (softmax) or linear regression, by the loss.

    Attributes:
        initializer: of the kernel; zeros are usual, since the problem is convex.
    """

    name: Literal["linear"] = "linear"
    initializer: Initializer = "zeros"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for rows of `input_shape` and `outputs` outputs."""
        head = Dense(units=outputs, initializer=self.initializer)
        return Network(input_shape, [Flatten(), head])


@settings
class Mlp:
    """A multi-layer perceptron: dense layers of the given widths, then a linear output.

    Attributes:
        hidden: units of each hidden layer; an empty list makes a linear model.
        activation: after each hidden layer.
        dropout: share of each hidden layer's outputs that is dropped in training; null for none.
        initializer: of every kernel.
        embedding: of the numbers of a table; null for none.
    """

    numbers: ClassVar[tuple[str, ...]] = ("dropout",)

    name: Literal["mlp"] = "mlp"
    hidden: Widths = (128,)
    activation: ActivationName = "relu"
    dropout: Rate | None = None
    initializer: Initializer = "he_normal"
    embedding: NumberEmbeddings | None = None

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for rows whose features are all numbers."""
        places = tuple(range(prod(input_shape)))
        return place_numbers(self.listed(), places).build(input_shape, outputs)

    def listed(self) -> Sequential:
        """Return the network as a list of layers."""
        layers: list[AnyLayer] = [Flatten()]
        if self.embedding is not None:
            layers.append(self.embedding)
        for units in self.hidden:
            layers += hidden_layer(units, self.activation, self.dropout, self.initializer)
        return Sequential(layers=tuple(layers), output=Output(initializer=self.initializer))


@settings
class WideAndDeep:
    """A linear model and an MLP side by side, their outputs added.

    Cheng et al. 2016, "Wide & deep learning for recommender systems", section 2.3, with the input
    columns themselves as the wide part.

    Attributes:
        hidden, activation, dropout, initializer: of the deep part, as in `mlp`.
    """

    numbers: ClassVar[tuple[str, ...]] = ("dropout",)

    name: Literal["wide_and_deep"] = "wide_and_deep"
    hidden: Annotated[Widths, MinLen(1)] = (128, 64)
    activation: ActivationName = "relu"
    dropout: Rate | None = None
    initializer: Initializer = "he_normal"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for rows of `input_shape` and `outputs` outputs."""
        deep: list[PlainLayer] = []
        for units in self.hidden:
            deep += hidden_layer(units, self.activation, self.dropout, self.initializer)
        deep.append(Dense(units=outputs, initializer=self.initializer))
        both = Residual(layers=tuple(deep), shortcut="projection")
        return Network(input_shape, [Flatten(), both])


@settings
class BlockCnn(ABC):
    """The settings of `Cnn` and `SeparableCnn`, which `Cnn` describes."""

    numbers: ClassVar[tuple[str, ...]] = ("dropout",)

    name: str
    filters: Annotated[Widths, MinLen(1)] = (32, 64)
    kernel_size: Kernel = 3
    pool: PoolSize = 2
    hidden: Widths = (128,)
    dropout: Rate | None = 0.25

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for images (H, W, C) and `outputs` outputs.

        Raises:
            ConfigError: the rows are no images, or too small for so many blocks.
        """
        layers: list[Layer] = []
        for block, filters in enumerate(self.filters):
            kind = self.convolution(block)
            kernel = kind(filters=filters, kernel_size=self.kernel_size, bias=False)
            layers += [kernel, BatchNorm(), ReLU(), MaxPool(size=self.pool)]
        return Network(input_shape, [*layers, *_dense_end(self.hidden, self.dropout, outputs)])

    @abstractmethod
    def convolution(self, block: int) -> type[Conv2d | SeparableConv2d]:
        """Return the kind of convolution in a block, counted from 0."""


@settings
class Cnn(BlockCnn):
    """Blocks of convolution, batch norm, ReLU and max-pooling, then dense layers.

    LeCun et al. 1998, "Gradient-based learning applied to document recognition", with the batch
    norm of Ioffe & Szegedy 2015.

    Attributes:
        filters: of each block.
        kernel_size: side of every kernel.
        pool: side of the windows after each block.
        hidden: units of the dense layers before the output.
        dropout: share of each dense layer's outputs that is dropped in training; null for none.
    """

    name: Literal["cnn"] = "cnn"

    def convolution(self, block: int) -> type[Conv2d]:
        return Conv2d


@settings
class SeparableCnn(BlockCnn):
    """A `cnn` whose blocks after the first use depthwise-separable convolutions.

    Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision
    applications", section 3.1.

    Attributes:
        filters, kernel_size, pool, hidden, dropout: as in `cnn`.
    """

    name: Literal["separable_cnn"] = "separable_cnn"

    def convolution(self, block: int) -> type[Conv2d | SeparableConv2d]:
        return SeparableConv2d if block else Conv2d


@settings
class ResNet:
    """A small residual network with pre-activation blocks and stochastic depth.

    He et al. 2016, "Identity mappings in deep residual networks", fig. 4e; the survival of block l
    of L falls linearly to 1 - (l / L) (1 - survival) (Huang et al. 2016, "Deep networks with
    stochastic depth", eq. 4).

    Attributes:
        filters: of each stage; every stage but the first halves height and width.
        blocks: residual blocks in each stage.
        survival: of the last block; 1 keeps every block always.
    """

    numbers: ClassVar[tuple[str, ...]] = ("survival",)

    name: Literal["resnet"] = "resnet"
    filters: Annotated[Widths, MinLen(1)] = (16, 32, 64)
    blocks: Annotated[int, Ge(1), Le(100)] = 2
    survival: Annotated[float, Gt(0), Le(1)] = 0.9

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for images (H, W, C) and `outputs` outputs.

        Raises:
            ConfigError: the rows are no images.
        """
        layers: list[Layer] = [Conv2d(filters=self.filters[0], kernel_size=3, bias=False)]
        total = len(self.filters) * self.blocks
        for stage, filters in enumerate(self.filters):
            for block in range(self.blocks):
                place = stage * self.blocks + block + 1
                survival = 1.0 - place / total * (1.0 - self.survival)
                stride = 2 if stage and not block else 1
                layers.append(_residual_block(filters, stride, survival))
        layers += [BatchNorm(), ReLU(), GlobalAveragePool(), Dense(units=outputs)]
        return Network(input_shape, layers)


Architecture = (
    LinearModel | Mlp | WideAndDeep | RealMlp | TabM | Cnn | SeparableCnn | ResNet | Sequential
)

NETWORKS: Registry[Architecture] = Registry("network", Architecture)


def first_embedding(network: Architecture) -> Embedding | None:
    """Return the embedding that a network begins with, None where it begins with none."""
    layers = network.layers if isinstance(network, Sequential) else ()
    first = next((layer for layer in layers if not isinstance(layer, Flatten)), None)
    return first if isinstance(first, Embedding) else None


def hidden_layer(
    units: int, activation: ActivationName, dropout: float | None, initializer: Initializer
) -> list[PlainLayer]:
    """Return one hidden layer of an MLP."""
    layers: list[PlainLayer] = [
        Dense(units=units, initializer=initializer),
        ACTIVATIONS[activation](),
    ]
    return layers if dropout is None else [*layers, Dropout(rate=dropout)]


def _dense_end(hidden: tuple[int, ...], dropout: float | None, outputs: int) -> list[Layer]:
    layers: list[Layer] = [Flatten()]
    for units in hidden:
        layers += hidden_layer(units, "relu", dropout, "he_normal")
    return [*layers, Dense(units=outputs)]


def _residual_block(filters: int, stride: int, survival: float) -> Residual:
    return Residual(
        layers=(
            BatchNorm(),
            ReLU(),
            Conv2d(filters=filters, kernel_size=3, stride=stride, bias=False),
            BatchNorm(),
            ReLU(),
            Conv2d(filters=filters, kernel_size=3, bias=False),
        ),
        survival=survival,
    )
