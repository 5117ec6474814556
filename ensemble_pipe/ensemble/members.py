"""Members: one predictor each, and the outputs of many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.nn.inference import Read, outputs_of
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.networks import Architecture
from ensemble_pipe.training.plan import build


@dataclass(frozen=True)
class Member:
    """One predictor.

    Attributes:
        learner: that it comes from.
        number: within its learner, counted from 0.
        step: of the learner's training at which it was taken.
        network: its architecture.
        loss: that it was trained with, which says what its outputs mean.
        row: (P,) parameters and statistics.
    """

    learner: int
    number: int
    step: int
    network: Architecture
    loss: Loss
    row: Floats


def member_outputs(members: Sequence[Member], schema: Schema, read: Read, rows: int) -> Floats:
    """Return outputs (K, R, O) float32; members of one architecture are computed together.

    They are logits of every class, or for a regression the mean and, where the loss gives one, the
    variance.

    Args:
        members: in the order wanted.
        schema: of the data.
        read: of the inputs, as `nn.inference.outputs_of` takes it.
        rows: R.
    """
    parts = []
    for (network, loss), group in groupby(members, lambda member: (member.network, member.loss)):
        stacked = np.stack([member.row for member in group])
        outputs = outputs_of(build(network, loss, schema), stacked, read, rows)
        parts.append(loss.predictions(outputs))
    return np.concatenate(parts)
