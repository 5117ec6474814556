"""Members of a run without a validation part: each is measured on the fold that it left out.

What the ensemble is combined and calibrated by is then the whole training part, each row as
predicted by the members that left it out (cross-fitting; Stone 1974, "Cross-validatory choice and
assessment of statistical predictions"; Wolpert 1992, "Stacked generalization").
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combining import Combined, evidence_of
from ensemble_pipe.ensemble.growing import FoldSums, Sums, overlapping, sums_of
from ensemble_pipe.ensemble.jackknife import calibrate_for_all
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.ensemble.out_of_fold import FoldGroup, OutOfFold

# Outputs (R, O) of members by learner and number: of an external member for all rows, of another
# for the fold that it left out.
Outputs = Mapping[tuple[int, int], Floats]


@dataclass(frozen=True)
class Folds:
    """The folds of the training part, of which learner i leaves out fold i modulo their number.

    Attributes:
        count: how many in a partition.
        fold: (R,) of each row, or (P, R) of each row in each of P partitions; -1 for none.
        groups: the learners of each group.
        row_groups: (R,) where rows have groups.
    """

    count: int
    fold: Integers
    groups: tuple[FoldGroup, ...]
    row_groups: Integers | None = None

    @cached_property
    def rows(self) -> list[Integers]:
        """The places of each fold's rows, ascending; those of the first partition come first."""
        partitions = np.atleast_2d(self.fold)
        return [np.flatnonzero(own == fold) for own in partitions for fold in range(self.count)]

    @cached_property
    def predictable(self) -> Integers:
        """The places of the rows that lie in a fold, ascending."""
        return self.places_in(range(len(self.rows)))

    def places_in(self, folds: Iterable[int]) -> Integers:
        """Return the places of the rows of some folds, ascending."""
        none = np.empty(0, np.int64)
        return np.unique(np.concatenate([none, *(self.rows[fold] for fold in folds)]))

    def of_rows(self, places: Integers) -> "Folds":
        """Return the folds of some rows alone."""
        return replace(self, fold=self.fold[..., places], row_groups=None)

    def fold_of(self, member: Member) -> int:
        """Return the fold that a trained member left out."""
        return member.learner % len(self.rows)

    def left_out(self, member: Member) -> Integers | None:
        """Return the places of the rows that a member predicts unseen; None for all."""
        return self.rows[self.fold_of(member)] if member.is_trained else None

    def sums(self, member: Member, outputs: Floats, schema: Schema) -> FoldSums:
        """Return the sums of one member, for its outputs (R, O) on the rows that it left out."""
        if member.is_trained:
            own = {self.fold_of(member): sums_of(outputs, schema)}
        else:  # once for each row
            first = enumerate(self.rows[: self.count])
            own = {fold: sums_of(outputs[rows], schema) for fold, rows in first}
        return FoldSums(own, self.rows, self.count)

    def out_of_fold(
        self, members: Sequence[Member], outputs: Outputs, targets: Array, schema: Schema
    ) -> OutOfFold:
        """Return the predictions of each row by the members that left it out.

        The j-th member that left out each fold of a partition is, of all its folds together, one
        unit, that predicts every row; where folds are left out by unequally many, since some failed
        or are not finished, all members of the group are one unit, which predicts their mixture. A
        group that no member of predicts some row is left out, if another predicts all; and if none
        does, of all groups the one that predicts most rows is taken, and its rows alone.
        """
        by_group = self._by_group(members)
        own = [by_group[group] for group in self._complete(by_group)]
        there = {self.fold_of(member) for group in own for member in group}
        rows = self.places_in(there or range(len(self.rows)))
        units: list[tuple[Member, ...]] = []
        found: list[Floats] = []
        for member in members:
            if not member.is_trained:
                units.append((member,))
                found.append(outputs[member.learner, member.number][rows])
        for group in own:
            for unit in self._units(group):
                units.append(unit)
                found.append(self._of_unit(unit, outputs, schema, rows))
        order = sorted(range(len(units)), key=lambda u: (units[u][0].learner, units[u][0].number))
        whole = len(rows) == self.fold.shape[-1]
        return OutOfFold(
            tuple(units[u] for u in order),
            np.stack([found[u] for u in order]),
            targets[rows],
            None if self.row_groups is None else self.row_groups[rows],
            None if whole else rows,
        )

    def calibrated(self, combined: Combined, folds: OutOfFold, schema: Schema) -> Combined:
        """Return the ensemble with the calibration of all its members: see `jackknife`."""
        if combined.of_units is None:
            return combined
        units = [folds.groups[place] for place in combined.units]
        targets = folds.targets
        if schema.task == "regression":
            targets = targets.reshape(len(targets), -1)
        turns: dict[FoldGroup, dict[frozenset[int], list[int]]] = {}
        for place, unit in enumerate(units):
            if unit[0].is_trained:
                learners = frozenset(member.learner for member in unit)
                of_group = turns.setdefault(self._group_of[unit[0].learner], {})
                of_group.setdefault(learners, []).append(place)
        there = {self.fold_of(m) % self.count for unit in units for m in unit if m.is_trained}
        of_all = calibrate_for_all(
            combined.of_units,
            evidence_of(folds.outputs[list(combined.units)], schema),
            targets,
            [list(of_group.values()) for of_group in turns.values()],
            len(there),
        )
        return replace(combined, combiner=of_all.share([len(unit) for unit in units]))

    def left_out_messages(self, members: Sequence[Member]) -> list[str]:
        """Return a warning for each group that is left out since nobody predicts some rows."""
        by_group = self._by_group(members)
        complete = self._complete(by_group)
        return [
            f"learners {group[0]} to {group[-1]} are left out of the ensemble: none of those that "
            f"left out some of the {len(self.rows)} folds is finished, so nobody predicts these "
            "rows"
            for group in by_group
            if group not in complete
        ]

    def _by_group(self, members: Sequence[Member]) -> dict[FoldGroup, list[Member]]:
        """Return the trained members of each group that has any."""
        found: dict[FoldGroup, list[Member]] = {}
        for member in members:
            if member.is_trained:
                found.setdefault(self._group_of[member.learner], []).append(member)
        return found

    def _complete(self, by_group: Mapping[FoldGroup, Sequence[Member]]) -> list[FoldGroup]:
        """Return the groups that predict all rows; if none does, the one that predicts most."""
        predicted = {
            group: len(self.places_in({self.fold_of(member) for member in own}))
            for group, own in by_group.items()
        }
        whole = [group for group, rows in predicted.items() if rows == len(self.predictable)]
        return whole or sorted(predicted, key=lambda group: -predicted[group])[:1]

    @cached_property
    def _group_of(self) -> dict[int, FoldGroup]:
        """The group of each learner."""
        return {learner: group for group in self.groups for learner in group}

    def _units(self, members: Sequence[Member]) -> list[tuple[Member, ...]]:
        """Divide the members of a group into units: see `out_of_fold`."""
        by_partition: dict[int, dict[int, list[Member]]] = {}
        for member in members:
            fold = self.fold_of(member)
            own = by_partition.setdefault(fold // self.count, {})
            own.setdefault(fold, []).append(member)
        # Some folds may be missing where there is one partition, and all units lack these.
        sizes = {len(by_fold) for by_fold in by_partition.values()}
        whole = len(by_partition) == 1 or sizes == {self.count}
        turns: list[tuple[Member, ...]] = []
        for by_fold in by_partition.values():
            if not whole or len({len(own) for own in by_fold.values()}) > 1:
                return [tuple(members)]
            turns += zip(*by_fold.values(), strict=True)
        return [tuple(sorted(unit, key=lambda m: (m.learner, m.number))) for unit in turns]

    def _of_unit(
        self, unit: Sequence[Member], outputs: Outputs, schema: Schema, rows: Integers
    ) -> Floats:
        """Return the outputs (R, O) of a unit for some rows; one member's are just its own."""
        by_fold: dict[int, list[Floats]] = {}
        for member in unit:
            own = outputs[member.learner, member.number]
            by_fold.setdefault(self.fold_of(member), []).append(own)
        if len({fold // self.count for fold in by_fold}) > 1:
            parts = [
                (sums_of(own, schema), self.rows[fold])
                for fold, several in by_fold.items()
                for own in several
            ]
            return overlapping(parts, rows).astype(np.float32)
        width = next(iter(by_fold.values()))[0].shape[1]
        found = np.empty((self.fold.shape[-1], width), np.float32)
        for fold, several in by_fold.items():
            one = several[0] if len(several) == 1 else _mixture(several, schema)
            found[self.rows[fold]] = one
        return found[rows]


def _mixture(outputs: Sequence[Floats], schema: Schema) -> Floats:
    """Return the mixture of some members' outputs (R, O) as outputs of one."""
    sums: Sums = reduce(add, (sums_of(own, schema) for own in outputs))
    return sums.outputs()
