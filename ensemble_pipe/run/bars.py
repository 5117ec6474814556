"""Progress bars of a run, for terminals: of the whole, and of each learner in training."""

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ensemble_pipe.core.messages import counted, printable
from ensemble_pipe.core.terminal import is_verbose, say, warn
from ensemble_pipe.run.display import clock_text, count_text
from ensemble_pipe.run.forecast import Forecast
from ensemble_pipe.run.learner_bars import LearnerBars
from ensemble_pipe.run.news import Expected, Grown, News
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import EstimatorFitted, Event, Failed
from ensemble_pipe.training.plan import LearnerPlan

# Lines that are left free below the bars, so that the screen does not scroll.
SPARE_LINES = 1
# What is shown of the ensemble as it grows: the first of these that it has.
FIGURES = ("accuracy", "rmse")


def moves_cursor() -> bool:
    """Return whether the terminal at standard error can move its cursor."""
    return not Console(stderr=True).is_dumb_terminal


class Bars:
    """A bar for the whole run, with the time left, above those of the learners in training.

    There are as many as the terminal has lines for; a last line counts the others.
    """

    forecasts = True

    def __init__(self, console: Console | None = None) -> None:
        """Begin; `console` is by default that of standard error."""
        self._console = console or Console(stderr=True)
        self._lock = threading.RLock()
        self._forecast = Forecast()
        self._learners = LearnerBars()
        self._stage = "starting"
        self._ensemble = ""
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=4,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def begin(self, networks: Sequence[LearnerPlan], others: Sequence[EstimatorPlan]) -> None:
        self.message(f"training {count_text(networks, others)}")
        kinds = {plan.learner: "network" for plan in networks}
        kinds |= {plan.learner: plan.settings.strategy for plan in others}
        with self._lock:
            self._stage = "training"
            self._forecast.begin(kinds)
            self._learners.begin(networks, others)

    def event(self, event: Event) -> None:
        with self._lock:
            ended = isinstance(event, EstimatorFitted | Failed) or getattr(event, "finished", False)
            step, total = self._learners.take(event)
            self._forecast.advance(event.learner, step, total, ended)
        if isinstance(event, Failed):
            self.warn(f"learner {event.learner} failed: {event.reason}")

    def note(self, news: News) -> None:
        if isinstance(news, Grown):
            text = _figures(news)
            if is_verbose():
                self.message(text)
            with self._lock:
                self._ensemble = text
            return
        with self._lock:
            if isinstance(news, Expected):
                self._forecast.expect(news.seconds, news.most_s)
            else:
                self._stage = news.name
                if news.after_training:
                    self._forecast.end_training()
                    self._learners.end()

    def message(self, text: str) -> None:
        if text:
            self._print(text, say)

    def warn(self, text: str) -> None:
        if text:
            self._print(text, warn)

    def _print(self, text: str, otherwise: Callable[[str], None]) -> None:
        """Print a line above the bars, or alone where these are gone."""
        if self._live.is_started:
            self._console.print(printable(text, "\n"), highlight=False, markup=False)
        else:
            otherwise(text)

    def _render(self) -> RenderableType:
        with self._lock:
            lines = self._console.size.height - SPARE_LINES
            whole = self._whole(self._console.size.width)
            used = len(whole)
            return Group(*whole, *self._learners.render(self._console.size.width, lines - used))

    def _whole(self, width: int) -> list[RenderableType]:
        left = self._forecast.left_s
        text = f"left {'?' if left is None else clock_text(left)}"
        share = self._forecast.share
        grid = Table.grid(padding=(0, 2, 0, 0), expand=False)
        for _ in range(4):
            grid.add_column(no_wrap=True)
        bar = ProgressBar(total=1.0, completed=share, width=max(10, min(40, width - 50)))
        grid.add_row(self._stage, bar, f"{share:4.0%}", text)
        return [grid, Text(self._ensemble, no_wrap=True)] if self._ensemble else [grid]


def _figures(news: Grown) -> str:
    """Return what is known of the ensemble so far, in a line."""
    metrics = news.measure()
    names = [next(name for name in FIGURES if name in metrics), "nll"]
    figures = "  ".join(f"{name} {metrics[name]:.4f}" for name in names)
    return f"ensemble of {counted(news.members, 'member')}: validation {figures}"
