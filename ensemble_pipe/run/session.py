"""The training session: trains learners, and combines their members into one ensemble."""

from collections.abc import Callable, Iterator
from functools import cached_property

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.aggregator import Aggregator, measure_groups
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.members import NO_EXTERNAL, ExternalOutputs, fitted_member
from ensemble_pipe.ensemble.out_of_fold import OutOfFold
from ensemble_pipe.run import announcing
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.evidence import (
    cross_validated,
    fold_warnings,
    folds_of,
    no_members,
    require_evidence,
)
from ensemble_pipe.run.measuring import compare, measure_parts
from ensemble_pipe.run.news import Stage
from ensemble_pipe.run.ordering import plan_work
from ensemble_pipe.run.refit import Refit, refit_plans
from ensemble_pipe.run.registry import MemberRegistry
from ensemble_pipe.run.rehearsal import Ending
from ensemble_pipe.run.results import SessionResult, flat_metrics
from ensemble_pipe.run.resuming import Remaining
from ensemble_pipe.run.sinks import Sink
from ensemble_pipe.run.time_limit import NO_LIMIT, TimeLimit
from ensemble_pipe.run.under_way import UnderWay
from ensemble_pipe.serving.artifact import model_of
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Event, Failed, Progress


class Session:
    """Trains the learners of a pipeline, and combines their members.

    Attributes:
        registry: of the members, with the validation metrics of each.
        failed: reasons of the learners that failed, by learner.
        open: learners that are neither finished nor failed nor spared nor pruned.
        further: what is to be trained that has no learners yet, such as "4 trials not chosen".
    """

    def __init__(
        self,
        config: Pipeline,
        plans: Plans,
        data: TrainingData,
        schema: Schema,
        sink: Sink,
        display: Display,
        timeline: Timeline,
        *,
        external: Callable[[str], ExternalOutputs] = lambda part: NO_EXTERNAL,
        held_out: bool = True,
        compile_first: bool = True,
        limit: TimeLimit = NO_LIMIT,
    ) -> None:
        """Begin with the external members, before anything is trained.

        Args:
            config: the pipeline; its `data` section is ignored, since `data` is read already.
            plans: of the learners.
            data: to train on.
            schema: of the data.
            sink: receives the results.
            display: of the progress.
            timeline: where the stages of the session are recorded.
            external: external(part) returns the predictions of other programs for a part.
            held_out: whether the validation part is held out from training.
            compile_first: whether kernels are compiled before training, not while it goes on.
            limit: when training ends though learners are open.
        """
        self._config, self._plans = config, plans
        self._data, self._schema = data, schema
        self._sink, self._display, self._timeline = sink, display, timeline
        self._external = external
        self._held_out = held_out
        self._compile_first = compile_first
        self._limit = limit
        self._under_way = UnderWay()
        self._draws = PredictionDraws(config.augment, config.seed)
        self._held_part = "validation" if plans.folds is None else "train"
        aggregator = Aggregator(
            schema,
            data.part(self._held_part),
            self._draws,
            external(self._held_part),
            folds_of(plans, data),
        )
        self.registry = MemberRegistry(aggregator, sink)
        most = None if config.search is None else config.search.top
        self._ending = Ending(limit, data, self._held_part, sink.parts, aggregator, most)
        self._networks = {plan.learner: plan for plan in plans.networks}
        self._estimators = {plan.learner: plan for plan in plans.estimators}
        self._refit: Refit | None = None
        self.failed: dict[int, str] = {}
        self.open = set(plans.trained)
        self.further: tuple[str, ...] = ()
        for plan in plans.external:
            self.registry.add_external(plan)

    @property
    def member_count(self) -> int:
        """K, the number of members so far."""
        return len(self.registry.aggregator.members)

    @property
    def yields(self) -> bool:
        """Whether there are members, or learners under way that yield some."""
        return bool(self.member_count or self._under_way.learners & self.open)

    def train(self, executor: Executor | None, remaining: Remaining | None = None) -> None:
        """Train learners until all have ended, or the gain of further ones is too small.

        Args:
            executor: where to train; None trains nothing.
            remaining: learners to train; None for all, from their beginning.

        Raises:
            ClusterError: the executor lost a stack too often.
        """
        for _ in self.events(executor, self.begin(remaining)):
            pass

    def begin(self, remaining: Remaining | None = None) -> Remaining:
        """Take note of where learners stand; return what is to be trained, by default all."""
        remaining = remaining or Remaining(self._plans.networks, self._plans.estimators)
        self.open = remaining.learners - self.failed.keys()
        self._under_way.states.update(remaining.states)
        return remaining

    def events(
        self, executor: Executor | None, remaining: Remaining, until: int | None = None
    ) -> Iterator[Event]:
        """Train as `train` does, and yield each event after its results are stored.

        Closing the iterator ends the training early. `remaining` is what `begin` has returned, or
        some of it. With `until`, networks pause after that epoch; a later call goes on with them.
        """
        if not remaining.learners or self._end_when_enough() or executor is None:
            return
        display = self._display
        networks, recipe, timeline = remaining.networks, self._data.recipe, self._timeline
        if self._compile_first:
            announcing.compile_first(networks, self._schema, recipe, display, timeline)
        total, ending = len(self._plans.trained), self._ending
        ending.rehearse(self._config, networks, total, timeline, forecasts=display.forecasts)
        width, turn, early = self._config.cluster.stack, self.registry.turn, self._limit.is_set
        trainers = executor.trainers if executor.wait(ending.halted) else 1
        work = plan_work(remaining, self._schema, trainers, width, turn, early, until)
        display.begin(networks, remaining.estimators)
        announcing.growth(display, self.registry.aggregator, ending, len(self.open))
        trained = executor.run(work, recipe, self._schema, ending.halted)
        for event in timeline.during(trained, "first step", "training"):
            display.event(event)
            before, members = len(self.open), self.member_count
            self._handle(event)
            if self.member_count > members:
                announcing.growth(display, self.registry.aggregator, ending, before)
            yield event
            if len(self.open) < before and self._end_when_enough():
                return
        if self.open and ending.has_come:
            announcing.end(display, self._limit)

    def grow(self, plans: Plans) -> None:
        """Go on with the plans of more learners; those that there are stay as they are."""
        self.open |= plans.trained - self._plans.trained
        self._plans = plans
        self._networks = {plan.learner: plan for plan in plans.networks}
        self.registry.aggregator.folds = folds_of(plans, self._data)

    def ends_training(self) -> bool:
        """Return whether the time for training is up, and there is something to combine."""
        return self.yields and self._ending.ends_training()

    def prune(self, learner: int, reason: str) -> None:
        """Train a learner no further; it yields no member."""
        self._sink.prune(learner, reason)
        self.open.discard(learner)

    def refit(
        self,
        executor: Executor | None,
        restore: Callable[[Refit], Remaining] = lambda refit: refit.remaining,
    ) -> None:
        """Train the learners of the ensemble again, on all rows but those of the test part.

        It begins when all training has ended; what a time limit leaves undone stays as it was.

        Args:
            executor: where to train; None trains nothing.
            restore: adds the members that are trained already, and returns the other learners.

        Raises:
            TrainingError, ClusterError: as `train` and `finish`.
        """
        _, combined = self._combination
        whole = [member for member in combined.members if member.learner not in self.open]
        waited = self.registry.waited
        again = refit_plans(self._plans, whole, waited, self._data.rows, self._schema)
        self._refit = Refit(again, self._data.recipe, self._schema, self._sink)
        remaining = restore(self._refit)
        self._ending.expect(0)
        halted, early = self._ending.halted, self._limit.is_set
        if executor is None or self.open or not remaining.learners or halted():
            return
        with self._timeline.stage("refit"):
            width = self._config.cluster.stack
            self._refit.train(executor, remaining, width, self._display, halted, early)

    def add_under_way(self, by_score: bool = False) -> None:
        """Add the members of learners that are still open; nothing is trained after that.

        With `by_score` each is added, to be chosen later, not by what the ensemble of all gains.
        """
        self._under_way.add_members(self.open, self.registry, self._plans, self._data, by_score)

    @cached_property
    def _combination(self) -> tuple[OutOfFold | None, Combined]:
        """Evidence out of fold, if any, and the ensemble; made once."""
        aggregator, ensemble = self.registry.aggregator, self._config.ensemble
        how, decide = ensemble.combine, ensemble.decide
        self.add_under_way()
        if not self.member_count:
            raise no_members(self.failed, self._limit, self._ending.has_come)
        announcing.combining(self._display)
        folds = cross_validated(self._plans, aggregator, self._data, self._draws)
        if not self._held_out:
            require_evidence(folds, how, decide, self.failed)
        with self._timeline.stage("combining"):
            groups = self._data.row_groups(self._held_part)
            combined = aggregator.combine(how, self._config.seed, folds, groups, decide)
        self._limit.combining_s = 0.0  # that is done
        self._sink.save_combination(combined)
        return folds, combined

    def finish(self) -> SessionResult:
        """Combine and measure the members, and hand the result to the sink.

        Raises:
            TrainingError: there is no member, or too few to fit the combiner.
        """
        aggregator, how = self.registry.aggregator, self._config.ensemble.combine
        folds, combined = self._combination
        self._display.note(Stage("measuring", after_training=True))
        again, parts = self._refit, self._sink.parts
        final = combined if again is None else again.replaced(combined)
        with self._timeline.stage("measuring"):
            measured = measure_parts(parts, self._data, aggregator, combined, final, self._external)
            left_out = measure_groups(folds, self._schema) if folds is not None and parts else None
        data, held = self._data, self._held_part
        evidence = data.part(held), self._external(held)
        seed, limit, timeline = self._config.seed, self._limit, self._timeline
        compared = compare(data, aggregator, combined, measured, evidence, seed, limit, timeline)
        not_refitted = () if again is None else again.missing
        result = SessionResult(
            model=model_of(final, self._schema, self._draws),
            measured=measured,
            out_of_fold=left_out,
            importance=compared.importance,
            metrics=flat_metrics(measured, left_out) | compared.baselines,
            failed=self.failed,
            unfinished=tuple(sorted(self.open)),
            under_way=self._under_way.report(combined.members),
            further=self.further,
            not_refitted=not_refitted,
            limit_s=self._ending.limit_s(self.open or not_refitted or self.further),
            unmeasured=compared.unmeasured,
            warnings=(
                *fold_warnings(self._plans, aggregator, how),
                *(again.warnings if again else ()),
            ),
        )
        self._sink.save_result(result, aggregator)
        return result

    def _handle(self, event: Event) -> None:
        if isinstance(event, Failed):
            self.failed[event.learner] = event.reason
            self._sink.fail(event.learner, event.reason)
            self.open.discard(event.learner)
        elif isinstance(event, EstimatorFitted) and event.whole:
            self._sink.save_estimator(event)
            plan = self._estimators[event.learner]
            self.registry.add_fitted(fitted_member(plan, event.suffix, event.content))
            self.open.discard(event.learner)
        elif isinstance(event, Checkpoint):
            self._take_checkpoint(event)
        self._under_way.observe(event)
        if not isinstance(event, Progress):
            self._ending.expect(len(self._under_way.learners))

    def _take_checkpoint(self, event: Checkpoint) -> None:
        self._sink.save_checkpoint(event)
        if event.member is not None:
            plan = self._networks[event.learner]
            self.registry.add_network(plan, event.member, event.state)
        if event.finished:
            self.registry.finish_learner(event.learner)
            self.open.discard(event.learner)

    def _end_when_enough(self) -> bool:
        """Return whether further learners would gain too little; if so, go on without them."""
        least, trained = self._config.ensemble.stop_below_gain, self._plans.trained
        if least is None:
            return False
        spared = self.registry.spare_below_gain(least, trained, self.open)
        self.open -= spared or set()
        if spared is not None:
            announcing.enough(self._display, max(trained - spared))
        return spared is not None
