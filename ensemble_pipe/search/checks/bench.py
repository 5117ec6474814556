"""A bench for short trainings: some rows of a pipeline's data, and the curves of trials on them.

Trials are trained by the loop that trains learners, those of one kind as one stack.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.run.preparation import Prepared, recipe_of, write_run
from ensemble_pipe.training.events import Checkpoint, Failed
from ensemble_pipe.training.first_states import first_state
from ensemble_pipe.training.loop import StackTraining, train
from ensemble_pipe.training.measures import stop_metrics
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack, make_stacks
from ensemble_pipe.training.state import LearnerState, initial_state

_TIMED_STEPS = 5


@dataclass(frozen=True)
class Curve:
    """A trial: its loss on training rows and on those it stops by, epoch by epoch.

    Attributes:
        plan: of the trial.
        train, stop: (E,) losses of each epoch.
        accuracy: (E,) on the rows it stops by; empty for numbers.
        row: (P,) at its end; None where it diverged, or time was up before its first epoch.
        failed: why it diverged; empty where it did not.
        is_whole: whether it was trained to its end, diverged or not.
    """

    plan: LearnerPlan
    train: Floats
    stop: Floats
    accuracy: Floats
    row: Floats | None
    failed: str = ""
    is_whole: bool = True

    @property
    def rate(self) -> float:
        return self.plan.rule.learning_rate

    @property
    def best(self) -> float:
        """The lowest loss on the rows it stops by; infinite where it diverged at once."""
        return float(self.stop.min()) if len(self.stop) else np.inf


@dataclass(frozen=True)
class Bench:
    """Data to train trials on.

    Attributes:
        config: of the pipeline, on these rows.
        plan: of its first network, without what needs a whole training.
        data, schema: of the rows.
        first_row: (P,) that a trial begins with; None for fresh ones.
        chance: the loss, on the rows that trials stop by, of the best constant prediction.
        uniform: that of outputs of 0.
        step_s: seconds of a step of one trial.
    """

    config: Pipeline
    plan: LearnerPlan
    data: TrainingData
    schema: Schema
    first_row: Floats | None
    chance: float
    uniform: float
    step_s: float

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch."""
        return max(1, self.plan.steps(self.data.rows).total // self.plan.epochs)

    def trial(self, number: int, steps: int, **rule: float) -> LearnerPlan:
        """Return the plan of a trial.

        Args:
            number: counted from 0; trials leave out the same fold.
            steps: to be taken, in whole epochs.
            rule: settings of the update rule, such as its rate.
        """
        return replace(
            self.plan,
            learner=number * (self.plan.view.folds or 1),
            rule=replace(self.plan.rule, **rule),  # type: ignore[arg-type]
            epochs=max(1, round(steps / self.epoch_steps)),
        )

    def start(self, plan: LearnerPlan) -> StackTraining:
        """Return a trial before its first step."""
        return StackTraining(Stack((plan,), (self._state(plan),)), self.data, self.schema)

    def train(
        self, plans: Sequence[LearnerPlan], deadline: float, enough: float = -np.inf
    ) -> list[Curve]:
        """Train trials, as one stack where they are alike.

        Args:
            plans: of the trials.
            deadline: of time.monotonic, at which it ends.
            enough: a loss on the rows they stop by at which it ends too.
        """
        states = {plan.learner: self._state(plan) for plan in plans}
        size = plans[0].build(self.schema).layout.size
        found: dict[int, list[Checkpoint]] = {plan.learner: [] for plan in plans}
        failed: dict[int, str] = {}
        with one_thread():
            for stack in make_stacks(plans, states, size=size, trainers=1, width=None):
                for event in train(stack, self.data, self.schema):
                    if isinstance(event, Checkpoint):
                        found[event.learner].append(event)
                        if event.metrics.get("stop/loss", np.inf) <= enough:
                            deadline = -np.inf
                    elif isinstance(event, Failed):
                        failed[event.learner] = event.reason
                    if time.monotonic() > deadline:
                        break
        return [_curve(plan, found[plan.learner], failed.get(plan.learner, "")) for plan in plans]

    def _state(self, plan: LearnerPlan) -> LearnerState:
        """Return where a trial begins: all at the same weights, so that settings are compared."""
        plan = replace(plan, learner=self.plan.learner)
        if self.first_row is None:
            return first_state(plan, self.schema, self.data)
        return initial_state(plan, self.schema, self.first_row)


def _curve(plan: LearnerPlan, events: Sequence[Checkpoint], failed: str) -> Curve:
    ends = [event for event in events if event.metrics]

    def metric(name: str) -> Floats:
        return np.array([event.metrics[name] for event in ends if name in event.metrics])

    done = bool(events) and events[-1].finished
    row = events[-1].state.row if events and not failed else None
    losses = metric("train/loss"), metric("stop/loss"), metric("stop/accuracy")
    return Curve(plan, *losses, row, failed, is_whole=done or bool(failed))


@contextmanager
def open_bench(prepared: Prepared, parts: Mapping[str, Integers]) -> Iterator[Bench]:
    """Yield a bench with some rows of each part; its files are removed afterwards.

    Args:
        prepared: the data, with a network among its plans.
        parts: places of the rows by part.
    """
    plan = replace(
        prepared.plans.networks[0], snapshots=False, checkpoints=None, averaging=None,
        early_stopping=None, boosting=None, dropout_passes=None,
    )  # fmt: skip
    plans = replace(prepared.plans, networks=(plan,), estimators=(), external=())
    first = prepared.first_rows.get(plan.learner)
    unread = {"test": parts["train"][:1]}  # which no trial reads, but a run directory has
    few = replace(
        prepared, parts=unread | dict(parts), official_test=None, external={}, plans=plans,
        first_rows={} if first is None else {plan.learner: first},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, one_thread():
        paths = RunPaths(Path(folder))
        write_run(paths, few)
        data = TrainingData(recipe_of(paths, few.config, few.schema), few.schema)
        stop = data.stop_of(plan.learner)
        outputs = _constants(plan.loss, few.schema, data)
        chance, uniform = (
            stop_metrics(np.repeat(one[None], stop.rows, 0), stop.targets, plan.loss, stop.weights)
            for one in outputs
        )
        losses = chance["stop/loss"], uniform["stop/loss"]
        bench = Bench(few.config, plan, data, few.schema, first, *losses, 0.0)
        yield replace(bench, step_s=_step_seconds(bench))


def _constants(loss: Loss, schema: Schema, data: TrainingData) -> tuple[Floats, Floats]:
    """Return the outputs (O,) of the best constant prediction, and of no knowledge at all."""
    count = loss.outputs(len(schema.classes), max(schema.target_count, 1))
    zeros = np.zeros(count, np.float32)
    if schema.task == "regression":
        return zeros, zeros
    targets: Array = data.part("train").targets
    shares = np.bincount(targets, minlength=len(schema.classes)) + 1.0
    logs = np.log(shares / shares.sum()).astype(np.float32)
    if count == len(schema.classes):
        return logs, zeros
    return zeros, zeros


def _step_seconds(bench: Bench) -> float:
    """Return the time of a step, without those in which kernels may be compiled."""
    training = bench.start(bench.plan)
    times = []
    for _ in range(min(_TIMED_STEPS, training.steps.total)):
        began = time.perf_counter()
        training.take_step()
        times.append(time.perf_counter() - began)
    return min(times)


def epochs_text(count: int) -> str:
    """Return a number of epochs in words."""
    return f"{count} epoch{'' if count == 1 else 's'}"


def thinned(places: Integers, most: int) -> Integers:
    """Return at most so many of the places, evenly spread."""
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
