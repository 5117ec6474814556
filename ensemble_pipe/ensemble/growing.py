"""The ensemble of members that come one by one, with equal weights, from running sums.

A new member costs the same however many there are, and its ensemble has the same bits in whatever
order they came: the members of a learner are added up by number, learners by id within blocks of
`BLOCK`, and then the blocks, so that only the sums of one block are added up again.

The sums of each learner are kept in float64, which takes two times the memory of the members'
own float32 outputs, for numbers three times.

Shapes: K members, R rows, O classes, D targets.
"""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from itertools import accumulate, groupby
from operator import add
from typing import Self

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.numbers import Gaussians
from ensemble_pipe.ensemble.prediction import Metrics

BLOCK = 32  # learners: about the root of the largest number that is common


class Sums(ABC):
    """What is summed over members; `first + second` are the sums of two sets of members."""

    @abstractmethod
    def __add__(self, other: Self) -> Self: ...

    @abstractmethod
    def metrics(self, targets: Array, schema: Schema) -> Metrics:
        """Return the metrics of the mixture of the members with equal weights.

        Args:
            targets: (R,) or (R, D), as base files hold them.
            schema: of the data.
        """

    @abstractmethod
    def outputs(self) -> Floats:
        """Return the mixture as outputs (R, O) of one member, float64."""


