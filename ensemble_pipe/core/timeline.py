"""The timeline of a run: which stage began when, and how long it took."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeVar

import psutil

from ensemble_pipe.core.documents import Number

T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """A stage of a run; stages may overlap.

    Attributes:
        name: such as "data", "training" or "report".
        began_s: seconds from the beginning of the timeline.
        seconds: how long it took.
    """

    name: str
    began_s: Number
    seconds: Number


def seconds_of(stages: Iterable[Stage]) -> dict[str, float]:
    """Return the seconds of each stage by name; a name may stand for several parts.

    >>> seconds_of([Stage("training", 0.0, 1.5), Stage("training", 2.0, 1.0)])
    {'training': 2.5}
    """
    found: dict[str, float] = {}
    for stage in stages:
        found[stage.name] = found.get(stage.name, 0.0) + stage.seconds
    return found


class Timeline:
    """Records stages, from any thread, in the order in which they end."""

    def __init__(self) -> None:
        """Begin now."""
        self._began = time.monotonic()
        self._stages: list[Stage] = []
        self._lock = threading.Lock()

    @classmethod
    def of_process(cls) -> Self:
        """Return a timeline that began with this process; its imports so far are a stage of it."""
        timeline, passed_s = cls(), _age_s()
        timeline._began -= passed_s
        timeline.add("imports", 0.0, passed_s)
        return timeline

    @property
    def stages(self) -> list[Stage]:
        """The stages that have ended, by their beginning."""
        with self._lock:
            return sorted(self._stages, key=lambda stage: stage.began_s)

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record the block as a stage, however it ends."""
        began_s = self.now_s
        try:
            yield
        finally:
            self.add(name, began_s, self.now_s - began_s)

    def during(self, items: Iterator[T], first: str, others: str) -> Iterator[T]:
        """Yield items; the time before the first is one stage, and that of all others another."""
        with self.stage(first):
            found = list(islice(items, 1))
        if found:
            with self.stage(others):
                yield from found
                yield from items

    def add(self, name: str, began_s: float, seconds: float) -> None:
        """Record a stage that has ended."""
        with self._lock:
            self._stages.append(Stage(name, round(began_s, 3), round(seconds, 3)))


def _age_s() -> float:
    """Return the seconds since this process was made."""
    made, system = float(psutil.Process().create_time()), float(psutil.boot_time())
    if hasattr(time, "CLOCK_BOOTTIME"):
        # Linux knows the moment of its start in whole seconds only; the time since is exact.
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - (made - system))
    return max(0.0, time.time() - made)
