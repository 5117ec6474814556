"""The outputs of members of any kind, in the form that combiners take."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Read
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members.member import (
    NO_EXTERNAL,
    ExternalOutputs,
    Member,
    MemberInputs,
)

# So that members without any residual still have a likelihood.
NOISE_FLOOR = 1e-12


def member_outputs(
    members: Sequence[Member],
    schema: Schema,
    reads: Iterable[Read],
    rows: int,
    external: ExternalOutputs = NO_EXTERNAL,
) -> Floats:
    """Return outputs (K, R, O) float32; networks of one architecture are computed together.

    For classes they are logits of each. For numbers they are a mean for each of D targets, then a
    variance for each: the member's own for each row where it predicts one, else its noise.

    Args:
        members: in the order wanted.
        schema: of the data.
        reads: of the inputs, in each of their versions, as `nn.inference.outputs_of` takes them.
        rows: R.
        external: of the external members among them, for these rows.
    """
    outputs = raw_outputs(members, schema, reads, rows, external)
    if schema.task == "classification":
        return np.stack(outputs)
    return np.stack([with_variance(m, o) for o, m in zip(outputs, members, strict=True)])


def raw_outputs(
    members: Sequence[Member],
    schema: Schema,
    reads: Iterable[Read],
    rows: int,
    external: ExternalOutputs = NO_EXTERNAL,
) -> list[Floats]:
    """Return the outputs (R, O) of each member, as `Member.predict` does, with bounded means.

    Means lie between the bounds of their targets (`Schema.target_bounds`), whatever kind of member
    predicts them, but for predictions of other programs, which stay as they are.

    Arguments as for `member_outputs`.
    """
    inputs = MemberInputs(schema, tuple(reads), rows, external)
    outputs: list[Floats] = []
    for kind, group in groupby(members, lambda member: type(member)):
        found = kind.predict(list(group), inputs)
        outputs += [_bounded(own, schema) for own in found] if kind.is_bounded else found
    return outputs


def _bounded(outputs: Floats, schema: Schema) -> Floats:
    """Return outputs (R, O) with means within the bounds of their targets, where these have any."""
    if not schema.target_bounds:
        return outputs
    low, high = np.array(schema.target_bounds, np.float32).T
    count = schema.target_count
    means = np.clip(outputs[:, :count], low, high)
    return np.concatenate([means, outputs[:, count:]], axis=1)


def with_noise(member: Member, outputs: Floats, targets: Array, schema: Schema) -> Member:
    """Return a member with the variance of its errors, where its outputs have no variances.

    Args:
        member: of a regression or a classification; the latter has no noise.
        outputs: (R, O) of `raw_outputs`, on a part that the member was not trained on.
        targets: (R,) or (R, D), standardised.
    """
    count = schema.target_count
    if schema.task == "classification" or outputs.shape[1] == 2 * count:
        return member
    errors = outputs.astype(np.float64) - targets.reshape(len(outputs), count)
    # A member that diverged may be wrong by more than the squares of float32 hold.
    most = np.finfo(np.float32).max
    variances = np.clip(np.mean(errors**2, axis=0), NOISE_FLOOR, most)
    return replace(member, noise=tuple(float(variance) for variance in variances))


def with_variance(member: Member, outputs: Floats) -> Floats:
    """Return outputs (R, O) with the member's own noise as variance, where they have none."""
    if not member.noise:
        return outputs
    noise = np.broadcast_to(np.array(member.noise, np.float32), outputs.shape)
    return np.concatenate([outputs, noise], axis=1)
