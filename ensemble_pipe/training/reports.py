"""Progress of fits that return only at their end: they run in a thread, and report from there."""

import time
from collections.abc import Callable, Generator
from queue import SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import TypeVar

from ensemble_pipe.training.events import Progress
from ensemble_pipe.training.halting import Halted, never

T = TypeVar("T")
# report(step, total, loss), called after each round, returns whether the fit is to end with the
# rounds that it has, and raises where nobody waits for it any more. Without a loss it is not shown.
Report = Callable[[int, int, float | None], bool]

REPORT_EVERY_S = 0.5


class NothingFittedError(Exception):
    """A fit was to end before it had anything to keep."""


class _EndedError(Exception):
    """Nobody waits for the fit any more."""


def unreported(step: int, total: int, loss: float | None) -> bool:
    """Return False: a fit that reports to nobody goes on to its end."""
    return False


def reported(
    learner: int, fit: Callable[[Report], T], halted: Halted = never
) -> Generator[Progress, None, tuple[T, bool]]:
    """Yield the progress of a fit: after its first round, then twice a second.

    Return its result, and whether it went to its end. Closing the generator ends the fit after its
    round. An error of the fit is raised here.

    Args:
        learner: its id.
        fit: fit(report) does the work.
        halted: asked after each round, whether the fit is to end with those that it has.
    """
    found: SimpleQueue[Progress | T | BaseException] = SimpleQueue()
    ended, cut, last = Flag(), Flag(), [0.0]

    def report(step: int, total: int, loss: float | None) -> bool:
        if ended.is_set():
            raise _EndedError
        now = time.monotonic()
        if loss is not None and now - last[0] >= REPORT_EVERY_S:
            last[0] = now
            found.put(Progress(learner, step, total, loss))
        if halted():
            cut.set()
        return cut.is_set()

    def work() -> None:
        try:
            found.put(fit(report))
        except BaseException as error:  # raised again where it is waited for
            found.put(error)

    thread = Thread(target=work, name=f"learner {learner}", daemon=True)
    thread.start()
    try:
        while isinstance(item := found.get(), Progress):
            yield item
    finally:
        ended.set()
        thread.join()
    if isinstance(item, BaseException):
        raise item
    return item, not cut.is_set()
