"""Progress bars of a run, for terminals."""

from collections.abc import Sequence
from typing import Self

from rich import progress
from rich.console import Console
from rich.markup import escape

from ensemble_pipe.core.messages import printable
from ensemble_pipe.run.display import Silent, count_text
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import EstimatorFitted, Event, Failed, Progress
from ensemble_pipe.training.plan import LearnerPlan


def moves_cursor() -> bool:
    """Return whether the terminal at standard error can move its cursor."""
    return not Console(stderr=True).is_dumb_terminal


class Bars(Silent):
    """A bar for each learner, with its loss and the time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.percentage:>3.0f}%"),
            progress.TextColumn("{task.fields[loss]}"),
            progress.TimeRemainingColumn(),
            console=self._console,
        )
        self._tasks: dict[int, progress.TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, networks: Sequence[LearnerPlan], others: Sequence[EstimatorPlan]) -> None:
        self.message(f"training {count_text(networks, others)}")
        for learner in [plan.learner for plans in (networks, others) for plan in plans]:
            if learner in self._tasks:  # it paused
                continue
            name = f"learner {learner}"
            # A waiting learner has no total yet, so that its clock starts with its first report.
            task = self._progress.add_task(name, total=None, start=False, loss="waiting")
            self._tasks[learner] = task

    def event(self, event: Event) -> None:
        if isinstance(event, EstimatorFitted):
            how = "fitted in" if event.whole else "halted after"
            self._advance(event.learner, 1, 1, f"{how} {event.seconds:.1f} s")
        elif isinstance(event, Progress):
            self._advance(event.learner, event.step, event.total, f"loss {event.loss:.4f}")
        elif isinstance(event, Failed):
            task = self._tasks[event.learner]
            self._progress.update(task, loss=f"[red]{printable(escape(event.reason))}")
        elif event.metrics:
            # Where no rows are held out, there is the loss on the training part alone.
            part = "stop" if "stop/loss" in event.metrics else "train"
            text = f"{part} loss {event.metrics[f'{part}/loss']:.4f}"
            text = f"done, {text}" if event.finished else text
            self._advance(event.learner, event.step, event.total, text)

    def _advance(self, learner: int, step: int, total: int, text: str) -> None:
        task = self._tasks[learner]
        self._progress.start_task(task)
        self._progress.update(task, total=total, completed=step, loss=text)

    def message(self, text: str) -> None:
        if text:
            self._console.print(printable(text, "\n"), highlight=False, markup=False)
