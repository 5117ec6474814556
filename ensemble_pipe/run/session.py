"""The training session: trains learners, and combines their members into one ensemble."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import TrainingError
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.aggregator import (
    Aggregator,
    Measured,
    measure_ensemble,
    measure_groups,
)
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.importance import Importance
from ensemble_pipe.ensemble.members import NO_EXTERNAL, ExternalOutputs, fitted_member
from ensemble_pipe.ensemble.out_of_fold import OutOfFold
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.evidence import cross_validated, fold_warnings, folds_of
from ensemble_pipe.run.measuring import baseline_metrics, validation_importance
from ensemble_pipe.run.refit import Refit, refit_plans
from ensemble_pipe.run.registry import MemberRegistry
from ensemble_pipe.run.results import SessionResult, flat_metrics
from ensemble_pipe.run.resuming import Remaining
from ensemble_pipe.run.sinks import Sink
from ensemble_pipe.serving.artifact import Model
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Event, Failed
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.warmup import compile_kernels


class Session:
    """Trains the learners of a pipeline, and combines their members.

    Attributes:
        registry: of the members, with the validation metrics of each.
        failed: reasons of the learners that failed, by learner.
        open: learners that are neither finished nor failed nor spared.
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
        """
        self._config = config
        self._plans = plans
        self._data = data
        self._schema = schema
        self._sink = sink
        self._display = display
        self._timeline = timeline
        self._external = external
        self._held_out = held_out
        self._compile_first = compile_first
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
        self._networks = {plan.learner: plan for plan in plans.networks}
        self._estimators = {plan.learner: plan for plan in plans.estimators}
        self._refit: Refit | None = None
        self.failed: dict[int, str] = {}
        self.open = set(plans.trained)
        for plan in plans.external:
            self.registry.add_external(plan)

    @property
    def member_count(self) -> int:
        """K, the number of members so far."""
        return len(self.registry.aggregator.members)

    def train(self, executor: Executor | None, remaining: Remaining | None = None) -> None:
        """Train learners until all have ended, or the gain of further ones is too small.

        Args:
            executor: where to train; None trains nothing.
            remaining: learners to train; None for all, from their beginning.

        Raises:
            ClusterError: the executor lost a stack too often.
        """
        for _ in self.events(executor, remaining):
            pass

    def events(
        self, executor: Executor | None, remaining: Remaining | None = None
    ) -> Iterator[Event]:
        """Train as `train` does, and yield each event after its results are stored.

        Closing the iterator ends the training early.
        """
        remaining = remaining or Remaining(self._plans.networks, self._plans.estimators)
        self.open = remaining.learners - self.failed.keys()
        if not self.open or self._end_when_enough() or executor is None:
            return
        self._compile_kernels(remaining.networks)
        stacks = remaining.stacks(self._schema, executor.trainers, self._config.cluster.stack)
        self._display.begin(remaining.networks, remaining.estimators)
        trained = executor.run(stacks, self._data.recipe, self._schema, remaining.estimators)
        for event in self._recorded(trained):
            self._display.event(event)
            before = len(self.open)
            self._handle(event)
            yield event
            if len(self.open) < before and self._end_when_enough():
                return

    def _recorded(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield events; the time before the first and that of all others are stages of the run."""
        with self._timeline.stage("first step"):
            first = next(events, None)
        if first is None:
            return
        with self._timeline.stage("training"):
            yield first
            yield from events

    def refit(
        self,
        executor: Executor | None,
        restore: Callable[[Refit], Remaining] = lambda refit: refit.remaining,
    ) -> None:
        """Train the learners of the ensemble again, on all rows but those of the test part.

        Args:
            executor: where to train; None trains nothing.
            restore: adds the members that are trained already, and returns the other learners.

        Raises:
            TrainingError, ClusterError: as `train` and `finish`.
        """
        members, waited = self._combination[1].members, self.registry.waited
        again = refit_plans(self._plans, members, waited, self._data.rows, self._schema)
        self._refit = Refit(again, self._data.recipe, self._schema, self._sink)
        remaining = restore(self._refit)
        if remaining.learners and executor is not None:
            with self._timeline.stage("refit"):
                self._refit.train(executor, remaining, self._config.cluster.stack, self._display)

    @cached_property
    def _combination(self) -> tuple[OutOfFold | None, Combined]:
        """Evidence out of fold, if any, and the ensemble; made once, when training has ended."""
        aggregator, how = self.registry.aggregator, self._config.ensemble.combine
        self._require_members()
        if self.open:
            self._display.message(
                f"without {len(self.open)} learners whose training was ended: "
                + ", ".join(str(learner) for learner in sorted(self.open))
            )
        self._display.message("combining and measuring the ensemble")
        folds = cross_validated(self._plans, aggregator, self._data, self._draws)
        if folds is None and how.fits and not self._held_out:
            raise TrainingError(
                "no group has all of its folds, and no rows are held out that the members could "
                f"be combined by; raise validation_fraction ({self._reasons()})"
            )
        groups = self._data.row_groups(self._held_part)
        with self._timeline.stage("combining"):
            combined = aggregator.combine(how, self._config.seed, folds, groups)
        self._sink.save_combination(combined)
        return folds, combined

    def finish(self) -> SessionResult:
        """Combine and measure the members, and hand the result to the sink.

        Raises:
            TrainingError: there is no member, or too few to fit the combiner.
        """
        aggregator, how = self.registry.aggregator, self._config.ensemble.combine
        folds, combined = self._combination
        final = combined if self._refit is None else self._refit.replaced(combined)
        with self._timeline.stage("measuring"):
            parts = {name: self._measure(combined, final, name) for name in self._sink.parts}
            left_out = measure_groups(folds, self._schema) if folds is not None and parts else None
        with self._timeline.stage("baselines"):
            baselines = baseline_metrics(self._data, self._schema, parts, self._config.seed)
        with self._timeline.stage("importance"):
            importance = self._importance(combined) if parts else None
        result = SessionResult(
            model=self._make_model(final),
            measured=parts,
            out_of_fold=left_out,
            importance=importance,
            metrics=flat_metrics(parts, left_out) | baselines,
            failed=self.failed,
            unfinished=tuple(sorted(self.open)),
            warnings=(*fold_warnings(self._plans, aggregator, how), *self._refit_warnings()),
        )
        self._sink.save_result(result, aggregator)
        return result

    def _compile_kernels(self, networks: Sequence[LearnerPlan]) -> None:
        """Compile the kernels that networks need, where this machine lacks them."""
        if not (networks and self._compile_first):
            return
        with self._timeline.stage("kernels"):
            compiled = compile_kernels(self._schema, networks, self._data.recipe)
        if compiled:
            self._display.message("kernels ready (compiled once, then kept)")

    def _handle(self, event: Event) -> None:
        """Process an event of a trainer."""
        if isinstance(event, Failed):
            self.failed[event.learner] = event.reason
            self._sink.fail(event.learner, event.reason)
            self.open.discard(event.learner)
        elif isinstance(event, EstimatorFitted):
            self._sink.save_estimator(event)
            plan = self._estimators[event.learner]
            self.registry.add_fitted(fitted_member(plan, event.suffix, event.content))
            self.open.discard(event.learner)
        elif isinstance(event, Checkpoint):
            self._take_checkpoint(event)

    def _take_checkpoint(self, event: Checkpoint) -> None:
        self._sink.save_checkpoint(event)
        if event.member is not None:
            plan = self._networks[event.learner]
            self.registry.add_network(plan, event.member, event.state)
        if event.finished:
            self.registry.finish_learner(event.learner)
            self.open.discard(event.learner)

    def _end_when_enough(self) -> bool:
        """Return whether further learners would gain too little; if so, go on without them.

        Learners count in order, whichever is finished first, so that the result is always the same.
        """
        least = self._config.ensemble.stop_below_gain
        if least is None:
            return False
        aggregator = self.registry.aggregator
        last = aggregator.last_needed(least, min(self.open, default=None))
        if last is None:
            return False
        aggregator.drop_after(last)
        for learner in sorted(self._plans.trained):
            if learner > last:
                reason = f"learner {last} lowered the ensemble's NLL by less than {least:g}"
                self._sink.spare(learner, reason)
                self.open.discard(learner)
        self._display.message(f"learners up to {last} are enough: a further one gains too little")
        return True

    def _require_members(self) -> None:
        if self.member_count:
            return
        if self.failed:
            raise TrainingError(f"no learner was trained to the end: {self._reasons()}")
        raise TrainingError("no learner is finished, so there is no ensemble yet")

    def _reasons(self) -> str:
        return "; ".join(f"learner {learner}: {why}" for learner, why in self.failed.items())

    def _make_model(self, combined: Combined) -> Model:
        return Model(
            self._schema, combined.members, combined.combiner, self._draws, combined.conformal
        )

    def _importance(self, combined: Combined) -> Importance | None:
        view, external = self._data.part(self._held_part), self._external(self._held_part)
        return validation_importance(view, self.registry.aggregator, combined, external)

    def _refit_warnings(self) -> list[str]:
        return [] if self._refit is None else self._refit.warnings()

    def _measure(self, combined: Combined, final: Combined, part: str) -> Measured:
        """Return what is measured on a part: the final ensemble on rows that no member has seen."""
        if part == "validation":
            return self.registry.aggregator.measure(combined)
        own = final if part == "test" else combined
        return measure_ensemble(
            own.members,
            own.combiner,
            self._schema,
            self._data.part(part),
            self._draws,
            own.conformal,
            self._external(part),
        )
