"""The course of a search: asks for trials, trains them as learners, and chooses the ensemble."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.strategies import Group, Learners
from ensemble_pipe.run.growth import write_growth
from ensemble_pipe.run.resuming import Remaining
from ensemble_pipe.run.session import Session
from ensemble_pipe.search.drivers import driver_of
from ensemble_pipe.search.pictures import search_pictures
from ensemble_pipe.search.planning import group_of, require_search
from ensemble_pipe.search.pruning import loss_of, rungs, survivors
from ensemble_pipe.search.spaces import parameters_of
from ensemble_pipe.search.trials import Ending, Trial, best_first
from ensemble_pipe.serving.predictions import write_predictions
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry
from ensemble_pipe.tracking.pictures import save_figure
from ensemble_pipe.training.events import Checkpoint, Event, Failed
from ensemble_pipe.training.state import LearnerState


class SearchCourse:
    """Trains the trials of a search, batch by batch, and lets the chosen ones be combined.

    Trial i is learner i, a group of its own in the pool of the run's pipeline, which holds its
    values; further learners are further initialisations of chosen trials. The files of the run are
    all that a search remembers.
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
        self._driver = driver_of(config)
        self._plans = {plan.learner: plan for plan in plans.networks}
        self._states: dict[int, LearnerState] = {}
        self._going: set[int] = set()
        self._pruned: set[int] = set()
        # Of each trial, the loss that it is compared by after each epoch.
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
        """Train trials until there are no more; see `Course.events`."""
        if executor is None:
            return
        self._going = remaining.learners
        self._states = dict(remaining.states)
        ended: list[Trial] = []
        while len(ended) < self._driver.total:
            first, planned = len(ended), min(len(self._groups), self._driver.total)
            if first == planned:
                self._grow(session, [group_of(values, 1) for values in self._driver.ask(ended)])
            batch = range(first, first + self._driver.size(first))
            yield from self._train(session, executor, batch)
            ended += [self._trial(session, number) for number in batch]
        if self._search.ensemble == "hyper_deep":
            yield from self._train_again(session, executor)

    def select(self, session: Session) -> None:
        """Keep the predictions of all trials, and the members that the ensemble is made of."""
        aggregator, total = session.registry.aggregator, self._driver.total
        trials = tuple(member for member in aggregator.members if member.learner < total)
        if not trials:
            return
        if self._paths is not None:
            every = aggregator.measure(Combined(trials, Weighted.equal(len(trials))))
            path, rows = self._paths.predictions("trials"), self._paths.part("validation")
            write_predictions(path, rows, every)
        if self._search.ensemble == "top":
            best = best_first(self.trials(session), self._search.metric)[: self._search.top]
            if best:
                aggregator.keep({trial.number for trial in best})
        elif self._search.ensemble == "hyper_deep" and len(self._groups) > total:
            chosen = [self._values(place) for place in range(total, len(self._groups))]
            again = {m.learner for m in aggregator.members if m.learner >= total}
            aggregator.keep(again | {n for n in range(total) if self._values(n) in chosen})

    def draw(self, session: Session) -> list[Path]:
        """Draw the pictures of the search; see `Course.draw`."""
        if self._paths is None:
            return []
        listed = isinstance(self._search.space, tuple)
        parameters = {} if listed else parameters_of(self._search)
        found = search_pictures(self.trials(session), self._search.metric, parameters)
        files = []
        for name, figure in found.items():
            files.append(self._paths.picture(f"{name}.png"))
            save_figure(figure(), files[-1])
        return files

    def trials(self, session: Session) -> list[Trial]:
        """Return the trials so far, in their order."""
        planned = range(min(self._driver.total, len(self._groups)))
        return [self._trial(session, number) for number in planned]

    def _train(self, session: Session, executor: Executor, batch: Sequence[int]) -> Iterator[Event]:
        """Train a batch of trials; those that are pruned end early."""
        pruning, epochs = self._search.pruning, max(self._plans[n].epochs for n in batch)
        for epoch in rungs(pruning, epochs):
            yield from self._train_until(session, executor, batch, epoch)
            self._prune(session, batch, epoch, epochs)
        yield from self._train_until(session, executor, batch, None)

    def _train_until(
        self, session: Session, executor: Executor, batch: Sequence[int], epoch: int | None
    ) -> Iterator[Event]:
        """Train what goes on of a batch up to the end of an epoch, or to its end."""
        due = [
            self._plans[number]
            for number in batch
            if number in self._going and (epoch is None or self._epochs(number) < epoch)
        ]
        remaining = Remaining(due, (), {n: s for n, s in self._states.items() if n in batch})
        for event in session.events(executor, remaining, epoch):
            if isinstance(event, Failed):
                self._end(event.learner)
            elif isinstance(event, Checkpoint):
                if epoch is not None:
                    self._states[event.learner] = event.state
                if event.metrics:
                    self._observe(event.learner, event.epoch, event.metrics)
                if event.finished:
                    self._end(event.learner)
            yield event

    def _prune(self, session: Session, batch: Sequence[int], epoch: int, epochs: int) -> None:
        """End the trials of a batch that are not good enough after an epoch."""
        pruning = self._search.pruning
        assert pruning is not None
        going = [number for number in batch if number in self._going]
        compared = range(batch[-1] + 1)
        counted = [number for number in compared if self._counts(session, number, epoch)]
        losses = {number: self._lowest(number, epoch) for number in counted}
        stay = survivors(pruning, epochs, epoch, going, losses, self._search.top)
        for number in set(going) - stay:
            self._pruned.add(number)
            self._end(number)
            reason = f"{pruning}: its loss after epoch {epoch} is not among the best"
            session.prune(number, reason)

    def _counts(self, session: Session, number: int, epoch: int) -> bool:
        """Return whether a trial is one that others are compared with after an epoch."""
        if self._epochs(number) >= epoch:
            return True
        if number in self._pruned:
            return self._search.pruning == "median"
        return self._epochs(number) > 0 and number not in session.failed

    def _train_again(self, session: Session, executor: Executor) -> Iterator[Event]:
        """Train the trials that are selected from further initialisations."""
        total, aggregator = self._driver.total, session.registry.aggregator
        if len(self._groups) == total and aggregator.members:
            how = replace(self._config.ensemble.combine, temperature=False, coverage=None)
            chosen = aggregator.combine(how, self._config.seed).members
            again = self._search.top - 1
            self._grow(session, [group_of(self._values(m.learner), again) for m in chosen])
        due = [plan for n, plan in self._plans.items() if n >= total and n in self._going]
        states = {n: state for n, state in self._states.items() if n >= total}
        yield from session.events(executor, Remaining(due, (), states))

    def _grow(self, session: Session, groups: Sequence[Group]) -> None:
        """Add groups of learners to the run, its files first."""
        pool = (*self._groups, *groups)
        self._config = self._config.with_pool(pool, self._config.ensemble.combine)
        if self._paths is not None:
            write_growth(self._paths, self._config)
        plans = make_plans(self._config)
        self._going |= plans.trained - self._plans.keys()
        self._plans = {plan.learner: plan for plan in plans.networks}
        session.grow(plans)

    def _trial(self, session: Session, number: int) -> Trial:
        """Return a trial as it has ended."""
        metrics = session.registry.metrics.get((number, 0))
        score = None if metrics is None else metrics.get(self._search.metric)
        ending: Ending = "unfinished" if metrics is None else "finished"
        if number in session.failed:
            ending = "failed"
        elif number in self._pruned:
            ending = "pruned"
        epochs = self._epochs(number)
        losses = {epochs: self._lowest(number, epochs)} if epochs else {}
        known = score if score is not None and isfinite(score) else None
        return Trial(number, self._values(number), ending, known, epochs, losses)

    def _values(self, trial: int) -> Mapping[str, Any]:
        group = self._groups[trial]
        assert isinstance(group, Learners)
        return group.set or {}

    def _observe(self, learner: int, epoch: int, metrics: Mapping[str, float | None]) -> None:
        known = self._losses.setdefault(learner, {})
        known[epoch] = loss_of(metrics, self._search.metric)

    def _epochs(self, trial: int) -> int:
        """Return how many epochs a trial was trained for."""
        return max(self._losses.get(trial, {}), default=0)

    def _lowest(self, trial: int, epoch: int) -> float:
        """Return the lowest loss of a trial up to an epoch."""
        return min(loss for at, loss in self._losses[trial].items() if at <= epoch)

    def _end(self, learner: int) -> None:
        self._going.discard(learner)
        self._states.pop(learner, None)
