"""What a run does: train its learners, combine and measure its members."""

import time
from dataclasses import dataclass, field

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.reading import (
    Pipeline,
    estimator_plans,
    fold_groups,
    given_plans,
    learner_plans,
)
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import TrainingError
from ensemble_pipe.core.interruption import may_stop
from ensemble_pipe.core.storage import SPLITS, Manifest, RunPaths, read_manifest
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.aggregator import (
    Aggregator,
    Measured,
    measured,
    measured_groups,
    summary,
)
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.measures import further_metrics
from ensemble_pipe.ensemble.members import external_members
from ensemble_pipe.ensemble.out_of_fold import left_out_messages, out_of_fold
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.external_predictions import load_given
from ensemble_pipe.run.preparation import recipe_of
from ensemble_pipe.run.registry import Intake, Waiting
from ensemble_pipe.serving.artifact import Model, write_artifact
from ensemble_pipe.serving.predictions import write_predictions
from ensemble_pipe.tracking.contact_sheet import draw_contact_sheet
from ensemble_pipe.tracking.journal import Journal, failures
from ensemble_pipe.tracking.pictures import draw_pictures
from ensemble_pipe.training.checkpoints import save_checkpoint, save_estimator
from ensemble_pipe.training.events import Checkpoint, Event, Failed, Fitted
from ensemble_pipe.training.plan import Stack, make_stacks
from ensemble_pipe.training.warmup import warm_up


@dataclass(frozen=True)
class Outcome:
    """What the learners came to.

    Attributes:
        metrics: flat.
        members: K, of the ensemble.
        failed: reasons of the learners that failed, by learner.
        unfinished: learners whose training was not ended.
        given: names of members whose predictions were read from a file.
    """

    metrics: Metrics
    members: int
    failed: dict[int, str] = field(default_factory=dict)
    unfinished: tuple[int, ...] = ()
    given: tuple[str, ...] = ()


def train_and_measure(
    paths: RunPaths,
    config: Pipeline,
    executor: Executor,
    journal: Journal,
    display: Display,
    train: bool = True,
) -> Outcome:
    """Train what is not yet trained, then combine and measure all members.

    Where training is interrupted, the ensemble of the members that there are is written before the
    interruption goes on.

    Args:
        train: whether learners that are not finished go on; else the members that there are make
            the ensemble.

    Raises:
        TrainingError: every learner failed.
        ClusterError: the executor lost a stack too often.
    """
    schema = read_schema(paths)
    recipe = recipe_of(paths, config, schema)
    data = TrainingData(recipe, schema)
    draws = PredictionDraws(config.augment, config.seed)
    given = load_given(paths, given_plans(config), "validation")
    aggregator = Aggregator(schema, data.part("validation"), draws, given)
    training = _Training(paths, config, data, aggregator, journal, display)
    try:
        training.run(executor if train else None)
    except KeyboardInterrupt:
        if aggregator.members:
            display.message(
                f"writing the ensemble of {len(aggregator.members)} members that are done"
            )
            with may_stop():
                _report(paths, config, aggregator, data, training, journal)
        raise
    if not aggregator.members:
        raise TrainingError(
            "no learner was trained to the end: "
            + "; ".join(f"learner {n}: {reason}" for n, reason in training.failed.items())
            if training.failed
            else "no learner is finished, so there is no ensemble yet"
        )
    if training.open:
        display.message(
            f"without {len(training.open)} learners whose training was ended: "
            + ", ".join(str(learner) for learner in sorted(training.open))
        )
    display.message("combining and measuring the ensemble")
    return _report(paths, config, aggregator, data, training, journal)


