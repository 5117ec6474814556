"""Members that are networks; those of one architecture are computed together."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal, Self

import numpy as np

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members.member import Member, MemberInputs, SavedFiles
from ensemble_pipe.ensemble.members.network_record import (
    NetworkFields,
    network_fields,
    tensor_name,
)
from ensemble_pipe.ensemble.members.versions import mean_over_versions
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.inference import outputs_of, sampled_outputs_of
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.networks import Architecture


@dataclass(frozen=True)
class DropoutPass:
    """One draw of a network's dropout, held for every row: a sub-network.

    A sample of the weights from the approximate posterior of Gal & Ghahramani 2016, "Dropout as a
    Bayesian approximation", section 3. A draw of its own for each row would give the same mean over
    many passes; held, it makes a pass a function of the row alone.

    Attributes:
        seed: of the run.
        number: of the pass, counted from 0.
    """

    seed: int
    number: int


@dataclass(frozen=True)
class NetworkMember(Member):
    """A network.

    Attributes:
        learner, number, step, noise: see `Member`.
        network: its architecture.
        loss: that it was trained with, which says what its outputs mean.
        row: (P,) parameters and statistics.
        mask: what its inputs are multiplied by, (D,); None where it sees all features.
        dropout: which of the units that are dropped in training are dropped here; None for none.
    """

    network: Architecture
    loss: Loss
    row: Floats
    mask: Floats | None = None
    dropout: DropoutPass | None = None

    @property
    def kind(self) -> str:
        """See `Member`."""
        return self.network.name if self.dropout is None else f"{self.network.name} with dropout"

    def built(self, schema: Schema) -> Network:
        """Return the network for the shapes of the data, built once for each schema."""
        held: tuple[Schema, Network] | None = self.__dict__.get("_built")
        if held is None or held[0] is not schema:
            held = schema, build(self.network, self.loss, schema)
            self.__dict__["_built"] = held
        return held[1]

    @classmethod
    def predict(cls, members: Sequence[Self], inputs: MemberInputs) -> list[Floats]:
        """See `Member`; the outputs are as `Loss.predictions` returns them."""
        return mean_over_versions(
            inputs, lambda read: list(_predict(members, inputs.schema, read, inputs.rows))
        )

    def to_dict(self) -> dict[str, Any]:
        """See `Member`."""
        return {
            "kind": "network",
            **self.identity(),
            **network_fields(tensor_name(self), self.network, self.loss, self.mask),
            "dropout": None if self.dropout is None else asdict(self.dropout),
        }

    def tensors(self) -> dict[str, Floats]:
        """See `Member`."""
        return {tensor_name(self): self.row}


class NetworkRecord(NetworkFields):
    """Of a network; passes of dropout share a tensor."""

    kind: Literal["network"]
    dropout: DropoutPass | None

    def _member(self, schema: Schema, saved: SavedFiles) -> NetworkMember:
        mask, row = self.mask(schema), self.rows(schema, saved)
        return NetworkMember(
            self.learner, self.number, self.step, self.network, self.loss, row, mask, self.dropout,
            noise=self.noise,
        )  # fmt: skip


def _predict(
    members: Sequence[NetworkMember], schema: Schema, read: Read, rows: int
) -> Iterator[Floats]:
    """Yield the outputs (R, O) of each member for one version of the rows."""
    for (_, loss), group in groupby(members, lambda member: (member.network, member.loss)):
        alike = list(group)
        built = alike[0].built(schema)
        for sampled, part in groupby(alike, lambda member: member.dropout is not None):
            same = list(part)
            if sampled:
                outputs = np.concatenate([_sampled(member, schema, read, rows) for member in same])
            else:
                stacked, masks = np.stack([m.row for m in same]), [m.mask for m in same]
                outputs = outputs_of(built, stacked, read, rows, masks=masks)
            yield from loss.predictions(outputs)


def _sampled(member: NetworkMember, schema: Schema, read: Read, rows: int) -> Floats:
    if member.dropout is None:
        raise ValueError("the member has no pass of dropout")
    draws = Draws(member.dropout.seed, Purpose.MC_DROPOUT, [member.learner])
    return sampled_outputs_of(
        member.built(schema), member.row, read, rows, draws, member.dropout.number, member.mask
    )
