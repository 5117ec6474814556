"""The aggregator: collects members as they finish, combines them and computes their metrics."""

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.chosen_rows import ChosenRows, PartRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.ensemble.combiners import Combiner, Weighted
from ensemble_pipe.ensemble.combining import Combine, Combined, combine_members
from ensemble_pipe.ensemble.conformal import Conformal
from ensemble_pipe.ensemble.cross_fitting import Folds
from ensemble_pipe.ensemble.decisions import Decide, Decision, metrics_of_outputs
from ensemble_pipe.ensemble.growing import Gains, GrowingSums, Sums, prefixes, sums_of
from ensemble_pipe.ensemble.measures import row_values
from ensemble_pipe.ensemble.members import (
    NO_EXTERNAL,
    ExternalOutputs,
    Member,
    member_outputs,
    raw_outputs,
    with_noise,
    with_variance,
)
from ensemble_pipe.ensemble.out_of_fold import OutOfFold
from ensemble_pipe.ensemble.prediction import Metrics, Prediction


@dataclass(frozen=True)
class Measured:
    """Predictions and metrics of members and their ensemble on one part of the data.

    Attributes:
        prediction: of the combination, which holds the members' outputs.
        targets: (R,) or (R, D), as base files hold them.
        ensemble: metrics of the combination.
        members: metrics of each member, in order.
        rows: (R,) places of the rows in the part; None for all of them.
    """

    prediction: Prediction
    targets: Array
    ensemble: Metrics
    members: list[Metrics]
    rows: Integers | None = None


