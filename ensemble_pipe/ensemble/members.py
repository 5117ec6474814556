"""Members: one predictor each, and the outputs of many at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ensemble_pipe.arrays import Floats, Read
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.nn.inference import outputs_of
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
        mask: what its inputs are multiplied by, (D,); None where it sees all features.
    """

    learner: int
    number: int
    step: int
    network: Architecture
    loss: Loss
    row: Floats
    mask: Floats | None = None


def member_outputs(
    members: Sequence[Member], schema: Schema, reads: Iterable[Read], rows: int
) -> Floats:
    """Return outputs (K, R, O) float32; members of one architecture are computed together.

    They are logits of every class, or for a regression the mean and, where the loss gives one, the
    variance. Where rows are read in several versions, the outputs are those of the mean prediction
    over them: of probabilities, or of a mixture of normal distributions.

    Args:
        members: in the order wanted.
        schema: of the data.
        reads: of the inputs, in each of their versions, as `nn.inference.outputs_of` takes them.
        rows: R.
    """
    first, *others = reads
    outputs = _outputs(members, schema, first, rows)
    if not others:
        return outputs
    center = outputs[:, :, 0].astype(np.float64)
    total = _moments(outputs, schema, center)
    for read in others:  # one after another: memory for two
        total += _moments(_outputs(members, schema, read, rows), schema, center)
    return _from_moments(total / (1 + len(others)), schema, center)


def _moments(outputs: Floats, schema: Schema, center: Floats) -> Floats:
    """Return what may be averaged, in float64: probabilities, or mean and second moment.

    The moment is taken about `center` (K, R), near the means, so that no digits are lost in it.
    """
    exact = outputs.astype(np.float64)
    if schema.task == "classification":
        return softmax(exact)
    if exact.shape[2] == 2:
        exact[:, :, 1] += (exact[:, :, 0] - center) ** 2
    return exact


def _from_moments(moments: Floats, schema: Schema, center: Floats) -> Floats:
    if schema.task == "classification":
        return np.log(np.maximum(moments, np.finfo(np.float32).tiny)).astype(np.float32)
    if moments.shape[2] == 2:
        moments[:, :, 1] -= (moments[:, :, 0] - center) ** 2
    return moments.astype(np.float32)


def _outputs(members: Sequence[Member], schema: Schema, read: Read, rows: int) -> Floats:
    parts = []
    for (network, loss), group in groupby(members, lambda member: (member.network, member.loss)):
        alike = list(group)
        stacked, masks = np.stack([m.row for m in alike]), [m.mask for m in alike]
        outputs = outputs_of(build(network, loss, schema), stacked, read, rows, masks=masks)
        parts.append(loss.predictions(outputs))
    return np.concatenate(parts)
