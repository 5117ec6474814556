"""Learners whose training is not at its end: where each stands, and what it yields all the same."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.members import Member, fitted_member, members_at
from ensemble_pipe.run.registry import MemberRegistry
from ensemble_pipe.tracking.schemas import LearnerUnderWay
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Event, Failed
from ensemble_pipe.training.state import LearnerState
from ensemble_pipe.training.under_way import state_so_far


@dataclass
class UnderWay:
    """Learners under way.

    Attributes:
        states: of networks, as of their last checkpoint.
        fitted: learners without steps that were halted.
        added: what `add_members` has found; None before.
    """

    states: dict[int, LearnerState] = field(default_factory=dict)
    fitted: dict[int, EstimatorFitted] = field(default_factory=dict)
    added: list[LearnerUnderWay] | None = None

    @property
    def learners(self) -> set[int]:
        """Those that have taken a step or a round."""
        return {*self.fitted, *(one for one, state in self.states.items() if state.step)}

    def observe(self, event: Event) -> None:
        """Take note of where a learner stands after an event."""
        if isinstance(event, Checkpoint) and not event.finished:
            self.states[event.learner] = event.state
        elif isinstance(event, Checkpoint | Failed):
            self.states.pop(event.learner, None)
        elif isinstance(event, EstimatorFitted) and not event.whole:
            self.fitted[event.learner] = event

    def add_members(
        self,
        open_: Set[int],
        registry: MemberRegistry,
        plans: Plans,
        data: TrainingData,
        by_score: bool = False,
    ) -> None:
        """Add what the ensemble gains of learners under way, the furthest first, once.

        A learner that has yielded members already, as snapshots are, yields no other.

        Args:
            open_: learners whose training has not ended; of others nothing is added.
            registry: for the members.
            plans, data: of the learners.
            by_score: whether each is added, to be chosen later by its own score.
        """
        if self.added is not None:
            return
        there = {member.learner for member in registry.aggregator.members}
        shares = self._shares(self.learners & open_, plans, data.rows)
        order = sorted(shares, key=lambda learner: (-shares[learner], learner))
        found = []
        for learner in order:
            members = (
                [] if learner in there else list(self._members(learner, registry, plans, data))
            )
            joins = bool(members) and registry.add_under_way(members, by_score)
            share = shares[learner] if learner in self.states else None
            found.append(LearnerUnderWay(learner, share, joins or learner in there))
        self.added = sorted(found, key=lambda one: one.learner)

    def report(self, members: Sequence[Member]) -> tuple[LearnerUnderWay, ...]:
        """Return learners under way, and whether the ensemble is made of members of each.

        Args:
            members: of the ensemble as it was combined.
        """
        there = {member.learner for member in members}
        return tuple(
            replace(
                one,
                is_member=one.learner in there,
                is_left_out=one.is_member and one.learner not in there,
            )
            for one in self.added or ()
        )

    def _members(
        self, learner: int, registry: MemberRegistry, plans: Plans, data: TrainingData
    ) -> Iterator[Member]:
        if learner in self.fitted:
            event = self.fitted[learner]
            plan = next(plan for plan in plans.estimators if plan.learner == learner)
            yield fitted_member(plan, event.suffix, event.content)
            return
        network = next(plan for plan in plans.networks if plan.learner == learner)
        state = state_so_far(network, self.states[learner], data, registry.schema)
        yield from members_at(network, 0, state, registry.schema)

    def _shares(self, learners: Set[int], plans: Plans, rows: int) -> dict[int, float]:
        """Return the share of its steps that each has taken; 1 of those without steps."""
        totals = {plan.learner: plan.steps(rows).total for plan in plans.networks}
        return {
            learner: 1.0 if learner in self.fitted else self.states[learner].step / totals[learner]
            for learner in learners
        }
