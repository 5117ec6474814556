"""Learners whose training is not at its end: where each stands, and what it yields all the same."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.members import Member, fitted_member, members_at
from ensemble_pipe.run.registry import MemberRegistry
from ensemble_pipe.tracking.schemas import LearnerUnderWay
from ensemble_pipe.training.events import EstimatorFitted
from ensemble_pipe.training.state import LearnerState
from ensemble_pipe.training.under_way import state_so_far


@dataclass
class UnderWay:
    """Learners under way.

    Attributes:
        states: of networks, as of their last checkpoint.
        fitted: learners without steps that were halted.
    """

    states: dict[int, LearnerState] = field(default_factory=dict)
    fitted: dict[int, EstimatorFitted] = field(default_factory=dict)

    @property
    def learners(self) -> set[int]:
        """Those that have taken a step or a round."""
        return {*self.fitted, *(one for one, state in self.states.items() if state.step)}

    def add_members(
        self, open_: Set[int], registry: MemberRegistry, plans: Plans, data: TrainingData
    ) -> list[LearnerUnderWay]:
        """Add what the ensemble gains of learners under way, the furthest first; return them all.

        A learner that has yielded members already, as snapshots are, yields no other.

        Args:
            open_: learners whose training has not ended; of others nothing is added.
            registry: for the members.
            plans, data: of the learners.
        """
        there = {member.learner for member in registry.aggregator.members}
        shares = self._shares(self.learners & open_, plans, data.rows)
        order = sorted(shares, key=lambda learner: (-shares[learner], learner))
        found = []
        for learner in order:
            members = (
                [] if learner in there else list(self._members(learner, registry, plans, data))
            )
            joins = bool(members) and registry.add_under_way(members)
            share = shares[learner] if learner in self.states else None
            found.append(LearnerUnderWay(learner, share, joins or learner in there))
        return sorted(found, key=lambda one: one.learner)

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
