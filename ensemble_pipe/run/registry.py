"""Where the learners of a run stand, and the members that come of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.tensor_files import read_tensors
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.members import EstimatorMember, Member, members_at
from ensemble_pipe.ensemble.strategies import ExternalPlan
from ensemble_pipe.run.external_predictions import given_member
from ensemble_pipe.run.preparation import FIRST_ROWS
from ensemble_pipe.tracking.journal import Journal, costs
from ensemble_pipe.training.checkpoints import ANEW, load_estimator
from ensemble_pipe.training.estimators import EstimatorPlan, is_of_plan
from ensemble_pipe.training.plan import LearnerPlan, LearnerState, initial_state
from ensemble_pipe.training.restoring import restored


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

    Attributes:
        run_id: of the run, which its checkpoints name.
        rows: of the training part.
    """

    def __init__(
        self,
        paths: RunPaths,
        aggregator: Aggregator,
        journal: Journal,
        run_id: str,
        *,
        rows: int,
        by_time: bool = False,
    ) -> None:
        self.paths = paths
        self.run_id = run_id
        self.rows = rows
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
        names = [str(plan.learner) for plan in plans]
        first_rows = read_tensors(path, *names) if path.exists() else {}
        waiting = Waiting([], {}, [])
        for plan in plans:
            last = None
            for last in restored(self.paths, plan, self.schema, self.rows, self.run_id):
                if last.saved.member is not None:
                    self.take(plan, last.saved.member, last.state)
            if last is not None and last.saved.finished:
                self.journal.append("finished", learner=plan.learner)
                continue
            waiting.plans.append(plan)
            if last is not None:
                waiting.states[plan.learner] = last.state
            elif first_rows:
                row = first_rows[str(plan.learner)]
                waiting.states[plan.learner] = initial_state(plan, self.schema, row)
        for estimator in estimators:
            content = load_estimator(self.paths, estimator.learner, self.run_id)
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
        member = EstimatorMember(plan.learner, 0, 0, plan.settings.strategy, content)
        path = self.paths.estimator(plan.learner)
        if not is_of_plan(member.estimator, plan, self.schema.task):
            raise CorruptFileError(f"{path}: is not what learner {plan.learner} fits; {ANEW}")
        try:
            member.require_fit(self.schema)
        except ValueError as error:
            raise CorruptFileError(f"{path}: {error}; {ANEW}") from None
        self._add(member)
        self._tell_ensemble()
        self.journal.append("finished", learner=plan.learner)

    def take_given(self, plan: ExternalPlan) -> None:
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
