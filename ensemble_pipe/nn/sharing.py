"""Learners of several members that share weights, made from the layers of a plain network.

The last layer is a dense one for each member. What comes before the first dense layer, such as
embeddings, all members share. Packed members share nothing.
"""

from collections.abc import Sequence
from itertools import takewhile
from math import prod
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Scales
from ensemble_pipe.nn.layers.activation import Activation
from ensemble_pipe.nn.layers.base import Layer
from ensemble_pipe.nn.layers.chain import Chain
from ensemble_pipe.nn.layers.dense import Dense, Flatten
from ensemble_pipe.nn.layers.dropout import Dropout
from ensemble_pipe.nn.layers.members import PerMember, Spread
from ensemble_pipe.nn.layers.scale import FeatureScale
from ensemble_pipe.nn.layers.shared_dense import SharedDense
from ensemble_pipe.nn.network import Network

MOST_MEMBERS = 1024

Form = Literal["full", "mini", "packed"]


@settings
class Sharing:
    """What the members of a learner share.

    Attributes:
        members: K.
        form: "full": every dense layer but the last has a kernel W for all, and vectors for each
            member, y_k = ((x_k r_k) W) s_k + b_k (Wen, Tran & Ba 2020, "BatchEnsemble"; TabM of
            Gorishniy et al. 2025). "mini": only the first r, and the last layer, are of each member
            (TabM-mini). "packed": nothing is shared; K networks in one learner.
    """

    members: Annotated[int, Ge(1), Le(MOST_MEMBERS)] = 32
    form: Form = "full"


def share(network: Network, sharing: Sharing) -> Network:
    """Return the network of a learner whose members are networks like `network`.

    The first r is random, every other s and r is 1, so that members differ by it and by their last
    layers alone where training begins.

    Args:
        network: of one member.
        sharing: what the members share.

    Raises:
        ConfigError: the network has a layer that several members cannot pass together.
    """
    chain = network.chain
    for name, layer in zip(chain.names, chain.layers, strict=True):
        if not layer.row_wise:
            raise ConfigError(
                f"ensemble.strategy: shared is for networks of dense layers, but {name} is none "
                "that members can share; take network: {name: mlp}, or another of flatten, dense, "
                "activations, dropout, layer_norm, scales and embeddings"
            )
    front = _front(chain, sharing)
    layers = [*chain.layers[:front], _spread(chain, front, sharing)]
    for place in range(front, len(chain.layers)):
        layers += _member_layers(chain, place, sharing)
    return Network(network.input_shape, layers)


def members_row(network: Network, row: Floats, members: Sequence[int]) -> Floats:
    """Return the row of a network with only some of the members.

    Args:
        network: of the learner.
        row: (P,).
        members: numbers of those that are kept, in order.
    """
    places, pieces = list(members), []
    for parameter, offset in zip(
        network.layout.parameters, network.layout.offsets.values(), strict=True
    ):
        tensor = row[offset : offset + parameter.size].reshape(parameter.shape)
        pieces.append((tensor[places] if parameter.members else tensor).ravel())
    return np.concatenate(pieces)


def _front(chain: Chain, sharing: Sharing) -> int:
    """Return the place of the layer that members begin to differ before."""
    if sharing.form == "packed":
        return sum(1 for _ in takewhile(lambda layer: isinstance(layer, Flatten), chain.layers))
    return next(place for place, layer in enumerate(chain.layers) if isinstance(layer, Dense))


def _spread(chain: Chain, front: int, sharing: Sharing) -> Spread:
    if sharing.form == "packed":
        return Spread(members=sharing.members)
    widths, embedded = (1,) * prod(chain.shapes[0]), False
    for layer in chain.layers[:front]:
        widths, embedded = layer.feature_widths(widths), embedded or layer.embeds_numbers
    scales = Scales(form="normal" if embedded else "signs", widths=widths)
    return Spread(members=sharing.members, scales=scales)


def _member_layers(chain: Chain, place: int, sharing: Sharing) -> list[Layer]:
    """Return the layers of all members that take the place of one."""
    layer, members = chain.layers[place], sharing.members
    last = place == len(chain.layers) - 1
    if last or sharing.form == "packed":
        own = bool(layer.parameters(chain.shapes[place]))
        return [PerMember.of(layer, members) if own else layer]
    if sharing.form == "mini" or not isinstance(layer, Dense):
        return [layer]
    scales = _scales_next(chain, place)
    shared = SharedDense(dense=layer, members=members, scales_outputs=scales)
    before = [i for i, other in enumerate(chain.layers[:place]) if isinstance(other, Dense)]
    if not before or _scales_next(chain, before[-1]):
        return [shared]
    return [PerMember.of(FeatureScale(), members), shared]


def _scales_next(chain: Chain, place: int) -> bool:
    """Return whether a shared dense layer multiplies the inputs of the next one.

    What lies between must not care whether it is multiplied before or after.
    """
    following = chain.layers[place + 1 :]
    between = list(takewhile(lambda layer: not isinstance(layer, Dense), following))
    if len(between) + 1 == len(following):
        return False
    after = between[1:] if between and isinstance(between[0], Activation) else between
    return all(isinstance(layer, Dropout) for layer in after)