class _Training:
    """The learners of a run, and their training.

    Attributes:
        failed: reasons, by learner.
        open: learners that are neither finished nor failed.
    """

    def __init__(
        self,
        paths: RunPaths,
        config: Pipeline,
        data: TrainingData,
        aggregator: Aggregator,
        journal: Journal,
        display: Display,
    ) -> None:
        self.paths = paths
        self.config = config
        self.recipe = data.recipe
        self.run_id = read_manifest(paths).run_id
        self.schema = aggregator.schema
        self.journal = journal
        self.display = display
        by_time = config.ensemble.combine.milliseconds is not None
        self.intake = Intake(
            paths, aggregator, journal, self.run_id, rows=data.rows, by_time=by_time
        )
        self.plans = {plan.learner: plan for plan in learner_plans(config)}
        self.estimators = {plan.learner: plan for plan in estimator_plans(config)}
        self.failed: dict[int, str] = {}
        self.open = {*self.plans, *self.estimators}

    def run(self, executor: Executor | None) -> None:
        """Train learners that are not finished, until the ensemble has enough; None trains none."""
        self._show_augmentation()
        for given in given_plans(self.config):
            self.intake.take_given(given)
        waiting = self.intake.resume(list(self.plans.values()), list(self.estimators.values()))
        self.open = {plan.learner for plan in waiting.plans}
        self.open |= {plan.learner for plan in waiting.estimators}
        if executor is None:  # those that failed before are not tried again
            self.failed = failures(self.paths.journal)
            self.open -= set(self.failed)
        if not self.open or self._has_enough() or executor is None:
            return
        stacks = self._stacks(waiting, executor.trainers)
        self.display.begin(list(self.plans.values()))
        for event in executor.run(stacks, self.recipe, self.schema, waiting.estimators):
            self.display.event(event)
            done = len(self.open)
            self._take(event)
            if len(self.open) < done and self._has_enough():
                return

    def _stacks(self, waiting: Waiting, trainers: int) -> list[Stack]:
        if not waiting.plans:
            return []
        size = max(plan.build(self.schema).layout.size for plan in waiting.plans)
        stacks = make_stacks(
            waiting.plans, waiting.states,
            size=size, trainers=trainers, width=self.config.cluster.stack,
        )  # fmt: skip
        began = time.monotonic()
        warm_up(self.schema, waiting.plans, self.recipe)
        seconds = time.monotonic() - began
        self.display.message(f"kernels ready in {seconds:.1f} s (compiled once, then kept)")
        return stacks

    def _take(self, event: Event) -> None:
        if isinstance(event, Failed):
            self.failed[event.learner] = event.reason
            self.journal.append("failed", learner=event.learner, reason=event.reason)
            self.open.discard(event.learner)
        elif isinstance(event, Fitted):
            save_estimator(self.paths, event.learner, event.content, self.run_id)
            self.intake.take_estimator(self.estimators[event.learner], event.content)
            self.open.discard(event.learner)
        elif isinstance(event, Checkpoint):
            self._take_checkpoint(event)

    def _take_checkpoint(self, event: Checkpoint) -> None:
        if event.metrics:
            facts = {"epoch": event.epoch, "step": event.step, "metrics": event.metrics}
            waited_s = round(event.waited_s, 3)
            self.journal.append("epoch", learner=event.learner, **facts, waited_s=waited_s)
        self.journal.sync()  # a checkpoint never stands there without what led to it
        save_checkpoint(self.paths, event, self.run_id)
        if event.member is not None:
            self.intake.take(self.plans[event.learner], event.member, event.state)
        if event.finished:
            self.journal.append("finished", learner=event.learner)
            self.open.discard(event.learner)

    def _has_enough(self) -> bool:
        """Return whether further learners would gain too little; if so, go on without them.

        Learners count in order, whichever is finished first, so that the result is always the same.
        """
        least = self.config.ensemble.stop_below_gain
        if least is None:
            return False
        first_open = min(self.open, default=None)
        last = self.intake.aggregator.last_needed(least, first_open)
        if last is None:
            return False
        self.intake.aggregator.drop_after(last)
        for learner in sorted({*self.plans, *self.estimators}):
            if learner > last:
                reason = f"learner {last} lowered the ensemble's NLL by less than {least:g}"
                self.journal.append("spared", learner=learner, reason=reason)
                self.open.discard(learner)
        self.display.message(f"learners up to {last} are enough: a further one gains too little")
        return True

    def _show_augmentation(self) -> None:
        """Draw the contact sheet now, so that a person sees it while the run goes on."""
        if self.config.augment.policy and self.plans:
            epochs = max(plan.epochs for plan in self.plans.values())
            sheet = draw_contact_sheet(self.paths, self.recipe, self.schema, epochs)
            self.journal.append("pictures", names=[sheet.name])


def _report(
    paths: RunPaths,
    config: Pipeline,
    aggregator: Aggregator,
    data: TrainingData,
    training: _Training,
    journal: Journal,
) -> Outcome:
    """Combine and measure the members; write predictions, pictures and the model; journal them."""
    schema, draws = aggregator.schema, aggregator.draws
    folds = out_of_fold(fold_groups(config), aggregator.members, schema, data, draws)
    if config.ensemble.combine.evidence == "out_of_fold":
        for message in left_out_messages(fold_groups(config), aggregator.members):
            training.display.message(message)
    groups = data.row_groups("validation")
    chosen = aggregator.combine(config.ensemble.combine, config.seed, folds, groups)
    journal.append("combined", **chosen.facts())
    parts: dict[str, Measured] = {}
    for name in SPLITS[1:]:
        given = load_given(paths, given_plans(config), name)
        parts[name] = measured(
            chosen.members, chosen.combiner, schema, data.part(name), draws, chosen.conformal, given
        )
        write_predictions(paths.predictions(name), paths.base / f"{name}.arrow", parts[name])
    for index, member in enumerate(chosen.members):
        own = {f"test/{k}": value for k, value in parts["test"].members[index].items()}
        facts = {"learner": member.learner, "number": member.number}
        journal.append("member_test", **facts, metrics=own)
    test = parts["test"]
    metrics = summary(parts) | further_metrics(test.prediction, test.targets, "test/")
    if folds is not None:
        left_out = measured_groups(folds, schema)
        write_predictions(paths.predictions("out_of_fold"), paths.base / "train.arrow", left_out)
        metrics |= {f"out_of_fold/{name}": value for name, value in left_out.ensemble.items()}
    unfinished = tuple(sorted(training.open))
    journal.append(
        "result",
        metrics=metrics,
        members=len(chosen.members),
        equal=chosen.combiner == Weighted.equal(len(aggregator.members)),
        unfinished=list(unfinished),
    )
    model = Model(schema, chosen.members, chosen.combiner, draws, chosen.conformal)
    write_artifact(paths.model, model)
    pictures = draw_pictures(paths, schema, aggregator.curve(), parts["test"])
    journal.append("pictures", names=[path.name for path in pictures])
    journal.append("model", sums=read_json(paths.model / "manifest.json", Manifest).sums)
    names = tuple(external_members(chosen.members))
    return Outcome(metrics, len(chosen.members), training.failed, unfinished, names)