class Aggregator:
    """Collects members and their outputs on rows that they were not trained on.

    These are the validation part; or, where there are folds, of the training part the fold that
    each member left out. What is said here of the validation part holds for these then.

    Attributes:
        schema: of the data.
        members: in order of learner and number, whatever the order they came in.
        folds: that members leave out; None where there is a validation part.
    """

    def __init__(
        self,
        schema: Schema,
        validation: ShardView,
        draws: PredictionDraws,
        external: ExternalOutputs = NO_EXTERNAL,
        folds: Folds | None = None,
    ) -> None:
        """Create an aggregator without members.

        Args:
            schema: of the data.
            validation: the part that members are compared on.
            draws: how rows are augmented when they are predicted.
            external: outputs of external members on that part.
            folds: of that part, which is then the training part.
        """
        self.folds = folds
        self.schema = schema
        self.draws = draws
        self._external = external
        self._validation = validation
        self._targets = validation.targets
        self._outputs: dict[tuple[int, int], Floats] = {}
        self._metrics: dict[tuple[int, int], Metrics] = {}
        self._costs_ms: dict[tuple[int, int], float] = {}
        self._sums = GrowingSums()
        self._gains: Gains | None = None
        self.members: list[Member] = []

    def add(self, member: Member, cost_ms: float | None = None) -> Metrics:
        """Add a member, in place of an earlier one of its learner and number.

        Args:
            member: the member.
            cost_ms: milliseconds that it takes for a row, where a measurement exists.

        Returns:
            its own metrics on the validation part.
        """
        view, targets = self._rows_for(member)
        reads = self.draws.reads(view, self.schema.spans)
        computed = member.computed_rows(view.rows)
        member.load()
        began = time.perf_counter()
        (raw,) = raw_outputs([member], self.schema, reads, view.rows, self._external)
        place = member.learner, member.number
        self._costs_ms[place] = cost_ms or 1000.0 * (time.perf_counter() - began) / max(1, computed)
        known = with_noise(member, raw, targets, self.schema)
        outputs = with_variance(known, raw)
        sums = self._sums_of(known, outputs)
        self._metrics[place] = sums.metrics(self._targets, self.schema)
        self._insert(known, outputs, sums)
        return self._metrics[place]

    def _insert(self, member: Member, outputs: Floats, sums: Sums) -> None:
        """Insert a member in order, and its sums into those of its learner."""
        learner, number = place = member.learner, member.number
        self._outputs[place] = outputs
        others = [m for m in self.members if (m.learner, m.number) != place]
        before = [m.number for m in others if m.learner == learner]
        is_new = len(others) == len(self.members)
        self.members = sorted([*others, member], key=lambda m: (m.learner, m.number))
        if not before:
            self._sums.put(learner, sums)
        elif is_new and number > max(before):
            self._sums.put(learner, self._sums.of(learner) + sums)
        else:
            own = (self._member_sums(m) for m in self.members if m.learner == learner)
            self._sums.put(learner, reduce(add, own))
        if self._gains and not (member.is_trained and self._gains.is_next(learner)):
            self._gains = None

    def ensemble_metrics(self) -> Metrics:
        """Return the metrics on the validation part of all members so far, with equal weights."""
        return self._sums.total().metrics(self._targets, self.schema)

    def curve(self) -> list[Metrics]:
        """Return the validation metrics of the first 1, 2, ... K members, with equal weights."""
        members = ((m.learner, self._member_sums(m)) for m in self.members)
        return [sums.metrics(self._targets, self.schema) for sums in prefixes(members)]

    def last_needed(self, least_gain: float, first_open: int | None) -> int | None:
        """Return the first learner whose members lower the ensemble's NLL by less than that.

        Args:
            least_gain: in nats, on the validation part, of all members with equal weights.
            first_open: learners from this one on are not finished; None where all are.

        External members are not trained; they are part of the ensemble from the start.
        """
        for learner in sorted({m.learner for m in self.members if m.is_trained}):
            if first_open is not None and learner >= first_open:
                break
            if self._gain_of(learner) < least_gain:
                return learner
        return None

    def drop(self, learners: Container[int]) -> None:
        """Leave out the members of some learners; external members stay."""
        others = {m.learner for m in self.members if m.learner not in learners}
        self.keep(others | {m.learner for m in self.members if not m.is_trained})

    def keep(self, learners: Container[int]) -> None:
        """Leave out the members of all learners but these."""
        self.members = [m for m in self.members if m.learner in learners]
        self._sums.keep({m.learner for m in self.members})

    def combine(
        self,
        how: Combine,
        seed: int,
        folds: OutOfFold | None = None,
        row_groups: Integers | None = None,
        decide: Decide | None = None,
    ) -> Combined:
        """Return the ensemble of the members.

        Args:
            how: which members are kept, and how they are combined.
            seed: of the run.
            folds: out-of-fold predictions, where these are the evidence; where a learner of each
                group is missing there are none, and the validation part is the evidence.
            row_groups: (R,) of the validation part, where rows have groups.
            decide: how a class is decided on; None for the most probable one.
        """
        units: Sequence[tuple[Member, ...]]
        cross_fitted = self.out_of_fold()
        folds = cross_fitted or folds
        if folds is not None and (cross_fitted or how.evidence == "out_of_fold"):
            units, outputs, targets, groups, _ = folds
        else:
            units = [(member,) for member in self.members]
            outputs, targets, groups = self._stacked(), self._targets, row_groups
        costs = np.array([sum(self.cost_ms(member) for member in unit) for unit in units])
        given = outputs, targets, self.schema, costs, seed, groups, decide
        combined = combine_members(how, units, *given)
        if self.folds is None or cross_fitted is None:
            return combined
        return self.folds.calibrated(combined, cross_fitted, self.schema)

    def measure(self, combined: Combined) -> Measured:
        """Return predictions and metrics of a combination on the validation part.

        What is kept of its members is used again; `measure_ensemble` would return the same. Where
        there are folds, the prediction is that of the units that the combiner was fitted to.
        """
        own = [self._own_metrics(member, combined.decision) for member in combined.members]
        conformal, decision = combined.conformal, combined.decision
        folds = self.out_of_fold()
        if folds is not None and combined.of_units is not None:
            kept = folds.outputs[list(combined.units)]
            prediction = Prediction(kept, combined.of_units, self.schema, conformal, decision)
            metrics = prediction.metrics(folds.targets)
            return Measured(prediction, folds.targets, metrics, own, folds.rows)
        outputs = np.stack([self._outputs[m.learner, m.number] for m in combined.members])
        prediction = Prediction(outputs, combined.combiner, self.schema, conformal, decision)
        return Measured(prediction, self._targets, prediction.metrics(self._targets), own)

    def _own_metrics(self, member: Member, decision: Decision | None) -> Metrics:
        """Return the metrics of a member alone, under the decision of the ensemble."""
        place, (_, targets) = (member.learner, member.number), self._rows_for(member)
        return self._metrics[place] | metrics_of_outputs(decision, self._outputs[place], targets)

    def learner_metrics(self, learner: int) -> Metrics:
        """Return the metrics on the validation part of a learner's members, with equal weights."""
        own = [self._metrics[m.learner, m.number] for m in self.members if m.learner == learner]
        together = self._sums.of(learner)
        return own[0] if len(own) == 1 else together.metrics(self._targets, self.schema)

    def standard_error(self, learner: int, metric: str) -> float | None:
        """Return the standard error of a learner's own metric over the rows of a validation part.

        None of a metric that is no mean over rows, or where rows are too few to say.
        """
        outputs = [own for (of, _), own in sorted(self._outputs.items()) if of == learner]
        own = Prediction(np.stack(outputs), Weighted.equal(len(outputs)), self.schema)
        values = row_values(own, self._targets).get(metric)
        if values is None or len(values.values) < 2:
            return None
        error = values.standard_error
        return error if np.isfinite(error) else None

    def out_of_fold(self) -> OutOfFold | None:
        """Return the predictions by members that left a row out; None where there are no folds."""
        if self.folds is None:
            return None
        return self.folds.out_of_fold(self.members, self._outputs, self._targets, self.schema)

    def cost_ms(self, member: Member) -> float:
        """Return the milliseconds that a member takes for a row, as first measured."""
        return self._costs_ms[member.learner, member.number]

    def _gain_of(self, learner: int) -> float:
        """Return by how much a learner lowers the NLL of those before it, which are known."""
        if self._gains is None:
            fixed = [self._member_sums(m) for m in self.members if not m.is_trained]
            first = reduce(add, fixed) if fixed else None
            self._gains = Gains(first, self._targets, self.schema)
        if learner not in self._gains.by_learner:
            self._gains.add(learner, self._sums.of(learner))
        return self._gains.by_learner[learner]

    def _member_sums(self, member: Member) -> Sums:
        return self._sums_of(member, self._outputs[member.learner, member.number])

    def _sums_of(self, member: Member, outputs: Floats) -> Sums:
        folds, schema = self.folds, self.schema
        return sums_of(outputs, schema) if folds is None else folds.sums(member, outputs, schema)

    def _rows_for(self, member: Member) -> tuple[PartRows, Array]:
        """Return the rows that a member is measured on, and their targets."""
        places = None if self.folds is None else self.folds.left_out(member)
        if places is None:
            return self._validation, self._targets
        return ChosenRows(self._validation, places), self._targets[places]

    def _stacked(self) -> Floats:
        return np.stack([self._outputs[m.learner, m.number] for m in self.members])


