"""Progress of a computation of many equal steps, on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ensemble_pipe.core.terminal import is_quiet, say

LINE_EVERY_S = 5.0


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Give advance(done, total): a bar on a terminal that moves its cursor, else lines.

    With `--quiet` nothing is shown.
    """
    if sys.stderr.isatty() and not is_quiet():
        from ensemble_pipe.run.bars import moves_cursor

        if moves_cursor():
            with _bar(title) as advance:
                yield advance
            return
    yield _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    from rich import progress as bars
    from rich.console import Console

    with bars.Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _lines(title: str) -> Callable[[int, int], None]:
    """Return advance(done, total), which writes a line every few seconds."""
    from ensemble_pipe.run.display import Clock

    clock, told = Clock(), [time.monotonic()]

    def advance(done: int, total: int) -> None:
        left = clock.left(0, done, total)
        if time.monotonic() - told[0] > LINE_EVERY_S:
            told[0] = time.monotonic()
            say(f"{title}: {done} of {total} predictions, left {left}")

    return advance
