"""What model.json holds of members that consist of networks, and the checks of it."""

from dataclasses import asdict
from typing import Annotated, Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.rescaling import rescaling_of
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.scaling import SCALES, Scale
from ensemble_pipe.ensemble.members.member import Member, MemberRecord, SavedFiles
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.losses import LOSSES, Loss
from ensemble_pipe.nn.networks import NETWORKS, Architecture
from ensemble_pipe.nn.sharing import Sharing


class NetworkFields(MemberRecord):
    """Fields of every member that consists of networks.

    Attributes:
        tensor: name of its rows.
        network, loss: of each of its networks.
        features: numbers of the columns that it sees; None for all.
        scale: of the numbers that its networks are given, where it is not that of the schema.
    """

    tensor: str
    network: Annotated[Architecture, NETWORKS]
    loss: Annotated[Loss, LOSSES]
    features: list[int] | None
    scale: Annotated[Scale, SCALES] | None = None

    @property
    def sharing(self) -> Sharing | None:
        """What several members share of the rows; None where each row is of one member."""
        return None

    def mask(self, schema: Schema) -> Floats | None:
        """Return what the inputs are multiplied by, (D,); None where all features are seen.

        Raises:
            ValueError: the loss is for another task, or the features are not those of the data.
        """
        if self.loss.task != schema.task:
            raise ValueError(f"it is for {self.loss.task}, the model for {schema.task}")
        if self.features is None:
            return None
        if schema.is_image:
            raise ValueError("it sees some columns, but rows are images")
        count = schema.input_shape[-1]
        if not self.features or not all(0 <= place < count for place in self.features):
            raise ValueError(f"its features must lie in 0 to {count - 1}, at least one of them")
        mask = np.zeros(count, np.float32)
        mask[self.features] = 1.0
        return mask

    def rows(self, schema: Schema, saved: SavedFiles, *shape: int) -> Floats:
        """Return the parameters and statistics (*shape, P).

        Raises:
            ValueError: network and data do not agree, or the tensor is missing or of another shape.
        """
        try:
            rescaling = rescaling_of(schema, self.scale)
            network = build(self.network, self.loss, schema, self.sharing, rescaling)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        expected = (*shape, network.layout.size)
        rows = saved.tensors.get(self.tensor, np.zeros(0, np.float32))
        if rows.shape != expected or rows.dtype != np.float32:
            raise ValueError(
                f"its tensor is {rows.dtype} of shape {rows.shape}; its network needs float32 "
                f"{expected}"
            )
        return rows


def tensor_name(member: Member) -> str:
    """Return the name of the rows of a member; all members at a step of a learner share one."""
    return f"{member.learner:04d}-{member.step:08d}"


def network_fields(
    tensor: str,
    network: Architecture,
    loss: Loss,
    mask: Floats | None,
    scale: Scale | None,
) -> dict[str, Any]:
    """Return what model.json says of networks, as `NetworkFields` reads it."""
    return {
        "tensor": tensor,
        "network": asdict(network),
        "loss": asdict(loss),
        "features": _feature_numbers(mask),
        "scale": None if scale is None else asdict(scale),
    }


def _feature_numbers(mask: Floats | None) -> list[int] | None:
    """Return the numbers of the features that a mask (D,) leaves; None for all."""
    if mask is None:
        return None
    numbers: list[int] = np.flatnonzero(mask).tolist()
    return numbers
