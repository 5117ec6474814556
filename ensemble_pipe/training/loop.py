"""The loop that trains one stack."""

import time
from collections.abc import Iterator

import numpy as np

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.data.batches import Batches
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.losses import LOSSES
from ensemble_pipe.optim.rules import Stacked
from ensemble_pipe.seeds import Draws, Purpose
from ensemble_pipe.training.events import Checkpoint, Event, Failed, Progress
from ensemble_pipe.training.plan import LearnerPlan, LearnerState, Stack, initial_state

PROGRESS_EVERY_S = 0.5


def train(stack: Stack, data: TrainingData, schema: Schema) -> Iterator[Event]:
    """Train a stack to its end, yielding events as they come.

    Args:
        stack: learners at the same step, alike in all that `make_stacks` groups by.
        data: the training and stop parts.
        schema: of the data.

    Yields:
        A `Checkpoint` of every learner at each end of an epoch and at each member; `Progress`
        in between; `Failed` for a learner whose loss is not finite, which then leaves the stack.
    """
    training = StackTraining(stack, data, schema)
    told = time.monotonic()
    while training.plans and training.step < training.steps.total:
        losses = training.take_step()
        if training.is_checkpoint():
            yield from training.checkpoints()
            told = time.monotonic()
        elif time.monotonic() - told > PROGRESS_EVERY_S:
            told = time.monotonic()
            for plan, loss in zip(training.plans, losses, strict=True):
                yield Progress(plan.learner, training.step, training.steps.total, float(loss))


