"""Members that are networks; those of one architecture are computed together."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Ge

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.data.rescaling import rescaling_of
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.scaling import Scale
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
from ensemble_pipe.nn.sharing import Sharing, members_row


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
class SharedPart:
    """Which member of a learner with several it is.

    Attributes:
        sharing: what they share.
        member: its number among them, counted from 0.
    """

    sharing: Sharing
    member: Annotated[int, Ge(0)]

    def __post_init__(self) -> None:
        if self.member >= self.sharing.members:
            raise ValueError(f"is member {self.member} of {self.sharing.members}, from 0 on")


@dataclass(frozen=True)
class NetworkMember(Member):
    """A network.

    Attributes:
        learner, number, step, noise: see `Member`.
        network: its architecture.
        loss: that it was trained with, which says what its outputs mean.
        row: (P,) parameters and statistics, of all members that share it.
        mask: what its inputs are multiplied by, (D,); None where it sees all features.
        dropout: which of the units that are dropped in training are dropped here; None for none.
        part: which member it is of those that share the row; None for the only one.
        scale: of the numbers that it is given, where it is not that of the schema.
    """

    network: Architecture
    loss: Loss
    row: Floats
    mask: Floats | None = None
    dropout: DropoutPass | None = None
    part: SharedPart | None = None
    scale: Scale | None = None

    @property
    def kind(self) -> str:
        """See `Member`."""
        if self.part is not None:
            return f"{self.network.name} that shares weights"
        return self.network.name if self.dropout is None else f"{self.network.name} with dropout"

    def built(self, schema: Schema) -> Network:
        """Return the network for the shapes of the data, built once for each schema."""
        held: tuple[Schema, Network] | None = self.__dict__.get("_built")
        if held is None or held[0] is not schema:
            sharing = None if self.part is None else self.part.sharing
            rescaling = rescaling_of(schema, self.scale)
            held = schema, build(self.network, self.loss, schema, sharing, rescaling)
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
            **network_fields(tensor_name(self), self.network, self.loss, self.mask, self.scale),
            "dropout": None if self.dropout is None else asdict(self.dropout),
            "part": None if self.part is None else asdict(self.part),
        }

    def tensors(self) -> dict[str, Floats]:
        """See `Member`."""
        return {tensor_name(self): self.row}


class NetworkRecord(NetworkFields):
    """Of a network; passes of dropout, and members that share weights, share a tensor.

    Models of versions before 0.2 have no `part`.
    """

    kind: Literal["network"]
    dropout: DropoutPass | None
    part: SharedPart | None = None

    @property
    def sharing(self) -> Sharing | None:
        """See `NetworkFields`."""
        return None if self.part is None else self.part.sharing

    def _member(self, schema: Schema, saved: SavedFiles) -> NetworkMember:
        mask, row = self.mask(schema), self.rows(schema, saved)
        return NetworkMember(
            self.learner, self.number, self.step, self.network, self.loss, row, mask, self.dropout,
            self.part, self.scale, noise=self.noise,
        )  # fmt: skip


def _predict(
    members: Sequence[NetworkMember], schema: Schema, read: Read, rows: int
) -> Iterator[Floats]:
    """Yield the outputs (R, O) of each member for one version of the rows."""
    for (_, loss, *_), group in groupby(members, _computed_with):
        alike = list(group)
        if alike[0].part is not None:
            outputs = _shared(alike, schema, read, rows)
        elif alike[0].dropout is not None:
            outputs = np.concatenate([_sampled(member, schema, read, rows) for member in alike])
        else:
            stacked, masks = np.stack([m.row for m in alike]), [m.mask for m in alike]
            outputs = outputs_of(alike[0].built(schema), stacked, read, rows, masks=masks)
        yield from loss.predictions(outputs)


def _computed_with(
    member: NetworkMember,
) -> tuple[Architecture, Loss, bool, str, Scale | None]:
    """Return what members that are computed together have in common."""
    shared = "" if member.part is None else tensor_name(member)
    return member.network, member.loss, member.dropout is not None, shared, member.scale


def _shared(members: Sequence[NetworkMember], schema: Schema, read: Read, rows: int) -> Floats:
    """Return the outputs (K, R, O) of members of one learner, which share its row."""
    first, parts = members[0], [member.part for member in members if member.part is not None]
    numbers = [part.member for part in parts]
    whole, row = first.built(schema), first.row
    network = _network_of(first, schema, len(numbers))
    if numbers != list(range(parts[0].sharing.members)):
        row = members_row(whole, row, numbers)
    return outputs_of(network, row[None], read, rows, masks=[first.mask])


def _network_of(member: NetworkMember, schema: Schema, count: int) -> Network:
    """Return the network of so many members of a learner, built once for each schema."""
    if member.part is None or count == member.part.sharing.members:
        return member.built(schema)
    part = SharedPart(replace(member.part.sharing, members=count), 0)
    held: NetworkMember | None = member.__dict__.get("_few")
    if held is None or held.part != part:
        held = replace(member, part=part)
        member.__dict__["_few"] = held
    return held.built(schema)


def _sampled(member: NetworkMember, schema: Schema, read: Read, rows: int) -> Floats:
    if member.dropout is None:
        raise ValueError("the member has no pass of dropout")
    draws = Draws(member.dropout.seed, Purpose.MC_DROPOUT, [member.learner])
    return sampled_outputs_of(
        member.built(schema), member.row, read, rows, draws, member.dropout.number, member.mask
    )
