"""The registry of members: makes members of what learners yield, and measures each."""

from collections.abc import Iterable, Sequence, Set

import numpy as np

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.members import ExternalMember, FittedMember, Member, members_at
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.ensemble.strategies import ExternalPlan
from ensemble_pipe.run.sinks import Sink
from ensemble_pipe.tracking.scored_trials import TrialEntry
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState


class MemberRegistry:
    """Adds members to the aggregator, and reports them to the sink.

    Attributes:
        aggregator: of the members.
        metrics: of each member on the validation part, by learner and number.
        waited: epochs that early stopping had waited when a network yielded its last member.
    """

    def __init__(self, aggregator: Aggregator, sink: Sink) -> None:
        self.aggregator = aggregator
        self.metrics: dict[tuple[int, int], Metrics] = {}
        self.waited: dict[int, int] = {}
        self._sink = sink

    @property
    def schema(self) -> Schema:
        return self.aggregator.schema

    def add_network(self, plan: LearnerPlan, number: int, state: LearnerState) -> None:
        """Add the members that a network yields at a checkpoint.

        Args:
            plan: of the network.
            number: of the first member, within its learner.
            state: of the network at the checkpoint.
        """
        self.waited[plan.learner] = state.counters.stopping.epochs_waited
        self._add(members_at(plan, number, state, self.schema))

    def add_fitted(self, member: FittedMember) -> None:
        """Add the one member of a learner without steps."""
        self._add([member])
        self.finish_learner(member.learner)

    def add_external(self, plan: ExternalPlan) -> None:
        """Add a member with the predictions of another program."""
        self._add([ExternalMember(plan.learner, 0, 0, plan.settings.name)])
        self.finish_learner(plan.learner)

    def finish_learner(self, learner: int) -> None:
        """Report a learner that has yielded all of its members."""
        self._sink.finish_learner(learner)

    def end_trial(self, trial: TrialEntry) -> None:
        """Report a trial of a search, whose learners have yielded all of their members."""
        self._sink.end_trial(trial)

    def add_under_way(self, members: Sequence[Member], by_score: bool = False) -> bool:
        """Add the members of a learner whose training is not at its end, if the ensemble gains.

        It does where its NLL on the validation part falls, and where no other member of its group
        has left out the same fold, since some rows would be predicted by none. With `by_score` they
        are added whatever the ensemble gains, to be chosen later. Return whether they were added.
        """
        aggregator, places = self.aggregator, [(m.learner, m.number) for m in members]
        is_needed = by_score or not aggregator.members or self._fills_fold(members[0].learner)
        before = 0.0 if is_needed else aggregator.ensemble_metrics()["nll"]
        for member, place in zip(members, places, strict=True):
            self.metrics[place] = aggregator.add(member, self._sink.known_cost(member))
        if not is_needed and not aggregator.ensemble_metrics()["nll"] < before:
            aggregator.drop({members[0].learner})
            for place in places:
                del self.metrics[place]
            return False
        for member, place in zip(members, places, strict=True):
            cost = aggregator.cost_ms(member)
            self._sink.add_member(member, self.metrics[place], cost)
        return True

    @property
    def turn(self) -> int:
        """How many learners of a kind are begun together: one for each fold."""
        folds = self.aggregator.folds
        return 1 if folds is None else folds.count

    def spare_below_gain(self, least: float, trained: Set[int], open_: Set[int]) -> set[int] | None:
        """Drop what gains too little; return the learners that are spared, None where none is.

        Learners count in order, whichever is finished first, so that the result is always the same.

        Args:
            least: by which the NLL of the ensemble is to fall with a further learner.
            trained: learners of the run, finished or not.
            open_: those whose training has not ended.
        """
        last = self.aggregator.last_needed(least, min(open_, default=None))
        if last is None:
            return None
        spared = sorted(learner for learner in trained if learner > last)
        self.aggregator.drop(spared)
        for learner in spared:
            reason = f"learner {last} lowered the ensemble's NLL by less than {least:g}"
            self._sink.spare(learner, reason)
        return set(spared)

    def _fills_fold(self, learner: int) -> bool:
        """Return whether a learner leaves out a fold that no member of its group leaves out."""
        folds = self.aggregator.folds
        if folds is None:
            return False
        group = next(group for group in folds.groups if learner in group)
        there = {folds.fold_of(m) for m in self.aggregator.members if m.learner in group}
        own, predicted = folds.rows[learner % len(folds.rows)], folds.places_in(there)
        return not np.isin(own, predicted).all()

    def _add(self, members: Iterable[Member]) -> None:
        for member in members:
            place = member.learner, member.number
            self.metrics[place] = self.aggregator.add(member, self._sink.known_cost(member))
            self._sink.add_member(member, self.metrics[place], self.aggregator.cost_ms(member))
        self._sink.update_ensemble(self.aggregator)
