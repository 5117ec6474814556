"""Members of an ensemble that are trained again, on all rows that are not of the test part.

It comes after members were measured on held-out rows, combined and calibrated: what was fitted to
these rows stays (weights, temperature, noise, sets and intervals), and the members are replaced. A
network is trained for as many epochs as its member had seen, with the schedule that it was trained
by, and boosted trees have as many rounds (Erickson et al. 2020, "AutoGluon-Tabular", refit).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.plans import Plans
from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.core.storage import part_file, sums_of
from ensemble_pipe.data.folding import AnyFolds
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.members import FittedMember, Member, fitted_member, members_at
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.ordering import plan_work
from ensemble_pipe.run.resuming import Remaining
from ensemble_pipe.run.sinks import Sink
from ensemble_pipe.tracking.refitted import RefittedEntry
from ensemble_pipe.training.estimator_settings import CatBoost, HistogramBoosting, LightGbm
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Event, Failed
from ensemble_pipe.training.halting import Halted
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState

# The base file of all rows but the test part's, where some of them are held out.
PART = "refit"


def refit_part(parts: Mapping[str, Integers], folds: AnyFolds | None) -> dict[str, Integers]:
    """Return the places of all rows but the test part's, as a further part.

    Args:
        parts: places of the rows of each part.
        folds: of the training part, which in folds has all of these rows, so that none is added.
    """
    if folds is not None:
        return {}
    own = [places for name, places in parts.items() if name != "test"]
    return {PART: np.unique(np.concatenate(own))}


def refit_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of all rows but the test part's, of which none are held out."""
    if recipe.folds is not None:
        return replace(recipe, folds=None, stops=False)
    sums = sums_of(recipe.base, [part_file(recipe.base, PART).with_suffix(".json").name])
    return replace(recipe, part=PART, sums=sums, stops=False)


def refit_plans(
    plans: Plans, members: Sequence[Member], waited: Mapping[int, int], rows: int, schema: Schema
) -> Plans:
    """Return the plans by which the learners of some members are trained again.

    Args:
        plans: of the run.
        members: of its ensemble; those that no learner yields stay out of it.
        waited: epochs that early stopping had waited when each network ended, by learner.
        rows: R, of the training part.
        schema: of the data.
    """
    own = {member.learner: member for member in members}
    networks = tuple(
        _network_again(plan, own[plan.learner], waited, rows)
        for plan in plans.networks
        if plan.learner in own
    )
    estimators = tuple(
        _estimator_again(plan, own[plan.learner].rounds(schema))
        for plan in plans.estimators
        if plan.learner in own
    )
    return Plans(networks, estimators)


def _network_again(
    plan: LearnerPlan, member: Member, waited: Mapping[int, int], rows: int
) -> LearnerPlan:
    epoch, stopping = plan.steps(rows).epochs_done(member.step), plan.early_stopping
    if stopping is not None and stopping.restore_best:
        epoch -= waited[plan.learner]
    view = replace(plan.view, folds=None)
    return replace(plan, view=view, folding=None, early_stopping=None, last_epoch=epoch)


def _estimator_again(plan: EstimatorPlan, rounds: int | None) -> EstimatorPlan:
    settings = plan.settings
    if rounds is not None and isinstance(settings, HistogramBoosting | LightGbm | CatBoost):
        settings = replace(settings, rounds=rounds)
    return replace(plan, settings=settings, folds=None)


