"""The executor that measures the work first, and then trains where it ends sooner."""

import time
from collections.abc import Callable, Iterator, Sequence

from ensemble_pipe.cluster.executor import Executor, Work, stacks_in
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.halting import Halted, never
from ensemble_pipe.training.loop import StackTraining
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.warmup import kind_of

# So long one stack of each kind is trained on trial.
TRIAL_S = 0.2


class AutoExecutor:
    """Trains in the calling process or on Ray, whichever is estimated to end first.

    Attributes:
        trainers: that Ray would have.
    """

    def __init__(
        self,
        start_ray: Callable[[], Executor],
        trainers: int,
        start_s: float,
        say: Callable[[str], None],
    ) -> None:
        """Choose nothing yet.

        Args:
            start_ray: starts Ray, or connects to it.
            trainers: that it would have.
            start_s: how long it takes until they train.
            say: tells the user what is chosen, and why.
        """
        self.trainers = trainers
        self._start_ray = start_ray
        self._start_s = start_s
        self._say = say
        self._chosen: Executor | None = None

    def wait(self, halted: Halted = never) -> bool:
        return self._chosen is None or self._chosen.wait(halted)  # it chooses first

    def run(
        self, work: Sequence[Work], recipe: Recipe, schema: Schema, halted: Halted = never
    ) -> Iterator[Event]:
        if self._chosen is None:
            self._chosen = self._choose(work, recipe, schema)
        yield from self._chosen.run(work, recipe, schema, halted)

    def _choose(self, work: Sequence[Work], recipe: Recipe, schema: Schema) -> Executor:
        stacks = stacks_in(work)
        here_s = training_seconds(stacks, TrainingData(recipe, schema), schema)
        there_s = self._start_s + here_s / max(1, min(self.trainers, len(stacks)))
        if len(stacks) < len(work) and self.trainers > 1:
            self._say("executor: Ray, where learners without steps are fitted side by side")
            return self._start_ray()
        if there_s < here_s:
            self._say(f"executor: Ray, {_compared(there_s, here_s, 'in this process')}")
            return self._start_ray()
        self._say(f"executor: this process, {_compared(here_s, there_s, 'on Ray')}")
        return InlineExecutor()

    def release(self) -> None:
        if self._chosen is not None:
            self._chosen.release()

    def close(self) -> None:
        if self._chosen is not None:
            self._chosen.close()


def training_seconds(stacks: Sequence[Stack], data: TrainingData, schema: Schema) -> float:
    """Estimate how long stacks train one after another, from some steps of one of each kind."""
    seconds: dict[tuple[object, ...], float] = {}
    total = 0.0
    for stack in stacks:
        plan, state = stack.plans[0], stack.states[0]
        kind = (kind_of(plan), plan.batch_rows, len(stack.plans))
        if kind not in seconds:
            seconds[kind] = _step_seconds(StackTraining(Stack(stack.plans), data, schema))
        steps = stack.last_step(data.rows) - (state.step if state else 0)
        total += seconds[kind] * steps
    return total


def _step_seconds(training: StackTraining) -> float:
    """Return the seconds of a step, without those of the first, which loads kernels."""
    with one_thread():
        training.take_step()
        began, steps = time.monotonic(), 0
        while time.monotonic() - began < TRIAL_S and training.step < training.round[1]:
            training.take_step()
            steps += 1
    return (time.monotonic() - began) / max(1, steps)


def _compared(chosen_s: float, other_s: float, other: str) -> str:
    return f"where training takes about {chosen_s:.0f} s, against {other_s:.0f} s {other}"