@dataclass(frozen=True)
class ClassSums(Sums):
    """Sums of class probabilities.

    Attributes:
        members: how many, or how many of each row (R, 1).
        total: (R, O), of their probabilities.
    """

    members: int | Floats
    total: Floats

    def __add__(self, other: Self) -> Self:
        return replace(self, members=self.members + other.members, total=self.total + other.total)

    def metrics(self, targets: Array, schema: Schema) -> Metrics:
        """See `Sums`."""
        return classification_metrics(np.minimum(self.total / self.members, 1.0), targets)

    def outputs(self) -> Floats:
        """See `Sums`: log-probabilities."""
        return np.log(np.maximum(self.total / self.members, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class NumberSums(Sums):
    """Moments of predictions of numbers, added as in Chan, Golub & LeVeque 1983, equation 2.1.

    Attributes:
        members: how many, or how many of each row (R, 1).
        mean: (R, D), of their means.
        squares: (R, D), the sum of the squared distances of their means from that.
        variances: (R, D), the sum of their own variances.
    """

    members: int | Floats
    mean: Floats
    squares: Floats
    variances: Floats

    def __add__(self, other: Self) -> Self:
        members = self.members + other.members
        apart, share = other.mean - self.mean, other.members / np.maximum(members, 1)
        return replace(
            self,
            members=members,
            mean=self.mean + share * apart,
            squares=self.squares + other.squares + self.members * share * apart**2,
            variances=self.variances + other.variances,
        )

    def metrics(self, targets: Array, schema: Schema) -> Metrics:
        """See `Sums`."""
        aleatoric, epistemic = self.variances / self.members, self.squares / self.members
        return Gaussians(self.mean, aleatoric + epistemic, schema).metrics(targets)

    def outputs(self) -> Floats:
        """See `Sums`: means and variances."""
        return np.concatenate([self.mean, (self.variances + self.squares) / self.members], axis=1)


@dataclass(frozen=True)
class FoldSums(Sums):
    """Sums of members that predict some folds of the training part, those that they left out.

    Attributes:
        by_fold: of the members that left out each fold, for its rows.
        rows: the places of each fold's rows in the training part.
        per_partition: folds of one partition. A row lies in a fold of each partition, and what is
            said of it is the mixture of all members that left it out.
    """

    by_fold: Mapping[int, Sums]
    rows: Sequence[Integers]
    per_partition: int

    def __add__(self, other: Self) -> Self:
        summed = dict(self.by_fold)
        for fold, sums in other.by_fold.items():
            summed[fold] = summed[fold] + sums if fold in summed else sums
        return replace(self, by_fold=summed)

    @property
    def predicted(self) -> Integers:
        """The places of the rows that a member predicts, by fold; of partitions ascending."""
        found = np.concatenate([self.rows[fold] for fold in sorted(self.by_fold)])
        return np.unique(found) if self._overlap else found

    @property
    def _overlap(self) -> bool:
        return len({fold // self.per_partition for fold in self.by_fold}) > 1

    def outputs(self) -> Floats:
        """See `Sums`; of the rows `predicted`, in their order."""
        if self._overlap:
            pairs = [(self.by_fold[fold], self.rows[fold]) for fold in sorted(self.by_fold)]
            return overlapping(pairs, self.predicted)
        return np.concatenate([self.by_fold[fold].outputs() for fold in sorted(self.by_fold)])

    def metrics(self, targets: Array, schema: Schema) -> Metrics:
        """See `Sums`; of the rows that a member predicts."""
        return sums_of(self.outputs(), schema).metrics(targets[self.predicted], schema)


def overlapping(parts: Sequence[tuple[Sums, Integers]], places: Integers) -> Floats:
    """Return the mixture of members that predict different rows as outputs of one, (R, O) float64.

    Args:
        parts: the sums of some members, and the places of the rows that these are of.
        places: (R,) ascending, of all rows that one predicts.
    """
    whole = reduce(add, (_spread(sums, np.searchsorted(places, own), len(places))
                         for sums, own in parts))  # fmt: skip
    return whole.outputs()


def _spread(sums: Sums, places: Integers, rows: int) -> Sums:
    """Return sums at some places of R rows, in the others of which they have no member."""
    if not isinstance(sums, ClassSums | NumberSums):
        raise TypeError(f"{type(sums).__name__} are of several folds already")

    def spread(values: int | Floats) -> Floats:
        own = np.asarray(values, np.float64).reshape(-1, 1) if np.ndim(values) == 0 else values
        found = np.zeros((rows, np.shape(own)[1]))
        found[places] = own
        return found

    return type(sums)(*(spread(getattr(sums, field.name)) for field in fields(sums)))


def sums_of(outputs: Floats, schema: Schema) -> Sums:
    """Return the sums of one member, for its outputs (R, O) of `ensemble.members`."""
    if schema.task == "classification":
        return ClassSums(1, softmax(outputs))
    count, values = schema.target_count, outputs.astype(np.float64)
    return NumberSums(1, values[:, :count], np.zeros((len(values), count)), values[:, count:])


class GrowingSums:
    """The sums of each learner's members, and of all members."""

    def __init__(self) -> None:
        self._learners: dict[int, Sums] = {}
        self._blocks: dict[int, Sums] = {}

    def of(self, learner: int) -> Sums:
        """Return the sums of a learner's members, of which there is one or more."""
        return self._learners[learner]

    def put(self, learner: int, sums: Sums) -> None:
        """Set the sums of a learner's members."""
        self._learners[learner] = sums
        self._add_up(learner // BLOCK)

    def keep(self, learners: Container[int]) -> None:
        """Leave out all learners but these."""
        self._learners = {one: sums for one, sums in self._learners.items() if one in learners}
        for block in list(self._blocks):
            self._add_up(block)

    def total(self) -> Sums:
        """Return the sums of all members; there must be one."""
        return reduce(add, (self._blocks[block] for block in sorted(self._blocks)))

    def _add_up(self, block: int) -> None:
        own = sorted(one for one in self._learners if one // BLOCK == block)
        if own:
            self._blocks[block] = reduce(add, (self._learners[one] for one in own))
        else:
            del self._blocks[block]


def prefixes(members: Iterable[tuple[int, Sums]]) -> Iterator[Sums]:
    """Yield the sums of the first 1, 2, ... K members, bit for bit as `GrowingSums` has them.

    Args:
        members: the learner and the sums of each, in order of learner and number.
    """
    blocks: Sums | None = None
    for _, block in groupby(members, lambda pair: pair[0] // BLOCK):
        learners: Sums | None = None
        for _, learner in groupby(block, lambda pair: pair[0]):
            for own in accumulate(sums for _, sums in learner):
                within = _plus(learners, own)
                yield _plus(blocks, within)
            learners = within
        blocks = _plus(blocks, within)


def _plus(first: Sums | None, second: Sums) -> Sums:
    return second if first is None else first + second


class Gains:
    """By how much each learner, in order, lowers the NLL of the members before it."""

    def __init__(self, first: Sums | None, targets: Array, schema: Schema) -> None:
        """Begin with the members that no learner yields.

        Args:
            first: their sums; None where there are none.
            targets: as base files hold them.
            schema: of the data.
        """
        self._targets, self._schema = targets, schema
        self._sums = first
        self._nll = np.inf if first is None else self._nll_of(first)
        self.by_learner: dict[int, float] = {}

    def is_next(self, learner: int) -> bool:
        """Return whether a learner is later than all that were added."""
        return learner > max(self.by_learner, default=-1)

    def add(self, learner: int, sums: Sums) -> None:
        """Add the members of the next learner, by their sums."""
        self._sums = _plus(self._sums, sums)
        before, self._nll = self._nll, self._nll_of(self._sums)
        self.by_learner[learner] = before - self._nll

    def _nll_of(self, sums: Sums) -> float:
        return sums.metrics(self._targets, self._schema)["nll"]
