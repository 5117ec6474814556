"""The mean prediction over several augmented versions of the same rows."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.members.member import Member, MemberInputs


def mean_over_versions(
    inputs: MemberInputs, predict: Callable[[Read], list[Floats]]
) -> list[Floats]:
    """Return outputs (R, O) float32 of each member: those of the mean prediction over versions.

    The mean is of probabilities, or a mixture of normal distributions.

    Args:
        inputs: rows in one or several versions.
        predict: predict(read) returns the outputs (R, O) of each member for one version.
    """
    schema, (first, *others) = inputs.schema, inputs.reads
    outputs = predict(first)
    if not others:
        return outputs
    targets = schema.target_count
    centers = [one[:, :targets].astype(np.float64) for one in outputs]
    totals = [_moments(one, schema, center) for one, center in zip(outputs, centers, strict=True)]
    for read in others:  # one after another: memory for two
        again = predict(read)
        for total, one, center in zip(totals, again, centers, strict=True):
            total += _moments(one, schema, center)
    return [
        _from_moments(total / (1 + len(others)), schema, center)
        for total, center in zip(totals, centers, strict=True)
    ]


class MemberAlone(Member):
    """A member that is predicted by itself: it shares no computation with others of its kind."""

    @classmethod
    def predict(cls, members: Sequence[Self], inputs: MemberInputs) -> list[Floats]:
        """See `Member`."""
        schema, rows = inputs.schema, inputs.rows
        return mean_over_versions(
            inputs, lambda read: [member._predict(schema, read, rows) for member in members]
        )

    @abstractmethod
    def _predict(self, schema: Schema, read: Read, rows: int) -> Floats:
        """Return the outputs (R, O) float32 for one version of the rows, as `predict` does."""


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
