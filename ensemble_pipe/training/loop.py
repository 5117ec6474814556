"""The training loop of one stack: forward, loss, backward, step, checkpoint."""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.losses import Loss, SquaredError, numbers_of
from ensemble_pipe.optim import StackedAverage, StackedRule, StackedSchedule, plateau_of
from ensemble_pipe.training.boosting_rounds import BoostingRounds
from ensemble_pipe.training.divergence import divergence
from ensemble_pipe.training.events import Checkpoint, Event, Failed, Progress
from ensemble_pipe.training.first_states import first_state
from ensemble_pipe.training.halting import Halted, never
from ensemble_pipe.training.measures import layer_numbers, stop_metrics, stop_outputs
from ensemble_pipe.training.member_rows import MemberRows
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.regularization import ScheduledNumbers
from ensemble_pipe.training.stacks import Stack, batches_of
from ensemble_pipe.training.state import LearnerState, StackedState
from ensemble_pipe.training.statistics import recompute_statistics
from ensemble_pipe.training.tensors import frozen_names, segments_of

PROGRESS_EVERY_S = 0.5
# A long epoch is saved in between: after a failure, this much of it is trained again at most.
SAVE_EVERY_S = 60.0
# The most that this may take of the training time, as a part of it.
SAVE_SHARE = 0.01


def train(
    stack: Stack, data: TrainingData, schema: Schema, halted: Halted = never
) -> Iterator[Event]:
    """Train a stack to its end, or until it pauses, yielding events as they come.

    Args:
        stack: learners at the same step, alike in all that `make_stacks` groups by.
        data: the training part, and the rows that learners stop by.
        schema: of the data.
        halted: asked after each step, so one step is always taken.

    Yields:
        A `Checkpoint` of every learner at each end of an epoch, at each member, within an epoch
        after `SAVE_EVERY_S`, and where training is halted; `Progress` in between; `Failed` for a
        learner whose loss, weights or optimizer state is no longer finite, which then leaves the
        stack.
    """
    training = StackTraining(stack, data, schema)
    last_step = stack.last_step(data.rows)
    reported = -math.inf  # the first step is told at once
    saving_due = time.monotonic() + SAVE_EVERY_S
    while training.plans and training.step < last_step:
        losses = training.take_step()
        ends = halted()
        if ends or training.is_checkpoint() or time.monotonic() > saving_due:
            began = time.monotonic()
            yield from training.checkpoints()
            reported = time.monotonic()
            saving_due = reported + max(SAVE_EVERY_S, (reported - began) / SAVE_SHARE)
            if ends:
                return
        elif time.monotonic() - reported > PROGRESS_EVERY_S:
            reported = time.monotonic()
            for plan, loss in zip(training.plans, losses, strict=True):
                total = plan.end(data.rows)
                yield Progress(plan.learner, training.step, total, float(loss))


