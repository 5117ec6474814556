"""Progress of fits that return only at their end: they run in a thread, and report from there."""

import time
from collections.abc import Callable, Generator
from queue import SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import TypeVar

from ensemble_pipe.training.events import Progress

T = TypeVar("T")
# report(step, total, loss), called after each round; raises where the fit is to end.
Report = Callable[[int, int, float], None]

REPORT_EVERY_S = 0.5


class _EndedError(Exception):
    """Nobody waits for the fit any more."""


def reported(learner: int, fit: Callable[[Report], T]) -> Generator[Progress, None, T]:
    """Yield the progress of a fit: after its first round, then twice a second; return its result.

    Closing the generator ends the fit after its round. An error of the fit is raised here.

    Args:
        learner: its id.
        fit: fit(report) does the work.
    """
    found: SimpleQueue[Progress | T | BaseException] = SimpleQueue()
    ended, last = Flag(), [0.0]

    def report(step: int, total: int, loss: float) -> None:
        if ended.is_set():
            raise _EndedError
        now = time.monotonic()
        if now - last[0] >= REPORT_EVERY_S:
            last[0] = now
            found.put(Progress(learner, step, total, loss))

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
    return item
