"""Restoring of learners from a run directory: their members so far, and the states to continue
from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members import FittedMember, fitted_member
from ensemble_pipe.run.transfer import kept_rows
from ensemble_pipe.training import restoring
from ensemble_pipe.training.checkpoints import ANEW, FittedFile, load_estimator
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState, initial_state


@dataclass(frozen=True)
class Remaining:
    """Learners that are still to be trained.

    Attributes:
        networks: plans of networks.
        estimators: plans of scikit-learn estimators.
        states: of the networks that continue from a checkpoint, by learner.
    """

    networks: Sequence[LearnerPlan]
    estimators: Sequence[EstimatorPlan]
    states: Mapping[int, LearnerState] = field(default_factory=dict)

    @property
    def learners(self) -> set[int]:
        """Their ids."""
        networks = {plan.learner for plan in self.networks}
        return networks | {plan.learner for plan in self.estimators}


class Receiver(Protocol):
    """What the stored members of learners are given to."""

    @property
    def schema(self) -> Schema: ...

    def add_network(self, plan: LearnerPlan, number: int, state: LearnerState) -> None: ...

    def add_fitted(self, member: FittedMember) -> None: ...

    def finish_learner(self, learner: int) -> None: ...


def restore(paths: RunPaths, plans: Plans, rows: int, registry: Receiver) -> Remaining:
    """Register the stored members of a run; return the learners still to be trained.

    Args:
        paths: of the run.
        plans: of its learners.
        rows: R, of the training part.
        registry: for the members.

    Raises:
        CorruptFileError: a checkpoint or an estimator is damaged, or inconsistent with its plan.
    """
    manifest = read_manifest(paths)
    run_id, replanned = manifest.run_id, bool(manifest.accepted)
    networks: list[LearnerPlan] = []
    states: dict[int, LearnerState] = {}
    for plan in plans.networks:
        finished, state = _restore_network(paths, plan, rows, registry, run_id, replanned)
        if finished:
            registry.finish_learner(plan.learner)
            continue
        networks.append(plan)
        if state is not None:
            states[plan.learner] = state
    not_begun = [plan for plan in networks if plan.learner not in states]
    states |= first_states(paths, plans, not_begun, registry.schema)
    estimators: list[EstimatorPlan] = []
    for estimator in plans.estimators:
        fitted = load_estimator(paths, estimator.learner, run_id)
        if fitted is None:
            estimators.append(estimator)
        else:
            registry.add_fitted(_member_of(paths, estimator, fitted, registry.schema))
    return Remaining(networks, estimators, states)


def first_states(
    paths: RunPaths, plans: Plans, networks: Sequence[LearnerPlan], schema: Schema
) -> dict[int, LearnerState]:
    """Return where those of some networks begin that have weights of an earlier run.

    Args:
        paths: of the run, which keeps the weights.
        plans: of all learners.
        networks: plans of those that have not begun.
        schema: of the data.

    Raises:
        CorruptFileError: the file of the weights is damaged.
    """
    rows = kept_rows(paths, plans.transfers)
    return {
        plan.learner: initial_state(plan, schema, rows[plan.learner])
        for plan in networks
        if plan.learner in rows
    }


def _restore_network(
    paths: RunPaths,
    plan: LearnerPlan,
    rows: int,
    registry: Receiver,
    run_id: str,
    replanned: bool,
) -> tuple[bool, LearnerState | None]:
    """Register the members of a network; return whether it is finished, and its last state."""
    last = None
    kept = restoring.restore(paths, plan, registry.schema, rows, run_id, replanned=replanned)
    for last in kept:
        if last.saved.member is not None:
            registry.add_network(plan, last.saved.member, last.state)
    return (False, None) if last is None else (last.saved.finished, last.state)


def _member_of(
    paths: RunPaths, plan: EstimatorPlan, fitted: FittedFile, schema: Schema
) -> FittedMember:
    """Return the member of a kept learner; raise CorruptFileError where it is not of its plan."""
    path = paths.estimator(plan.learner, fitted.suffix)
    member = fitted_member(plan, *fitted)
    if not member.is_of_plan(plan, schema.task):
        raise CorruptFileError(f"{path}: is not what learner {plan.learner} fits; {ANEW}")
    try:
        member.require_fit(schema)
    except ValueError as error:
        raise CorruptFileError(f"{path}: {error}; {ANEW}") from None
    return member
