"""The registry of members: makes members of what learners yield, and measures each."""

from collections.abc import Iterable

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

    def _add(self, members: Iterable[Member]) -> None:
        for member in members:
            place = member.learner, member.number
            self.metrics[place] = self.aggregator.add(member, self._sink.known_cost(member))
            self._sink.add_member(member, self.metrics[place], self.aggregator.cost_ms(member))
        self._sink.update_ensemble(self.aggregator)
