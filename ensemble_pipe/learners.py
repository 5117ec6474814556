"""Where the learners of a run stand, and the members that come of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.members import EstimatorMember, Member, members_at
from ensemble_pipe.ensemble.strategies import GivenPlan
from ensemble_pipe.given import given_member
from ensemble_pipe.preparation import FIRST_ROWS
from ensemble_pipe.storage import RunPaths
from ensemble_pipe.tracking.journal import Journal, costs
from ensemble_pipe.training.checkpoints import (
    list_checkpoints,
    load_estimator,
    load_state,
    read_tensors,
)
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.plan import LearnerPlan, LearnerState, initial_state


@dataclass(frozen=True)
class Waiting:
    """Learners that are not finished.

    Attributes:
        plans: of networks.
        states: where those go on that have begun, by learner.
        estimators: plans of scikit-learn learners.
    """

    plans: list[LearnerPlan]
    states: dict[int, LearnerState]
    estimators: list[EstimatorPlan]


class Intake:
    """Takes members into the aggregator, and says so in the journal.

    Where members are selected by the time they take, that is measured once: what the journal knows
    of an earlier session holds, so that a run that goes on selects as it would have.
    """

    def __init__(
        self, paths: RunPaths, aggregator: Aggregator, journal: Journal, *, by_time: bool = False
    ) -> None:
        self.paths = paths
        self.by_time = by_time
        self.costs = costs(paths.journal) if by_time else {}
        self.aggregator = aggregator
        self.journal = journal

    @property
    def schema(self) -> Schema:
        return self.aggregator.schema

    def resume(self, plans: Sequence[LearnerPlan], estimators: Sequence[EstimatorPlan]) -> Waiting:
        """Take in the members that are known already; return what is still to be trained."""
        path = self.paths.base / FIRST_ROWS
        first_rows = read_tensors(path.read_bytes(), str(path)) if path.is_file() else {}
        waiting = Waiting([], {}, [])
        for plan in plans:
            saved = list_checkpoints(self.paths, plan.learner)
            for checkpoint in saved:
                if checkpoint.member is not None:
                    state = load_state(self.paths, plan.learner, checkpoint.step)
                    self.take(plan, checkpoint.member, state)
            if saved and saved[-1].finished:
                self.journal.append("finished", learner=plan.learner)
                continue
            waiting.plans.append(plan)
            if saved:
                last = saved[-1].step
                waiting.states[plan.learner] = load_state(self.paths, plan.learner, last)
            elif first_rows:
                row = first_rows[str(plan.learner)]
                waiting.states[plan.learner] = initial_state(plan, self.schema, row)
        for estimator in estimators:
            content = load_estimator(self.paths, estimator.learner)
            if content is None:
                waiting.estimators.append(estimator)
            else:
                self.take_estimator(estimator, content)
        return waiting

    def take(self, plan: LearnerPlan, number: int, state: LearnerState) -> None:
        """Take in the members that a network yields at a checkpoint."""
        for member in members_at(plan, number, state, self.schema):
            self._add(member)
        self._tell_ensemble()

    def take_estimator(self, plan: EstimatorPlan, content: bytes) -> None:
        """Take in a scikit-learn learner, which is finished."""
        self._add(EstimatorMember(plan.learner, plan.settings.strategy, content))
        self._tell_ensemble()
        self.journal.append("finished", learner=plan.learner)

    def take_given(self, plan: GivenPlan) -> None:
        """Take in a member whose predictions were read from a file."""
        self._add(given_member(plan))
        self._tell_ensemble()
        self.journal.append("finished", learner=plan.learner)

    def _add(self, member: Member) -> None:
        place = member.learner, member.number
        metrics = self.aggregator.add(member, self.costs.get(place))
        facts = {"learner": member.learner, "number": member.number}
        if self.by_time and place not in self.costs:
            self.costs[place] = self.aggregator.cost_ms(member)
            self.journal.append("cost", **facts, ms=self.costs[place])
        self.journal.append("member", **facts, step=member.step, metrics=metrics)

    def _tell_ensemble(self) -> None:
        members, metrics = len(self.aggregator.members), self.aggregator.ensemble_metrics()
        self.journal.append("ensemble", members=members, metrics=metrics)