class StackTraining:
    """A stack in training.

    Attributes:
        plans: of the M learners still in it.
        steps: the numbers of steps in an epoch and in all.
        state: of the learners.
    """

    def __init__(self, stack: Stack, data: TrainingData, schema: Schema) -> None:
        first = stack.plans[0]
        self.data = data
        self.schema = schema
        self.network = first.build(schema)
        self.steps = first.steps(data.rows)
        self.loss = _network_loss(first)
        self.boosting = None if first.boosting is None else BoostingRounds(data, schema)
        pairs = zip(stack.plans, stack.states, strict=True)
        self._lay_out(stack.plans, [own or first_state(plan, schema, data) for plan, own in pairs])

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return self.state.step

    def take_step(self) -> Floats:
        """Move every learner by one step; return the losses (M,) of its batch."""
        state, batches = self.state, self.batches
        batches.read(state.step)
        self.regularization.set(state.step - self.round[0], self.round[1] - self.round[0])
        self.member_rows.read()
        # A learner that diverges is reported as such, not by warnings.
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self.bound.forward(batches.inputs, state.step)
            self.loss.evaluate(
                outputs,
                self.member_rows.targets,
                self.member_rows.weights,
                self.loss_numbers,
                self.output_gradient,
                self.losses,
            )
            self.bound.backward(self.output_gradient)
            rates, within_round = self.rates(state.step), state.step - self.round[0]
            self.rule.step(state.rows, self.gradients, rates, within_round)
        state.step += 1
        if self.average is not None:
            self.average.update(state.rows, state.step)
        state.add_losses(self.losses)
        return self.losses

    def rates(self, step: int) -> Floats:
        """Return the learning rates (M,) of step number `step`.

        A rate is learning_rate factor(step, total) plateau, where only a plateau schedule's last
        factor, which follows the loss, differs from 1.
        """
        began, ends = self.round
        plateaus = np.array([own.plateau.factor for own in self.state.counters])
        factors = self.schedule.factors(step - began, ends - began) * plateaus
        rates: Floats = self.rule.learning_rates * factors
        return rates

    def is_checkpoint(self) -> bool:
        """Whether an epoch or a cycle of any learner ends at this step."""
        return self._ends_epoch() or self.step in self.all_member_steps

    def checkpoints(self) -> Iterator[Event]:
        """Yield a checkpoint of every learner, or its failure, and drop those that are done."""
        metrics = self._measure_epoch() if self._ends_epoch() else [{} for _ in self.plans]
        going = []
        for m, values in enumerate(metrics):
            event = self._checkpoint(m, values)
            yield event
            if isinstance(event, Checkpoint) and not event.finished:
                going.append(m)
        if len(going) < len(self.plans) or self.step == self.round[1]:
            plans = tuple(self.plans[m] for m in going)
            self._lay_out(plans, [self.state.learner(m) for m in going])

    def _checkpoint(self, m: int, metrics: dict[str, float]) -> Checkpoint | Failed:
        """Return the event of the learner in place m; `metrics` is empty within an epoch."""
        plan, epoch = self.plans[m], self.steps.epochs_done(self.step)
        end = plan.end(self.data.rows)
        sums = {"loss": float(self.state.loss_sums[m])}
        reason = divergence({**metrics, **sums}, self.state.arrays(m))
        if reason is not None:
            return Failed(plan.learner, epoch, self.step, reason)
        stopped = bool(metrics) and self._observe(m, metrics)
        member = 0 if stopped else self._member(plan)
        if self.boosting is not None and member is not None:
            self.boosting.end_round(plan, self.state, m)
        state = self._state_with_member(m, member)
        reason = divergence({}, {"member": state.member_row})
        if reason is not None:
            return Failed(plan.learner, epoch, self.step, reason)
        return Checkpoint(
            plan.learner,
            epoch,
            self.step,
            end,
            state,
            metrics,
            member,
            finished=stopped or self.step == end,
            waited_s=self.data.waited_s,
        )

    def _observe(self, m: int, metrics: dict[str, float]) -> bool:
        """Update plateau and early stopping of a learner; return whether it ends here."""
        plan, counters = self.plans[m], self.state.counters[m]
        plateau, stopping = plateau_of(plan.schedule), plan.early_stopping
        if plateau is not None:
            observed = plateau.observe(counters.plateau, metrics["stop/loss"])
            counters = counters._replace(plateau=observed)
        if stopping is not None:
            waiting = stopping.observe(counters.stopping, metrics[stopping.metric])
            counters = counters._replace(stopping=waiting)
            if waiting.improved:
                self.state.slots["best"][m] = self._candidates()[m]
        self.state.counters[m] = counters
        return stopping is not None and stopping.ends(counters.stopping)

    def _measure_epoch(self) -> list[dict[str, float]]:
        """Return each learner's metrics of the epoch that ends at this step."""
        losses, rates = self.state.take_mean_loss(), self.rates(self.step - 1)
        stop = self._measure_stop() if self.data.recipe.stops else [{} for _ in self.plans]
        return [
            {"train/loss": float(losses[m]), "learning_rate": float(rates[m]), **stop[m]}
            for m in range(len(self.plans))
        ]

    def _measure_stop(self) -> list[dict[str, float]]:
        """Return each learner's metrics on the rows that it stops by."""
        with np.errstate(over="ignore", invalid="ignore"):
            rows = self._candidates()
            outputs = stop_outputs(self.network, self.plans, rows, self.data, self.numbers)
        if self.boosting is not None:
            outputs = self.boosting.add_current(self.plans, self.state, outputs)
        stops = [self.data.stop_of(plan.learner) for plan in self.plans]
        return [
            stop_metrics(
                outputs[m],
                stops[m].targets,
                plan.loss,
                stops[m].weights,
                None if plan.early_stopping is None else plan.early_stopping.metric,
            )
            for m, plan in enumerate(self.plans)
        ]

    def _candidates(self) -> Floats:
        """Return the rows (M, P) that would be members now: averages where there are some."""
        rows = self.state.rows
        return rows if self.average is None else self.average.average(rows, self.step)

    def _state_with_member(self, m: int, member: int | None) -> LearnerState:
        """Return a copy of a learner's state, with the row of a member that is not its own."""
        plan, state = self.plans[m], self.state.learner(m)
        stopping = plan.early_stopping
        best = stopping is not None and stopping.restore_best
        if member is None or not (best or plan.averaging is not None):
            return state
        row = state.slots["best"] if best else self._candidates()[m]
        if plan.averaging is not None:
            row = recompute_statistics(plan, row, self.data, self.schema, self.step)
        state.slots["member"] = row.copy()
        return state

    def _ends_epoch(self) -> bool:
        return self.steps.epochs_done(self.step) > self.steps.epochs_done(self.step - 1)

    def _member(self, plan: LearnerPlan) -> int | None:
        return plan.member_at(self.step, self.member_steps[plan.learner])

    def _lay_out(self, plans: tuple[LearnerPlan, ...], states: Sequence[LearnerState]) -> None:
        """Lay learners side by side, and bind rule, network and batches to their arrays."""
        self.plans = plans
        if not plans:
            return
        first, layout = plans[0], self.network.layout
        self.state = StackedState(states)
        self.round = first.round_at(self.step, self.data.rows)
        self.member_steps = {plan.learner: plan.member_steps(self.data.rows) for plan in plans}
        self.all_member_steps = set().union(*self.member_steps.values())
        self.rule = StackedRule(
            [plan.rule for plan in plans],
            {name: self.state.slots[name] for name in first.rule.slots},
            segments_of(layout, first.rate_factors),
        )
        self.schedule = StackedSchedule([plan.schedule for plan in plans])
        self.average = stacked_average(plans, self.state, self.data.rows)
        targets = None if self.boosting is None else self.boosting.targets(plans, self.state)
        self.batches = batches_of(plans, self.data, self.network.outputs, targets)
        self.member_rows = MemberRows(self.batches, self.network.members)
        self._bind_network()

    def _bind_network(self) -> None:
        """Bind the network to the rows, and allocate what a step writes."""
        plans, dtype, batch_rows = self.plans, self.state.rows.dtype, self.steps.batch_rows
        first, layout = plans[0], self.network.layout
        self.gradients = np.zeros((len(plans), layout.trainable), dtype)
        self.numbers = layer_numbers(plans, self.schema)
        values = {name: own.astype(dtype) for name, own in self.numbers.items()}
        self.bound = self.network.bind(
            self.state.rows,
            batch_rows,
            self.gradients,
            draws=Draws(first.seed, Purpose.LAYER, [plan.learner for plan in plans]),
            values=values,
            frozen=frozen_names(layout, first.rate_factors),
        )
        rows = batch_rows * self.network.members
        self.output_gradient = np.zeros((len(plans), rows, self.network.outputs), dtype)
        self.loss_numbers = numbers_of([_network_loss(plan) for plan in plans])
        self.regularization = ScheduledNumbers(plans, values, self.loss_numbers, self.rule)
        self.losses = np.zeros(len(plans))


def _network_loss(plan: LearnerPlan) -> Loss:
    """Return the loss of a learner's network; one in a chain is fitted by squared error."""
    return plan.loss if plan.boosting is None else SquaredError()


def stacked_average(
    plans: Sequence[LearnerPlan], state: StackedState, rows: int
) -> StackedAverage | None:
    """Return the averages of the learners of a stack over R training rows; None where none has."""
    averagings = [plan.averaging for plan in plans if plan.averaging is not None]
    if not averagings:
        return None
    slots = {name: state.slots[name] for name in averagings[0].slots}
    return StackedAverage(averagings, slots, [plan.calendar(rows) for plan in plans])
