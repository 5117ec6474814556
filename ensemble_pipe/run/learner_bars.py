"""The lines of the learners in training: bar, epoch, loss, rate and rows a second of each."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Event, Failed, Progress
from ensemble_pipe.training.plan import LearnerPlan

# The width of all that stands beside a bar.
BESIDE = 68


@dataclass
class _Line:
    """Where a learner stands.

    Attributes:
        epochs: of a network; 0 for learners in rounds.
        batch_rows: rows of a step; 0 where that is not known.
        step, total: taken, and at most; total 0 before it begins.
        loss: the last one, with the part that it is of.
        rate: learning rate of its last epoch, as text.
        rows_s: rows a second.
        ended: whether its training has ended.
    """

    epochs: int
    batch_rows: int
    step: int = 0
    total: int = 0
    loss: str = ""
    rate: str = ""
    rows_s: float = 0.0
    ended: bool = False
    seen: tuple[float, int] | None = None

    @property
    def is_shown(self) -> bool:
        return self.total > 0 and not self.ended

    @property
    def place(self) -> str:
        """The epoch, or round, of how many."""
        if not self.epochs:
            return f"round {self.step}/{self.total}"
        epoch = min(self.epochs, self.step * self.epochs // max(1, self.total) + 1)
        return f"epoch {epoch}/{self.epochs}"

    @property
    def speed(self) -> str:
        """Rows a second, in three digits."""
        if not self.rows_s:
            return ""
        for unit, size in (("M", 1e6), ("k", 1e3)):
            if self.rows_s >= size:
                return f"{self.rows_s / size:.3g}{unit} rows/s"
        return f"{self.rows_s:.0f} rows/s"

    def advance(self, step: int, total: int, now: float) -> None:
        if self.seen is not None and step > self.seen[1] and now > self.seen[0]:
            self.rows_s = (step - self.seen[1]) * self.batch_rows / (now - self.seen[0])
        if self.seen is None or now - self.seen[0] > 0.4:
            self.seen = now, step
        self.step, self.total = step, total


class LearnerBars:
    """The lines of all learners."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without learners; `clock` returns seconds."""
        self._clock = clock
        self._lines: dict[int, _Line] = {}

    def end(self) -> None:
        """Training has ended: show no learner any more."""
        self._lines.clear()

    def begin(self, networks: Sequence[LearnerPlan], others: Sequence[EstimatorPlan]) -> None:
        """Add learners; those that paused stay where they were."""
        for plan in networks:
            epochs = plan.last_epoch or plan.epochs
            self._lines.setdefault(plan.learner, _Line(epochs, plan.batch_rows or 0))
        for other in others:
            self._lines.setdefault(other.learner, _Line(0, 0))

    def take(self, event: Event) -> tuple[int, int]:
        """Take what a learner reports; return its steps taken, and of its training at most."""
        line, now = self._lines[event.learner], self._clock()
        if isinstance(event, Progress):
            line.advance(event.step, event.total, now)
            line.loss = f"loss {event.loss:.4f}"
        elif isinstance(event, Checkpoint):
            line.advance(event.step, event.total, now)
            if event.metrics:
                # Where no rows are held out, there is the loss on the training part alone.
                part = "stop" if "stop/loss" in event.metrics else "train"
                line.loss = f"{part} {event.metrics[f'{part}/loss']:.4f}"
                rate = event.metrics.get("learning_rate")
                line.rate = "" if rate is None else f"rate {rate:.2g}"
            line.ended = line.ended or event.finished
        elif isinstance(event, EstimatorFitted):
            line.step = line.total = max(line.total, 1)
            line.ended = True
        elif isinstance(event, Failed):
            line.ended = True
        return line.step, line.total

    def render(self, width: int, lines: int) -> list[RenderableType]:
        """Return what is shown in so many lines of a terminal so wide."""
        training = [(learner, line) for learner, line in self._lines.items() if line.is_shown]
        fits = len(training) <= lines - 1
        shown = training if fits else training[: max(0, lines - 1)]
        grid = Table.grid(padding=(0, 2, 0, 0))
        for place in range(6):
            grid.add_column(no_wrap=True, justify="left" if place < 3 else "right")
        bar_width = max(6, min(40, width - BESIDE))
        for learner, line in shown:
            bar = ProgressBar(total=line.total, completed=line.step, width=bar_width)
            cells = line.place, line.loss, line.rate, line.speed
            grid.add_row(f"learner {learner}", bar, *cells)
        found: list[RenderableType] = [grid] if shown else []
        rest = self._rest(len(training) - len(shown))
        return [*found, Text(rest, no_wrap=True)] if rest and lines > 0 else found

    def _rest(self, hidden: int) -> str:
        ended = sum(line.ended for line in self._lines.values())
        waiting = sum(not line.total and not line.ended for line in self._lines.values())
        counts = {"more in training": hidden, "waiting": waiting, "done": ended}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
