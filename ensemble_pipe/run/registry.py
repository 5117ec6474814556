"""The registry of members: makes members of what learners yield, and measures each."""

from collections.abc import Iterable, Sequence

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.members import ExternalMember, FittedMember, Member, members_at
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.ensemble.strategies import ExternalPlan
from ensemble_pipe.run.sinks import Sink
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState


class MemberRegistry:
    """Adds members to the aggregator, and reports them to the sink.

    Attributes:
        aggregator: of the members.
        metrics: of each member on the validation part, by learner and number.
    """

    def __init__(self, aggregator: Aggregator, sink: Sink) -> None:
        self.aggregator = aggregator
        self.metrics: dict[tuple[int, int], Metrics] = {}
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
        self._add(members_at(plan, number, state, self.schema))

    def add_fitted(self, member: FittedMember) -> None:
        """Add the one member of a learner without steps."""
        self._add([member])
        self._sink.finish_learner(member.learner)

    def add_external(self, plan: ExternalPlan) -> None:
        """Add a member with the predictions of another program."""
        self._add([ExternalMember(plan.learner, 0, 0, plan.settings.name)])
        self._sink.finish_learner(plan.learner)

    def add_under_way(self, members: Sequence[Member]) -> bool:
        """Add the members of a learner whose training is not at its end, if the ensemble gains.

        It does where its NLL on the validation part falls, and where no other member of its group
        has left out the same fold, since some rows would be predicted by none. Return whether they
        were added.
        """
        aggregator, places = self.aggregator, [(m.learner, m.number) for m in members]
        is_needed = not aggregator.members or self._fills_fold(members[0].learner)
        before = 0.0 if is_needed else aggregator.ensemble_metrics()["nll"]
        for member, place in zip(members, places, strict=True):
            self.metrics[place] = aggregator.add(member, self._sink.known_cost(member))
        if not is_needed and not aggregator.ensemble_metrics()["nll"] < before:
            aggregator.drop(members[0].learner)
            for place in places:
                del self.metrics[place]
            return False
        for member, place in zip(members, places, strict=True):
            cost = aggregator.cost_ms(member)
            self._sink.add_member(member, self.metrics[place], cost)
        return True

    def _fills_fold(self, learner: int) -> bool:
        """Return whether a learner leaves out a fold that no member of its group leaves out."""
        folds = self.aggregator.folds
        if folds is None:
            return False
        group = next(group for group in folds.groups if learner in group)
        there = {m.learner % folds.count for m in self.aggregator.members if m.learner in group}
        return learner % folds.count not in there

    def _add(self, members: Iterable[Member]) -> None:
        for member in members:
            place = member.learner, member.number
            self.metrics[place] = self.aggregator.add(member, self._sink.known_cost(member))
            self._sink.add_member(member, self.metrics[place], self.aggregator.cost_ms(member))
        self._sink.update_ensemble(self.aggregator)
