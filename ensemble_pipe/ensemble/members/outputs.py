"""The outputs of members of any kind, in the form that combiners take."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import MappingProxyType

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Read
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.members.boosted import BoostedMember
from ensemble_pipe.ensemble.members.estimator import EstimatorMember
from ensemble_pipe.ensemble.members.given import GivenMember
from ensemble_pipe.ensemble.members.network import NetworkMember, network_outputs

Computed = NetworkMember | BoostedMember | EstimatorMember
Member = Computed | GivenMember

# Outputs (R, O) of given members, by name, as `given.given_outputs` returns them.
Given = Mapping[str, Floats]
NONE_GIVEN: Given = MappingProxyType({})

# So that members without any residual still have a likelihood.
NOISE_FLOOR = 1e-12


def member_outputs(
    members: Sequence[Member],
    schema: Schema,
    reads: Iterable[Read],
    rows: int,
    given: Given = NONE_GIVEN,
) -> Floats:
    """Return outputs (K, R, O) float32; networks of one architecture are computed together.

    For classes they are logits of each. For numbers they are a mean for each of D targets, then a
    variance for each: the loss's where it gives one, else the member's own noise.

    Args:
        members: in the order wanted.
        schema: of the data.
        reads: of the inputs, in each of their versions, as `nn.inference.outputs_of` takes them.
        rows: R.
        given: of the given members among them, for these rows.
    """
    outputs = raw_outputs(members, schema, reads, rows, given)
    if schema.task == "classification":
        return np.stack(outputs)
    return np.stack([with_variance(m, o) for o, m in zip(outputs, members, strict=True)])


def raw_outputs(
    members: Sequence[Member],
    schema: Schema,
    reads: Iterable[Read],
    rows: int,
    given: Given = NONE_GIVEN,
) -> list[Floats]:
    """Return the outputs (R, O) of each member; without variances where it gives none.

    Where rows are read in several versions, the outputs are those of the mean prediction over them:
    of probabilities, or of a mixture of normal distributions. Arguments as for `member_outputs`.
    """
    computed = [member for member in members if not isinstance(member, GivenMember)]
    outputs = iter(_computed(computed, schema, reads, rows))
    return [given[m.name] if isinstance(m, GivenMember) else next(outputs) for m in members]


def _computed(
    members: Sequence[Computed], schema: Schema, reads: Iterable[Read], rows: int
) -> list[Floats]:
    first, *others = reads
    outputs = _outputs(members, schema, first, rows)
    if not others:
        return outputs
    targets = schema.target_count
    centers = [one[:, :targets].astype(np.float64) for one in outputs]
    totals = [_moments(one, schema, center) for one, center in zip(outputs, centers, strict=True)]
    for read in others:  # one after another: memory for two
        again = _outputs(members, schema, read, rows)
        for total, one, center in zip(totals, again, centers, strict=True):
            total += _moments(one, schema, center)
    return [
        _from_moments(total / (1 + len(others)), schema, center)
        for total, center in zip(totals, centers, strict=True)
    ]


def with_noise(member: Member, outputs: Floats, targets: Array, schema: Schema) -> Member:
    """Return a member that knows the variance of its errors, where its outputs do not tell.

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


def _moments(outputs: Floats, schema: Schema, center: Floats) -> Floats:
    """Return what may be averaged, in float64: probabilities, or means and second moments.

    The moments are taken about `center` (R, D), near the means, so that no digits are lost.
    """
    exact = outputs.astype(np.float64)
    if schema.task == "classification":
        return softmax(exact)
    count = center.shape[1]
    if exact.shape[1] > count:
        exact[:, count:] += (exact[:, :count] - center) ** 2
    return exact


def _from_moments(moments: Floats, schema: Schema, center: Floats) -> Floats:
    if schema.task == "classification":
        return np.log(np.maximum(moments, np.finfo(np.float32).tiny)).astype(np.float32)
    count = center.shape[1]
    if moments.shape[1] > count:
        moments[:, count:] -= (moments[:, :count] - center) ** 2
    return moments.astype(np.float32)


def _outputs(members: Sequence[Computed], schema: Schema, read: Read, rows: int) -> list[Floats]:
    outputs: list[Floats] = []
    for kind, group in groupby(members, type):
        alike = list(group)
        if kind is NetworkMember:
            networks = [member for member in alike if isinstance(member, NetworkMember)]
            outputs += network_outputs(networks, schema, read, rows)
        else:
            others = [member for member in alike if not isinstance(member, NetworkMember)]
            outputs += [member.outputs(schema, read, rows) for member in others]
    return outputs
