"""Builds the network of an architecture and a loss for the data at hand."""

from typing import Protocol

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.own_code import is_own
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.losses.checked import require_outputs
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Architecture


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


def build(network: Architecture, loss: Loss, data: DataShape) -> Network:
    """Return a network with the outputs that its loss needs.

    Args:
        network: the architecture.
        loss: that it is trained with.
        data: shapes of what it is trained on.

    Raises:
        ConfigError: network or loss do not fit the data.
        InputError: a loss of a caller's own is not as it must be.
    """
    try:
        outputs = loss.outputs(len(data.classes), data.target_count)
    except ValueError as error:
        raise ConfigError(f"training.loss: {error}") from None
    if is_own(type(loss)):
        outputs = require_outputs(loss, outputs, len(data.classes), data.target_count)
    return network.build(data.input_shape, outputs)