class Refit:
    """Learners of an ensemble in their second training.

    Attributes:
        plans: of the learners.
        data: all rows but those of the test part.
        schema: of the data.
        failed: why members stay as they were, by learner.
    """

    def __init__(self, plans: Plans, first: Recipe, schema: Schema, sink: Sink) -> None:
        """Begin without members.

        Args:
            plans: of the learners.
            first: recipe of the data of their first training.
            schema: of the data.
            sink: receives the results.
        """
        self.plans = plans
        self.data = TrainingData(refit_recipe(first), schema)
        self.schema = schema
        self.failed: dict[int, str] = {}
        self._sink = sink
        self._networks = {plan.learner: plan for plan in plans.networks}
        self._estimators = {plan.learner: plan for plan in plans.estimators}
        self._members: dict[tuple[int, int], Member] = {}

    @property
    def missing(self) -> tuple[int, ...]:
        """Learners that are not trained again yet, and have not failed in that, ascending."""
        done = {learner for learner, _ in self._members} | self.failed.keys()
        return tuple(sorted(self.remaining.learners - done))

    @property
    def remaining(self) -> Remaining:
        """All of the learners, from their beginning."""
        return Remaining(self.plans.networks, self.plans.estimators)

    def add_network(self, plan: LearnerPlan, number: int, state: LearnerState) -> None:
        """Add the members of a network at its last step."""
        for member in members_at(plan, number, state, self.schema):
            self._members[member.learner, member.number] = member

    def add_fitted(self, member: FittedMember) -> None:
        """Add the one member of a learner without steps."""
        self._members[member.learner, member.number] = member
        self.finish_learner(member.learner)

    def finish_learner(self, learner: int) -> None:
        """Report a learner whose members are there."""
        entry = RefittedEntry(learner, self.data.rows)
        if learner in self._networks:
            plan = self._networks[learner]
            epochs, steps = plan.last_epoch or plan.epochs, plan.end(self.data.rows)
            entry = replace(entry, epochs=epochs, steps=steps)
        else:
            rounds = self._members[learner, 0].rounds(self.schema)
            entry = replace(entry, rounds=rounds)
        self._sink.end_refit(entry)

    def train(
        self,
        executor: Executor,
        remaining: Remaining,
        width: int | None,
        display: Display,
        halted: Halted,
        early: bool,
    ) -> None:
        """Train the remaining learners, to their end or until the time limit ends it.

        Args:
            executor: where to train.
            remaining: learners.
            width: of a stack; None chooses it.
            display: of the progress.
            halted: whether the time limit has come.
            early: whether members are wanted early, since there is a limit.

        Raises:
            ClusterError: the executor lost a stack too often.
        """
        display.message(f"training the members again, on all {self.data.rows} rows but the test's")
        recipe = self.data.recipe
        trainers = executor.trainers if executor.wait(halted) else 1
        work = plan_work(remaining, self.schema, trainers, width, 1, early)
        display.begin(remaining.networks, remaining.estimators)
        for event in executor.run(work, recipe, self.schema, halted):
            display.event(event)
            self._take(event)

    def replaced(self, combined: Combined) -> Combined:
        """Return an ensemble with the members that were trained again, with their known noise."""
        members = (
            replace(self._members.get((old.learner, old.number), old), noise=old.noise)
            for old in combined.members
        )
        return replace(combined, members=tuple(members))

    @property
    def warnings(self) -> list[str]:
        """Return a warning for each learner that failed."""
        return [
            f"learner {learner} failed when it was trained again, and stays as it was: {reason}"
            for learner, reason in self.failed.items()
        ]

    def _take(self, event: Event) -> None:
        """Process an event of a trainer."""
        if isinstance(event, Failed):
            self.failed[event.learner] = event.reason
            entry = RefittedEntry(event.learner, self.data.rows, failed=event.reason)
            self._sink.end_refit(entry)
        elif isinstance(event, EstimatorFitted) and event.whole:
            self._sink.save_estimator(event, refit=True)
            plan = self._estimators[event.learner]
            self.add_fitted(fitted_member(plan, event.suffix, event.content))
        elif isinstance(event, Checkpoint):
            self._sink.save_checkpoint(event, refit=True)
            if event.member is not None:
                self.add_network(self._networks[event.learner], event.member, event.state)
            if event.finished:
                self.finish_learner(event.learner)
