"""The course of a search: asks for trials, trains them as learners, and chooses the ensemble."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.ensemble.strategies import Group, Learners
from ensemble_pipe.report.drawing import save_figure
from ensemble_pipe.run.growth import write_growth
from ensemble_pipe.run.resuming import Remaining, first_states
from ensemble_pipe.run.session import Session
from ensemble_pipe.run.time_limit import TimeLimit
from ensemble_pipe.search.drivers import driver_of
from ensemble_pipe.search.keeping import report_trials, write_trials
from ensemble_pipe.search.pictures import IMPORTANCE_S, search_pictures
from ensemble_pipe.search.planning import group_of, require_search, trial_kind
from ensemble_pipe.search.pruning import compared_by, loss_of, rungs, survivors
from ensemble_pipe.search.spaces import parameters_of
from ensemble_pipe.search.trials import Ending, Trial, TrialLearners, chosen_first
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry
from ensemble_pipe.training.events import Checkpoint, Event, Failed
from ensemble_pipe.training.state import LearnerState


class SearchCourse:
    """Trains the trials of a search, batch by batch, and lets the chosen ones be combined.

    Trial i is group i in the pool of the run's pipeline, which holds its values: one learner, or in
    folds one for each. Further groups are further initialisations of chosen trials. The files of
    the run are all that a search remembers.
    """

    def __init__(self, paths: RunPaths | None, config: Pipeline, plans: Plans) -> None:
        """Begin with what the run directory holds.

        Args:
            paths: of the run; None for a search in memory, which leaves no file.
            config: its pipeline, with the trials so far.
            plans: of these.
        """
        self._paths = paths
        self._config = config
        self._search = require_search(config)
        self._compared_by = compared_by(self._search, config.training)
        self._driver = driver_of(config)
        self._learners = TrialLearners.of(config.splits.folds)
        self._plans = {plan.learner: plan for plan in plans.networks}
        self._states: dict[int, LearnerState] = {}
        self._is_ended = False
        self._is_selected = False
        self._pruned: set[int] = set()  # trials
        self._metrics: dict[int, Metrics] = {}  # of learners
        # Of each learner, the loss that its trial is compared by after each epoch.
        self._losses: dict[int, dict[int, float]] = {}
        for entry in () if paths is None else read_entries(paths.journal):
            if isinstance(entry, EpochEntry):
                self._observe(entry.learner, entry.epoch, entry.metrics)

    @property
    def _groups(self) -> tuple[Group, ...]:
        return self._config.ensemble.groups

    def events(
        self, session: Session, executor: Executor | None, remaining: Remaining
    ) -> Iterator[Event]:
        """Train trials until there are no more, or the time is up; see `Course.events`.

        Without an executor only what has been decided already is done again: which are pruned.
        """
        self._states = dict(session.begin(remaining).states)
        ended: list[Trial] = []
        while len(ended) < self._driver.total:
            first, planned = len(ended), min(len(self._groups), self._driver.total)
            if first == planned:
                if self._ends(session, executor):
                    break
                asked, learners = self._driver.ask(ended), self._learners.count
                like = trial_kind(self._config)
                self._grow(session, [group_of(values, learners, like) for values in asked])
            batch = range(first, first + self._driver.size(first))
            yield from self._train(session, executor, batch)
            if self._is_ended:
                break
            ended += [self._trial(session, number) for number in batch]
        if self._search.ensemble == "hyper_deep":
            yield from self._train_again(session, executor)

    def select(self, session: Session) -> None:
        """Keep the predictions of all trials, and the members that the ensemble is made of."""
        if self._is_selected:
            return
        session.add_under_way(by_score=True)
        session.further = tuple(self._not_chosen())
        aggregator, trials = session.registry.aggregator, self.trials(session)
        there = {member.learner for member in aggregator.members}
        whole = {trial.number for trial in trials if self._all_of([trial.number]) <= there}
        if not whole:
            return
        ordered = chosen_first(trials, self._search)
        report_trials(session.registry, ordered, self._learners, self._search.metric)
        if self._paths is not None:
            write_trials(aggregator, self._paths, self._learners, whole)
        further = there - self._all_of(range(len(trials)))
        if self._search.ensemble == "top":
            whole = {trial.number for trial in ordered[: self._search.top]} or whole
        elif self._search.ensemble == "hyper_deep" and further:
            chosen = [self._values(place) for place in range(len(trials), len(self._groups))]
            whole = {number for number in whole if self._values(number) in chosen}
        self._is_selected = True
        aggregator.keep(further | self._all_of(whole))

    def _not_chosen(self) -> Iterator[str]:
        """Yield what is to be trained that has no learners yet."""
        trials = self._driver.total - len(self._groups)
        if trials > 0:
            yield f"{trials} trials not chosen"
        if self._search.ensemble == "hyper_deep" and len(self._groups) <= self._driver.total:
            yield "further initialisations not chosen"

    def draw(self, session: Session, limit: TimeLimit) -> list[Path]:
        """Draw the pictures of the search, as long as there is time; see `Course.draw`."""
        if self._paths is None:
            return []
        listed = isinstance(self._search.space, tuple)
        parameters = {} if listed else parameters_of(self._search)
        trials, explains = self.trials(session), limit.allows(IMPORTANCE_S)
        found = search_pictures(trials, self._search.metric, parameters, explains=explains)
        files: list[Path] = []
        for name, figure in found.items():
            if not limit.allows_picture():
                break
            files.append(self._paths.picture(f"{name}.svg"))
            save_figure(figure(), files[-1])
        return files

    def trials(self, session: Session) -> list[Trial]:
        """Return the trials so far, in their order."""
        planned = range(min(self._driver.total, len(self._groups)))
        return [self._trial(session, number) for number in planned]

    def _all_of(self, trials: Iterable[int]) -> set[int]:
        """Return the learners of some trials."""
        return {learner for trial in trials for learner in self._learners.of_trial(trial)}

    def _train(
        self, session: Session, executor: Executor | None, batch: Sequence[int]
    ) -> Iterator[Event]:
        """Train a batch of trials; those that are pruned end early."""
        pruning = self._search.pruning
        epochs = max(self._plans[learner].epochs for learner in self._all_of(batch))
        for epoch in rungs(pruning, epochs):
            yield from self._train_until(session, executor, batch, epoch)
            if self._is_ended:
                return
            self._prune(session, batch, epoch, epochs)
        yield from self._train_until(session, executor, batch, None)

    def _train_until(
        self,
        session: Session,
        executor: Executor | None,
        batch: Sequence[int],
        epoch: int | None,
    ) -> Iterator[Event]:
        """Train what goes on of a batch up to the end of an epoch, or to its end."""
        if not self._due(session, batch, epoch) or self._ends(session, executor):
            return
        due = self._due(session, batch, epoch)
        states = {n: self._states[n] for n in due if n in self._states}
        remaining = Remaining([self._plans[n] for n in due], (), states)
        for event in session.events(executor, remaining, epoch):
            if isinstance(event, Checkpoint):
                if epoch is not None:
                    self._states[event.learner] = event.state
                if event.metrics:
                    self._observe(event.learner, event.epoch, event.metrics)
            if isinstance(event, Checkpoint | Failed) and event.learner not in session.open:
                self._states.pop(event.learner, None)
            yield event
        self._is_ended = bool(self._due(session, batch, epoch))

    def _due(self, session: Session, batch: Sequence[int], epoch: int | None) -> list[int]:
        """Return the open learners of a batch that have not reached the end of an epoch."""
        going = sorted(session.open & self._all_of(batch))
        return [n for n in going if epoch is None or self._epochs_of(n) < epoch]

    def _ends(self, session: Session, executor: Executor | None) -> bool:
        """Return whether nothing more is to be trained, since the time is up."""
        self._is_ended = self._is_ended or executor is None or session.ends_training()
        return self._is_ended

    def _prune(self, session: Session, batch: Sequence[int], epoch: int, epochs: int) -> None:
        """End the trials of a batch that are not good enough after an epoch, or lack a learner."""
        pruning = self._search.pruning
        assert pruning is not None
        going = [number for number in batch if self._is_going(session, number)]
        for number in going:
            failed = sorted(session.failed.keys() & self._all_of([number]))
            if failed:
                self._end_trial(session, number, f"learner {failed[0]} of the trial has failed")
        going = [number for number in going if self._is_going(session, number)]
        compared = range(batch[-1] + 1)
        counted = [number for number in compared if self._counts(session, number, epoch)]
        losses = {number: self._lowest(number, epoch) for number in counted}
        stay = survivors(pruning, epochs, epoch, going, losses, self._search.top)
        for number in set(going) - stay:
            self._pruned.add(number)
            reason = f"{pruning}: its loss after epoch {epoch} is not among the best"
            self._end_trial(session, number, reason)

    def _is_going(self, session: Session, trial: int) -> bool:
        return not session.open.isdisjoint(self._learners.of_trial(trial))

    def _end_trial(self, session: Session, trial: int, reason: str) -> None:
        """Train those learners of a trial no further that have not ended."""
        for learner in sorted(session.open & self._all_of([trial])):
            self._states.pop(learner, None)
            session.prune(learner, reason)

    def _counts(self, session: Session, trial: int, epoch: int) -> bool:
        """Return whether a trial is one that others are compared with after an epoch."""
        short = [n for n in self._learners.of_trial(trial) if self._epochs_of(n) < epoch]
        if trial in self._pruned and short:
            return False
        return all(self._epochs_of(n) > 0 and n not in session.failed for n in short)

    def _train_again(self, session: Session, executor: Executor | None) -> Iterator[Event]:
        """Train the trials that are selected from further initialisations."""
        total = self._driver.total
        if len(self._groups) <= total:
            if not session.member_count or self._ends(session, executor):
                return
            self._choose_again(session)
        due = sorted(session.open - self._all_of(range(total)))
        states = {n: self._states[n] for n in due if n in self._states}
        if due and not self._ends(session, executor):
            yield from session.events(
                executor, Remaining([self._plans[n] for n in due], (), states)
            )

    def _choose_again(self, session: Session) -> None:
        """Add further initialisations of the trials that are selected."""
        how = replace(self._config.ensemble.combine, temperature=False, coverage=None)
        chosen = session.registry.aggregator.combine(how, self._config.seed).members
        trials = dict.fromkeys(self._learners.trial_of(member.learner) for member in chosen)
        again = (self._search.top - 1) * self._learners.count
        like = trial_kind(self._config)
        self._grow(session, [group_of(self._values(trial), again, like) for trial in trials])

    def _grow(self, session: Session, groups: Sequence[Group]) -> None:
        """Add groups of learners to the run, its files first."""
        pool = (*self._groups, *groups)
        self._config = self._config.with_pool(pool, self._config.ensemble.combine)
        if self._paths is not None:
            write_growth(self._paths, self._config)
        plans = make_plans(self._config)
        added = [plan for plan in plans.networks if plan.learner not in self._plans]
        self._plans = {plan.learner: plan for plan in plans.networks}
        session.grow(plans)
        if self._paths is not None:
            self._states |= first_states(self._paths, plans, added, session.registry.schema)

    def _trial(self, session: Session, number: int) -> Trial:
        """Return a trial as it has ended."""
        learners = self._learners.of_trial(number)
        metrics = [self._metrics_of(session, learner) for learner in learners]
        is_whole = all(metrics) and session.open.isdisjoint(learners)
        ending: Ending = "finished" if is_whole else "unfinished"
        if not session.failed.keys().isdisjoint(learners):
            ending = "failed"
        elif number in self._pruned:
            ending = "pruned"
        scores = [None if own is None else own.get(self._search.metric) for own in metrics]
        mean, error = self._learners.score(scores)
        if mean is not None and self._learners.count == 1:
            aggregator = session.registry.aggregator
            error = aggregator.standard_error(number, self._search.metric)
        parameters = self._plans[learners[0]].build(session.registry.schema).layout.size
        epochs = max(self._epochs_of(learner) for learner in learners)
        losses = {epochs: self._lowest(number, epochs)} if epochs else {}
        return Trial(number, self._values(number), ending, mean, epochs, losses, error, parameters)

    def _metrics_of(self, session: Session, learner: int) -> Metrics | None:
        """Return the metrics of a learner's members together; None where it has none yet."""
        registry = session.registry
        if learner not in self._metrics and (learner, 0) in registry.metrics:
            self._metrics[learner] = registry.aggregator.learner_metrics(learner)
        return self._metrics.get(learner)

    def _values(self, trial: int) -> Mapping[str, Any]:
        group = self._groups[trial]
        assert isinstance(group, Learners)
        return group.set or {}

    def _observe(self, learner: int, epoch: int, metrics: Mapping[str, float | None]) -> None:
        known = self._losses.setdefault(learner, {})
        known[epoch] = loss_of(metrics, self._compared_by)

    def _epochs_of(self, learner: int) -> int:
        """Return how many epochs a learner was trained for."""
        return max(self._losses.get(learner, {}), default=0)

    def _lowest(self, trial: int, epoch: int) -> float:
        """Return the lowest loss of a trial up to an epoch, in folds the mean of its learners'."""
        losses = [self._losses.get(learner, {}) for learner in self._learners.of_trial(trial)]
        lowest = [min((own[at] for at in own if at <= epoch), default=inf) for own in losses]
        return fmean(lowest)
