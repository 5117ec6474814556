"""Members that are chains of boosted networks."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.data.rescaling import rescaling_of
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.scaling import Scale
from ensemble_pipe.ensemble.members.member import SavedFiles
from ensemble_pipe.ensemble.members.network_record import (
    NetworkFields,
    network_fields,
    tensor_name,
)
from ensemble_pipe.ensemble.members.versions import MemberAlone
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.inference import add_network, outputs_of
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.networks import Architecture

Factor = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class BoostedMember(MemberAlone):
    """A sum of networks, each with a factor; see `training.boosting`.

    Attributes:
        learner, number, step, noise: see `Member`.
        network: architecture of each network.
        loss: of the sum, which says what its outputs mean.
        rows: (r, P) parameters and statistics of its networks.
        factors: of these, r.
        mask: what the inputs are multiplied by, (D,); None where all features are seen.
        scale: of the numbers that they are given, where it is not that of the schema.
    """

    network: Architecture
    loss: Loss
    rows: Floats
    factors: tuple[float, ...]
    mask: Floats | None = None
    scale: Scale | None = None

    @property
    def kind(self) -> str:
        """See `Member`."""
        return f"{len(self.factors)} boosted {self.network.name}"

    def to_dict(self) -> dict[str, Any]:
        """See `Member`."""
        return {
            "kind": "boosted",
            **self.identity(),
            **network_fields(tensor_name(self), self.network, self.loss, self.mask, self.scale),
            "factors": list(self.factors),
        }

    def tensors(self) -> dict[str, Floats]:
        """See `Member`."""
        return {tensor_name(self): self.rows}

    def _predict(self, schema: Schema, read: Read, rows: int) -> Floats:
        """See `MemberAlone`."""
        rescaling = rescaling_of(schema, self.scale)
        network = build(self.network, self.loss, schema, rescaling=rescaling)
        sums = np.zeros((rows, network.outputs))
        masks = [self.mask]
        for row, factor in zip(self.rows, self.factors, strict=True):
            (outputs,) = outputs_of(network, row[None], read, rows, masks=masks)
            add_network(sums, factor, outputs)
        return self.loss.predictions(sums.astype(np.float32))


class BoostedRecord(NetworkFields):
    """Of a chain of networks; the tensor holds a row for each."""

    kind: Literal["boosted"]
    factors: Annotated[tuple[Factor, ...], Field(min_length=1)]

    def _member(self, schema: Schema, saved: SavedFiles) -> BoostedMember:
        mask, rows = self.mask(schema), self.rows(schema, saved, len(self.factors))
        return BoostedMember(
            self.learner, self.number, self.step, self.network, self.loss, rows, self.factors, mask,
            self.scale, noise=self.noise,
        )  # fmt: skip