class StackTraining:
    """The arrays of a stack in training, and one step on them.

    Attributes:
        plans: of the M learners still in it.
        step: number of steps taken.
        rows, gradients: (M, P).
    """

    def __init__(self, stack: Stack, data: TrainingData, schema: Schema) -> None:
        self.data = data
        self.schema = schema
        plan = stack.plans[0]
        self.network = plan.network.build(schema.input_shape, schema.outputs)
        self.steps = plan.steps(data.rows)
        self.loss = LOSSES[schema.loss]
        states = [
            state or initial_state(plan, schema.input_shape, schema.outputs)
            for plan, state in zip(stack.plans, stack.states, strict=True)
        ]
        self.step = states[0].step
        self._place(stack.plans, states)

    def _place(self, plans: tuple[LearnerPlan, ...], states: list[LearnerState]) -> None:
        """Lay learners side by side and bind the network and buffers to them."""
        self.plans = plans
        if not plans:
            return
        self.rows = np.stack([state.row for state in states])
        self.gradients = np.zeros((len(plans), self.network.layout.trainable), self.rows.dtype)
        names = plans[0].rule.slots
        slots = {name: np.stack([state.slots[name] for state in states]) for name in names}
        self.rule = Stacked([plan.rule for plan in plans], slots)
        self.member_steps = {plan.learner: plan.member_steps(self.data.rows) for plan in plans}
        batch_rows = self.steps.batch_rows
        draws = Draws(plans[0].seed, Purpose.LAYER, [plan.learner for plan in plans])
        self.bound = self.network.bind(self.rows, batch_rows, self.gradients, draws=draws)
        self.batches = Batches(
            self.data, [plan.learner for plan in plans], batch_rows, plans[0].order
        )
        self.output_gradient = np.zeros(
            (len(plans), batch_rows, self.schema.outputs), self.rows.dtype
        )
        self.losses = np.zeros(len(plans))
        self.loss_sums = np.array([state.loss_sum for state in states])
        self.steps_summed = states[0].steps_summed

    def take_step(self) -> Floats:
        """Move every learner by one step; return the losses (M,) of its batch."""
        self.batches.read(self.step)
        # A learner that diverges is told of as such, not by warnings.
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self.bound.forward(self.batches.inputs, self.step)
            self.loss(outputs, self.batches.targets, self.output_gradient, self.losses)
            self.bound.backward(self.output_gradient)
        self.rule.step(self.rows, self.gradients, self.rates(self.step), self.step)
        self.step += 1
        self.loss_sums += self.losses
        self.steps_summed += 1
        return self.losses

    def rates(self, step: int) -> Floats:
        """Return the learning rates (M,) of step number `step`."""
        total = self.steps.total
        return self.rule.rate(np.array([p.schedule.factor(step, total) for p in self.plans]))

    def is_checkpoint(self) -> bool:
        """Whether an epoch or a cycle of any learner ends at this step."""
        return self._ends_epoch() or any(self._member(plan) is not None for plan in self.plans)

    def checkpoints(self) -> Iterator[Event]:
        """Yield a checkpoint of every learner, or its failure, and drop those that failed."""
        epoch = self.steps.epochs_done(self.step)
        metrics = self._epoch_metrics() if self._ends_epoch() else [{} for _ in self.plans]
        sound = [bool(np.isfinite(row).all()) for row in self.rows]
        if self._ends_epoch():
            sound = [
                ok and all(np.isfinite(list(values.values())))
                for ok, values in zip(sound, metrics, strict=True)
            ]
        states = [self.state(m) for m in range(len(self.plans))]
        for plan, state, values, ok in zip(self.plans, states, metrics, sound, strict=True):
            if not ok:
                reason = "its loss is not finite; a lower learning rate would help"
                yield Failed(plan.learner, epoch, self.step, reason)
                continue
            total, member = self.steps.total, self._member(plan)
            yield Checkpoint(plan.learner, epoch, self.step, total, state, values, member)
        if not all(sound):
            self._keep(sound, states)

    def state(self, m: int) -> LearnerState:
        """Return a copy of the state of the learner in place m."""
        slots = {name: values[m].copy() for name, values in self.rule.slots.items()}
        row, loss_sum = self.rows[m].copy(), float(self.loss_sums[m])
        return LearnerState(self.step, row, slots, loss_sum, self.steps_summed)

    def _keep(self, sound: list[bool], states: list[LearnerState]) -> None:
        kept = [m for m, ok in enumerate(sound) if ok]
        self._place(tuple(self.plans[m] for m in kept), [states[m] for m in kept])

    def _ends_epoch(self) -> bool:
        return self.steps.epochs_done(self.step) > self.steps.epochs_done(self.step - 1)

    def _member(self, plan: LearnerPlan) -> int | None:
        steps = self.member_steps[plan.learner]
        return steps.index(self.step) if self.step in steps else None

    def _epoch_metrics(self) -> list[dict[str, float]]:
        """Return each learner's numbers for the epoch that ends now, and start the next sums."""
        losses = self.loss_sums / self.steps_summed
        self.loss_sums[:] = 0
        self.steps_summed = 0
        stop = self.data.stop
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = outputs_of(self.network, self.rows, stop.read, stop.rows)
        rates, targets = self.rates(self.step - 1), stop.targets
        return [
            {
                "train/loss": float(losses[m]),
                "learning_rate": float(rates[m]),
                **stop_metrics(outputs[m], targets, self.schema),
            }
            for m in range(len(self.plans))
        ]


def stop_metrics(outputs: Floats, targets: Array, schema: Schema) -> dict[str, float]:
    """Return a learner's loss on the stop part, and its accuracy where it classifies.

    Args:
        outputs: (R, O) float32.
        targets: (R,) as base files hold them.
    """
    values = outputs.astype(np.float64)
    if schema.task == "regression":
        error = values[:, 0] - targets
        return {"stop/loss": float(0.5 * np.mean(error * error))}
    with np.errstate(invalid="ignore", over="ignore"):
        shifted = values - values.max(axis=1, keepdims=True)
        log_normaliser = np.log(np.exp(shifted).sum(axis=1))
    chosen = shifted[np.arange(len(targets)), targets]
    return {
        "stop/loss": float(np.mean(log_normaliser - chosen)),
        "stop/accuracy": float(np.mean(values.argmax(axis=1) == targets)),
    }
