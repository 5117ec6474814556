"""Members that are networks; those of one architecture are computed together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.data.learner_view import feature_mask
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members.boosted import BoostedMember
from ensemble_pipe.nn.inference import outputs_of, sampled_outputs_of
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.networks import Architecture
from ensemble_pipe.training.plan import LearnerPlan, build
from ensemble_pipe.training.state import LearnerState


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
class NetworkMember:
    """A network.

    Attributes:
        learner: that it comes from.
        number: within its learner, counted from 0.
        step: of the learner's training at which it was taken.
        network: its architecture.
        loss: that it was trained with, which says what its outputs mean.
        row: (P,) parameters and statistics.
        mask: what its inputs are multiplied by, (D,); None where it sees all features.
        dropout: which of the units that are dropped in training are dropped here; None for none.
        noise: variance of its errors for each target, standardised; () where its loss gives one.
    """

    learner: int
    number: int
    step: int
    network: Architecture
    loss: Loss
    row: Floats
    mask: Floats | None = None
    dropout: DropoutPass | None = None
    noise: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """What the member is, for tables."""
        return self.network.name if self.dropout is None else f"{self.network.name} with dropout"


def members_at(
    plan: LearnerPlan, number: int, state: LearnerState, schema: Schema
) -> Iterator[NetworkMember | BoostedMember]:
    """Yield the members that a learner is at a checkpoint: one, or one for each pass of dropout.

    Their rows are copies: what Ray sends lies in memory that it wants back.

    Args:
        plan: of the learner.
        number: of the checkpoint among those of the learner that yield members.
        state: of the learner there.
        schema: of the data.
    """
    mask = feature_mask(plan.view, plan.seed, plan.learner, schema.spans)
    if plan.boosting is not None:
        factors = state.counters.boosting.factors
        rows = state.slots["chain"][: len(factors)].copy()
        yield BoostedMember(
            plan.learner, number, state.step, plan.network, plan.loss, rows, factors, mask
        )
        return
    passes, row = plan.dropout_passes or 1, state.member_row.copy()
    for index in range(passes):
        dropout = None if plan.dropout_passes is None else DropoutPass(plan.seed, index)
        yield NetworkMember(
            plan.learner, number * passes + index, state.step, plan.network, plan.loss,
            row, mask, dropout,
        )  # fmt: skip


def network_outputs(
    members: Sequence[NetworkMember], schema: Schema, read: Read, rows: int
) -> Iterator[Floats]:
    """Yield the predictions (R, O) of each member, in order, as `Loss.predictions` has them."""
    for (network, loss), group in groupby(members, lambda member: (member.network, member.loss)):
        alike = list(group)
        built = build(network, loss, schema)
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
    network = build(member.network, member.loss, schema)
    return sampled_outputs_of(
        network, member.row, read, rows, draws, member.dropout.number, member.mask
    )
