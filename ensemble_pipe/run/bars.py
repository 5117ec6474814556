"""Progress bars of a run, for terminals."""

from typing import Self

from rich import progress
from rich.console import Console
from rich.markup import escape

from ensemble_pipe.core.messages import printable
from ensemble_pipe.run.display import Silent
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

    def begin(self, plans: list[LearnerPlan]) -> None:
        for plan in plans:
            name = f"learner {plan.learner}"
            # A waiting learner has no total yet, so that its clock starts with its first report.
            task = self._progress.add_task(name, total=None, start=False, loss="waiting")
            self._tasks[plan.learner] = task

    def event(self, event: Event) -> None:
        if isinstance(event, EstimatorFitted):
            self.message(f"learner {event.learner} fitted in {event.seconds:.1f} s")
            return
        task = self._tasks.get(event.learner)
        if task is None:  # an estimator, which has no bar
            if isinstance(event, Failed):
                self.message(f"learner {event.learner} failed: {event.reason}")
            return
        if isinstance(event, Progress):
            self._advance(event.learner, event.step, event.total, f"loss {event.loss:.4f}")
        elif isinstance(event, Failed):
            self._progress.update(task, loss=f"[red]{printable(escape(event.reason))}")
        elif event.metrics:
            text = f"{'done, ' if event.finished else ''}stop loss {event.metrics['stop/loss']:.4f}"
            self._advance(event.learner, event.step, event.total, text)

    def _advance(self, learner: int, step: int, total: int, text: str) -> None:
        task = self._tasks[learner]
        self._progress.start_task(task)
        self._progress.update(task, total=total, completed=step, loss=text)

    def message(self, text: str) -> None:
        if text:
            self._console.print(printable(text, "\n"), highlight=False, markup=False)
