"""Progress display of a run on standard error: bars on a terminal (`bars`), lines elsewhere."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from ensemble_pipe.core.terminal import is_quiet, is_verbose, say, warn
from ensemble_pipe.run.news import News
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Event, Failed, Progress
from ensemble_pipe.training.plan import LearnerPlan

LINE_EVERY_S = 1.0


class Display(Protocol):
    @property
    def forecasts(self) -> bool:
        """Whether it shows how long the run will take, so that this is worth measuring."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def begin(self, networks: Sequence[LearnerPlan], others: Sequence[EstimatorPlan]) -> None:
        """Training begins, of networks and of learners without steps."""
        ...

    def event(self, event: Event) -> None:
        """A trainer reports an event."""
        ...

    def note(self, news: News) -> None:
        """The run says something of itself."""
        ...

    def message(self, text: str) -> None:
        """Show a message to the user; empty text is not shown."""
        ...

    def warn(self, text: str) -> None:
        """Show a warning, which a quiet display shows too; empty text is not shown."""
        ...


class Silent:
    """Shows nothing."""

    forecasts = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def begin(self, networks: Sequence[LearnerPlan], others: Sequence[EstimatorPlan]) -> None:
        return None

    def event(self, event: Event) -> None:
        return None

    def note(self, news: News) -> None:
        return None

    def message(self, text: str) -> None:
        return None

    def warn(self, text: str) -> None:
        return None


class Quiet(Silent):
    """Shows warnings, and nothing else."""

    def event(self, event: Event) -> None:
        if isinstance(event, Failed):
            self.warn(f"learner {event.learner} failed: {event.reason}")

    def warn(self, text: str) -> None:
        if text:
            warn(text)


class HeldMessages:
    """Keeps messages until they are released: what is wrong with the data is then said alone."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._held: list[str] | None = []
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Keep a message, or pass it on after the release; from any thread."""
        with self._lock:
            if self._held is not None:
                self._held.append(text)
                return
        self._say(text)

    def release(self) -> None:
        """Pass on what is kept."""
        with self._lock:
            held, self._held = self._held or [], None
        for text in held:
            self._say(text)


class Lines(Quiet):
    """A plain line log, at most one line a second beside endings, or all lines."""

    def __init__(self, every_s: float = LINE_EVERY_S) -> None:
        """Begin; a line is due when the last one is so many seconds old."""
        self._every_s = every_s

    def begin(self, networks: Sequence[LearnerPlan], others: Sequence[EstimatorPlan]) -> None:
        self.message(f"training {count_text(networks, others)}")
        self._epochs = {plan.learner: plan.last_epoch or plan.epochs for plan in networks}
        self._rounds = {plan.learner for plan in others}
        self._clock = Clock()
        self._told = 0.0

    def event(self, event: Event) -> None:
        if isinstance(event, Failed):
            super().event(event)
        elif isinstance(event, EstimatorFitted):
            how = "fitted in" if event.whole else "halted after"
            self.message(f"learner {event.learner} {how} {event.seconds:.1f} s")
        elif isinstance(event, Progress) and event.learner in self._rounds:
            if self._is_due():
                left = self._clock.left(event.learner, event.step, event.total)
                self.message(
                    f"learner {event.learner}  round {event.step}/{event.total}  "
                    f"stop/loss {event.loss:.4g}  left {left} at most"
                )
        elif isinstance(event, Checkpoint) and event.metrics and self._is_due(event.finished):
            numbers = "  ".join(f"{k} {v:.4g}" for k, v in event.metrics.items())
            epochs = self._epochs[event.learner]
            left = self._clock.left(event.learner, event.epoch, epochs)
            self.message(
                f"learner {event.learner}  epoch {event.epoch}/{epochs}  {numbers}  left {left}"
            )

    def message(self, text: str) -> None:
        if text:
            say(text)

    def _is_due(self, always: bool = False) -> bool:
        """Return whether a line may be written; if so, the next one is due a second later."""
        due = always or time.monotonic() - self._told > self._every_s
        if due:
            self._told = time.monotonic()
        return due


def count_text(networks: Sequence[LearnerPlan], others: Sequence[EstimatorPlan]) -> str:
    """Return how many learners of each kind there are.

    For example "5 networks, 3 histogram_boosting and 1 linear".
    """
    counts = Counter(plan.settings.strategy for plan in others)
    words = [f"{len(networks)} network{'s' if len(networks) > 1 else ''}"] if networks else []
    words += [f"{count} {strategy}" for strategy, count in counts.items()]
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


class Clock:
    """Time left for each learner, from the time since its first report."""

    def __init__(self) -> None:
        self._first: dict[int, tuple[float, int]] = {}

    def left(self, learner: int, done: int, total: int) -> str:
        """Return the time left as h:mm:ss, or "?" at the first report."""
        now = time.monotonic()
        began, done_then = self._first.setdefault(learner, (now, done))
        if done == total:
            return "0:00:00"
        if done <= done_then:
            return "?"
        return clock_text((now - began) / (done - done_then) * (total - done))


def clock_text(seconds: float) -> str:
    """Return seconds as h:mm:ss.

    >>> clock_text(3723.9)
    '1:02:03'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def make_display() -> Display:
    """Return bars where standard error is a terminal that can move its cursor, else lines.

    `--quiet` leaves the warnings alone of it, and `--verbose` has a line for each epoch.
    """
    if is_quiet():
        return Quiet()
    lines = Lines(0.0) if is_verbose() else Lines()
    if not sys.stderr.isatty():
        return lines
    from ensemble_pipe.run.bars import Bars, moves_cursor  # rich takes a tenth of a second to load

    return Bars() if moves_cursor() else lines
