"""Members: one predictor each, and the outputs of many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.nn.inference import Read, outputs_of
from ensemble_pipe.nn.networks import Mlp


@dataclass(frozen=True)
class Member:
    """One predictor.

    Attributes:
        learner: that it comes from.
        number: within its learner, counted from 0.
        step: of the learner's training at which it was taken.
        network: its architecture.
        row: (P,) parameters.
    """

    learner: int
    number: int
    step: int
    network: Mlp
    row: Floats


def member_outputs(members: Sequence[Member], schema: Schema, read: Read, rows: int) -> Floats:
    """Return outputs (K, R, O) float32; members of one architecture are computed together.

    Args:
        members: in the order wanted.
        schema: of the data.
        read: of the inputs, as `nn.inference.outputs_of` takes it.
        rows: R.
    """
    parts = []
    for network, group in groupby(members, lambda member: member.network):
        stacked = np.stack([member.row for member in group])
        built = network.build(schema.input_shape, schema.outputs)
        parts.append(outputs_of(built, stacked, read, rows))
    return np.concatenate(parts)
