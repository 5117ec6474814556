"""The loop that trains one stack."""

import time
from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.losses import Loss, SquaredError, numbers_of
from ensemble_pipe.optim import PlateauState, Stacked, StackedAverage, plateau_of
from ensemble_pipe.training.chains import Chains
from ensemble_pipe.training.divergence import divergence
from ensemble_pipe.training.events import Checkpoint, Event, Failed, Progress
from ensemble_pipe.training.measures import stop_metrics
from ensemble_pipe.training.plan import (
    LearnerPlan,
    LearnerState,
    Stack,
    batches_of,
    initial_state,
)
from ensemble_pipe.training.statistics import recomputed
from ensemble_pipe.training.tensors import frozen_names, segments_of

PROGRESS_EVERY_S = 0.5


def train(stack: Stack, data: TrainingData, schema: Schema) -> Iterator[Event]:
    """Train a stack to its end, yielding events as they come.

    Args:
        stack: learners at the same step, alike in all that `make_stacks` groups by.
        data: the training and stop parts.
        schema: of the data.

    Yields:
        A `Checkpoint` of every learner at each end of an epoch and at each member; `Progress`
        in between; `Failed` for a learner that is no longer finite, which then leaves the stack.
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
        rows: (M, P).
        gradients: (M, T).
        slots: what is remembered of each learner beside its row, (M, ...) each.
        counters: what is counted of each learner.
    """

    def __init__(self, stack: Stack, data: TrainingData, schema: Schema) -> None:
        self.data = data
        self.schema = schema
        plan = stack.plans[0]
        self.network = plan.build(schema)
        self.steps = plan.steps(data.rows)
        self.loss = _fitted_loss(plan)
        self.chains = None if plan.boosting is None else Chains(data, schema)
        states = [
            state or initial_state(plan, schema)
            for plan, state in zip(stack.plans, stack.states, strict=True)
        ]
        self.step = states[0].step
        self._place(stack.plans, states)

    def _place(self, plans: tuple[LearnerPlan, ...], states: list[LearnerState]) -> None:
        """Lay learners side by side and bind the network and buffers to them."""
        self.plans = plans
        if not plans:
            return
        first, learners = plans[0], [plan.learner for plan in plans]
        batch_rows = self.steps.batch_rows
        self.rows = np.stack([state.row for state in states])
        self.gradients = np.zeros((len(plans), self.network.layout.trainable), self.rows.dtype)
        self.slots = {name: np.stack([s.slots[name] for s in states]) for name in states[0].slots}
        self.counters = [dict(state.counters) for state in states]
        self.rule = Stacked(
            [plan.rule for plan in plans],
            {name: self.slots[name] for name in first.rule.slots},
            segments_of(self.network.layout, first.rate_factors),
        )
        self.average = self._stacked_average()
        self.plateaus = [PlateauState(**counters.get("plateau", {})) for counters in self.counters]
        self.member_steps = {plan.learner: plan.member_steps(self.data.rows) for plan in plans}
        ends = first.round_ends(self.data.rows)
        done = bisect_right(ends, self.step)
        self.round = (ends[done - 1] if done else 0, ends[min(done, len(ends) - 1)])
        self.bound = self.network.bind(
            self.rows,
            batch_rows,
            self.gradients,
            draws=Draws(first.seed, Purpose.LAYER, learners),
            values=_values(plans, self.schema),
            frozen=frozen_names(self.network.layout, first.rate_factors),
        )
        self.batches = batches_of(plans, self.data, self.network.outputs, self._own_targets())
        shape = (len(plans), batch_rows, self.network.outputs)
        self.output_gradient = np.zeros(shape, self.rows.dtype)
        self.loss_numbers = numbers_of([_fitted_loss(plan) for plan in plans])
        self.losses = np.zeros(len(plans))
        self.loss_sums = np.array([counters.get("loss_sum", 0.0) for counters in self.counters])
        self.steps_summed = self.counters[0].get("steps_summed", 0.0)

    def take_step(self) -> Floats:
        """Move every learner by one step; return the losses (M,) of its batch."""
        self.batches.read(self.step)
        # A learner that diverges is told of as such, not by warnings.
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self.bound.forward(self.batches.inputs, self.step)
            self.loss.evaluate(
                outputs,
                self.batches.targets,
                self.batches.weights,
                self.loss_numbers,
                self.output_gradient,
                self.losses,
            )
            self.bound.backward(self.output_gradient)
            rates, within = self.rates(self.step), self.step - self.round[0]
            self.rule.step(self.rows, self.gradients, rates, within)
        self.step += 1
        if self.average is not None:
            self.average.update(self.rows, self.step)
        self.loss_sums += self.losses
        self.steps_summed += 1
        return self.losses

    def rates(self, step: int) -> Floats:
        """Return the learning rates (M,) of step number `step`."""
        began, ends = self.round
        factors = [
            plan.schedule.factor(step - began, ends - began) * plateau.factor
            for plan, plateau in zip(self.plans, self.plateaus, strict=True)
        ]
        return self.rule.rate(np.array(factors))

    def is_checkpoint(self) -> bool:
        """Whether an epoch or a cycle of any learner ends at this step."""
        return self._ends_epoch() or any(self._member(plan) is not None for plan in self.plans)

    def checkpoints(self) -> Iterator[Event]:
        """Yield a checkpoint of every learner, or its failure, and drop those that are done."""
        epoch, ends_epoch = self.steps.epochs_done(self.step), self._ends_epoch()
        metrics = self._epoch_metrics() if ends_epoch else [{} for _ in self.plans]
        going = []
        for m, (plan, values) in enumerate(zip(self.plans, metrics, strict=True)):
            reason = divergence({**values, "loss": self.loss_sums[m]}, self._arrays(m))
            if reason is not None:
                yield Failed(plan.learner, epoch, self.step, reason)
                continue
            stopped = ends_epoch and self._observe(m, values)
            finished = stopped or self.step == self.steps.total
            member = 0 if stopped else self._member(plan)
            if self.chains is not None and member is not None:
                self._end_round(m)
            state = self.state(m)
            if member is not None:
                state.slots.update(self._member_row(m))
            reason = divergence({}, {"member": state.member_row})
            if reason is not None:
                yield Failed(plan.learner, epoch, self.step, reason)
                continue
            if not finished:
                going.append(m)
            total, waited = self.steps.total, self.data.waited_s
            yield Checkpoint(
                plan.learner, epoch, self.step, total, state, values, member, finished, waited
            )
        changed = len(going) < len(self.plans) or self.step == self.round[1]
        if changed and self.step < self.steps.total:
            states = [self.state(m) for m in going]
            self._place(tuple(self.plans[m] for m in going), states)

    def state(self, m: int) -> LearnerState:
        """Return a copy of the state of the learner in place m."""
        slots = {name: values.copy() for name, values in self._arrays(m).items()}
        counters = {
            **self.counters[m],
            "loss_sum": float(self.loss_sums[m]),
            "steps_summed": self.steps_summed,
            "plateau": self.plateaus[m]._asdict(),
        }
        return LearnerState(self.step, slots.pop("row"), slots, counters)

    def _arrays(self, m: int) -> dict[str, Floats]:
        """Return the row and the slots of the learner in place m, as views."""
        return {"row": self.rows[m], **{name: values[m] for name, values in self.slots.items()}}

    def _stacked_average(self) -> StackedAverage | None:
        averagings = [plan.averaging for plan in self.plans if plan.averaging is not None]
        if not averagings:
            return None
        slots = {name: self.slots[name] for name in averagings[0].slots}
        calendars = [plan.calendar(self.data.rows) for plan in self.plans]
        return StackedAverage(averagings, slots, calendars)

    def _own_targets(self) -> list[Floats] | None:
        """Return what each learner's network is fitted to, where that is not the data's targets."""
        if self.chains is None:
            return None
        known = zip(self.plans, self.slots["chain"], self.counters, strict=True)
        return [
            self.chains.targets(plan, rows, own.get("factors", [])) for plan, rows, own in known
        ]

    def _end_round(self, m: int) -> None:
        """Put a learner's network into its chain, and begin the next one anew."""
        plan, counters = self.plans[m], self.counters[m]
        factors = [*counters.get("factors", []), counters.pop("factor")]
        counters["factors"] = factors
        self.slots["chain"][m, len(factors) - 1] = self.rows[m]
        fresh = initial_state(plan, self.schema, number=len(factors))
        self.rows[m] = fresh.row
        for name in plan.rule.slots:
            self.slots[name][m] = fresh.slots[name]
        self.plateaus[m] = PlateauState()

    def _observe(self, m: int, metrics: dict[str, float]) -> bool:
        """Take in a learner's epoch; return whether it ends here."""
        plan, counters = self.plans[m], self.counters[m]
        plateau = plateau_of(plan.schedule)
        if plateau is not None:
            self.plateaus[m] = plateau.observe(self.plateaus[m], metrics["stop/loss"])
        stopping = plan.early_stopping
        if stopping is None:
            return False
        if stopping.observe(counters, metrics[stopping.metric]):
            self.slots["best"][m] = self._candidates()[m]
        return stopping.ends(counters)

    def _candidates(self) -> Floats:
        """Return the rows (M, P) that would be members now: averages where there are some."""
        return self.rows if self.average is None else self.average.average(self.rows, self.step)

    def _member_row(self, m: int) -> dict[str, Floats]:
        """Return the row of a learner's member as a slot, where it is not the learner's own."""
        plan = self.plans[m]
        if plan.early_stopping is not None and plan.early_stopping.restore_best:
            row = self.slots["best"][m]
        elif plan.averaging is not None:
            row = self._candidates()[m]
        else:
            return {}
        if plan.averaging is not None:
            row = recomputed(plan.build(self.schema), plan, row, self.data, self.step)
        return {"member": row.copy()}

    def _extended(self, m: int, outputs: Floats) -> Floats:
        """Return the outputs (R, O) on the stop part of a chain with the network under way."""
        assert self.chains is not None
        factor, sums = self.chains.extended(self.plans[m], outputs)
        self.counters[m]["factor"] = factor
        return sums

    def _ends_epoch(self) -> bool:
        return self.steps.epochs_done(self.step) > self.steps.epochs_done(self.step - 1)

    def _member(self, plan: LearnerPlan) -> int | None:
        return plan.member_at(self.step, self.member_steps[plan.learner])

    def _epoch_metrics(self) -> list[dict[str, float]]:
        """Return each learner's numbers for the epoch that ends now, and start the next sums."""
        losses = self.loss_sums / self.steps_summed
        self.loss_sums[:] = 0
        self.steps_summed = 0
        stop = self.data.stop
        with np.errstate(over="ignore", invalid="ignore"):
            values = _values(self.plans, self.schema)
            masks = [self.data.mask(plan.learner, plan.view) for plan in self.plans]
            outputs = outputs_of(
                self.network, self._candidates(), stop.read, stop.rows, values, masks
            )
        if self.chains is not None:
            outputs = np.stack([self._extended(m, outputs[m]) for m in range(len(outputs))])
        rates, targets, weights = self.rates(self.step - 1), stop.targets, stop.weights
        return [
            {
                "train/loss": float(losses[m]),
                "learning_rate": float(rates[m]),
                **stop_metrics(outputs[m], targets, plan.loss, weights),
            }
            for m, plan in enumerate(self.plans)
        ]


def _fitted_loss(plan: LearnerPlan) -> Loss:
    """Return the loss of a learner's network; a chain's own loss says what it is fitted to."""
    return plan.loss if plan.boosting is None else SquaredError()


def _values(plans: tuple[LearnerPlan, ...], schema: Schema) -> dict[str, Floats]:
    """Return the numbers of each learner's layers, (M,) each."""
    values = [plan.build(schema).values for plan in plans]
    return {name: np.array([own[name] for own in values]) for name in values[0]}