def measure_ensemble(
    members: Sequence[Member],
    combiner: Combiner,
    schema: Schema,
    view: ShardView,
    draws: PredictionDraws,
    conformal: tuple[Conformal, ...] = (),
    external: ExternalOutputs = NO_EXTERNAL,
    decision: Decision | None = None,
) -> Measured:
    """Return predictions and metrics on a part, `external` of which other programs predict."""
    outputs = member_outputs(members, schema, draws.reads(view, schema.spans), view.rows, external)
    prediction = Prediction(outputs, combiner, schema, conformal, decision)
    targets = view.targets
    own = member_metrics(prediction, targets)
    return Measured(prediction, targets, prediction.metrics(targets), own)


def measure_groups(folds: OutOfFold, schema: Schema) -> Measured:
    """Return groups of cross-validated learners, with equal weights, on the training part."""
    prediction = Prediction(folds.outputs, Weighted.equal(len(folds.groups)), schema)
    targets = folds.targets
    own = member_metrics(prediction, targets)
    return Measured(prediction, targets, prediction.metrics(targets), own)


def member_metrics(prediction: Prediction, targets: Array) -> list[Metrics]:
    """Return the metrics of each member alone, in order, under the decision of the ensemble."""
    schema, decision = prediction.schema, prediction.decision
    return [
        sums_of(one, schema).metrics(targets, schema) | metrics_of_outputs(decision, one, targets)
        for one in prediction.outputs
    ]
