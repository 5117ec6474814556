"""Builds the network of an architecture and a loss for the data at hand."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.core.own_code import is_own
from ensemble_pipe.nn.layers import CategoricalColumn, Embedding
from ensemble_pipe.nn.layers.rescale import Rescale, Rescaling
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.losses.checked import require_outputs
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Architecture, Mlp, Sequential, first_embedding
from ensemble_pipe.nn.sequential import place_numbers
from ensemble_pipe.nn.sharing import Sharing, share
from ensemble_pipe.nn.tabular import TableNetwork


class DataShape(Protocol):
    """Shapes of inputs and targets, as a `data.schema.Schema` has them."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one encoded row, (H, W, C) or (D,)."""

    @property
    def classes(self) -> tuple[int | str, ...]:
        """Names of the classes; empty for regression."""

    @property
    def target_count(self) -> int:
        """D of a regression, 1 for classes."""

    @property
    def code_counts(self) -> Mapping[int, int]:
        """The number of codes of each feature of codes, by its place in a row."""

    @property
    def code_places(self) -> Mapping[str, int]:
        """The place of each feature of codes, by the name of its column."""

    @property
    def number_places(self) -> tuple[int, ...]:
        """The places of the encoded numbers in a row; none of images."""

    @property
    def vectors(self) -> Mapping[int, int]:
        """The length of the vectors that stand for codes in every network, by place in a row."""


def build(
    network: Architecture,
    loss: Loss,
    data: DataShape,
    sharing: Sharing | None = None,
    rescaling: Rescaling | None = None,
) -> Network:
    """Return a network with the outputs that its loss needs.

    Features of codes are embedded first, by the network's own first layer where that is an
    embedding; columns that it does not name, and those of other networks, get vectors of the
    length that the data has for them. An embedding of numbers that comes first, or behind that of
    codes, embeds the numbers of the data.

    Args:
        network: the architecture.
        loss: that it is trained with.
        data: shapes of what it is trained on.
        sharing: what several members of a learner share; None for one member.
        rescaling: that rows pass first, where its learner has a scale of its own.

    Raises:
        ConfigError: network or loss do not fit the data, or its members cannot share it.
        InputError: a loss of a caller's own is not as it must be.
    """
    try:
        outputs = loss.outputs(len(data.classes), data.target_count)
    except ValueError as error:
        raise ConfigError(f"training.loss: {error}") from None
    if is_own(type(loss)):
        outputs = require_outputs(loss, outputs, len(data.classes), data.target_count)
    if isinstance(network, TableNetwork):
        network = network.listed(classes=bool(data.classes))
    elif isinstance(network, Mlp):
        network = network.listed()
    built = _build(network, outputs, data)
    if sharing is not None:
        built = share(built, sharing)
    if rescaling is None:
        return built
    return Network(data.input_shape, [Rescale(rescaling), *built.chain.layers])


def _build(network: Architecture, outputs: int, data: DataShape) -> Network:
    embedding = embedding_of(network, data)
    if isinstance(network, Sequential):
        network = place_numbers(network, _number_places(data, embedding))
    if embedding is None:
        return network.build(data.input_shape, outputs)
    if isinstance(network, Sequential) and (own := first_embedding(network)) is not None:
        layers = tuple(embedding if layer is own else layer for layer in network.layers)
        return replace(network, layers=layers).build(data.input_shape, outputs)
    behind = network.build(embedding.output_shape(data.input_shape), outputs)
    return Network(data.input_shape, [embedding, *behind.chain.layers])


def embedding_of(network: Architecture, data: DataShape) -> Embedding | None:
    """Return the embedding that a network begins with, with every column by its place.

    Raises:
        ConfigError: it names a column that has no codes.
    """
    own = first_embedding(network)
    columns = [_placed(column, data) for column in own.columns] if own else []
    named = {column.place for column in columns}
    columns += [
        CategoricalColumn(column=place, categories=data.code_counts[place], dimension=length)
        for place, length in data.vectors.items()
        if place not in named
    ]
    if own is not None:
        return replace(own, columns=tuple(columns))
    return Embedding(columns=tuple(columns)) if columns else None


def _number_places(data: DataShape, embedding: Embedding | None) -> tuple[int, ...]:
    """Return the places of the numbers, behind the embedding of codes where there is one.

    There a number comes after the other features that are no codes.
    """
    codes = [column.place for column in embedding.columns] if embedding else []
    return tuple(place - sum(code < place for code in codes) for place in data.number_places)


def _placed(column: CategoricalColumn, data: DataShape) -> CategoricalColumn:
    """Return a column with its place and its number of categories."""
    place = column.column
    if isinstance(place, str):
        if place not in data.code_places:
            raise ConfigError(
                f"network: the embedding names column {quote(place)}, which has no codes; columns "
                f"of codes (columns: {{NAME: {{kind: category, encode: code}}}}) are: "
                f"{list_names(list(data.code_places)) if data.code_places else 'none'}"
            )
        place = data.code_places[place]
    categories = column.categories or data.code_counts.get(place, 1)
    return replace(column, column=place, categories=categories)
