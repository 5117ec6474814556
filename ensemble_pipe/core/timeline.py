"""The timeline of a run: which stage began when, how long it took, and in how much memory."""

import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
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
        memory_bytes: the most that this process is known to have held meanwhile: where its highest
            mark rose, that, and else the most of the beginning and the end; None where unknown.
    """

    name: str
    began_s: Number
    seconds: Number
    memory_bytes: int | None = None


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
        self._process = psutil.Process()
        self._stages: list[Stage] = []
        self._lock = threading.Lock()

    @classmethod
    def of_process(cls) -> Self:
        """Return a timeline that began with this process; its imports so far are a stage of it."""
        timeline, passed_s = cls(), _age_s()
        timeline._began -= passed_s
        timeline.add("imports", 0.0, passed_s, max(timeline._held(), _highest_mark()))
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
        began_s, held, mark = self.now_s, self._held(), _highest_mark()
        try:
            yield
        finally:
            risen = _highest_mark()
            most = risen if risen > mark else max(held, self._held())
            self.add(name, began_s, self.now_s - began_s, most)

    def during(self, items: Iterator[T], first: str, others: str) -> Iterator[T]:
        """Yield items; the time before the first is one stage, and that of all others another."""
        with self.stage(first):
            found = list(islice(items, 1))
        if found:
            with self.stage(others):
                yield from found
                yield from items

    def add(
        self, name: str, began_s: float, seconds: float, memory_bytes: int | None = None
    ) -> None:
        """Record a stage that has ended; see `Stage`."""
        stage = Stage(name, round(began_s, 3), round(seconds, 3), memory_bytes)
        with self._lock:
            self._stages.append(stage)

    def _held(self) -> int:
        """Return the bytes that this process holds in memory."""
        return int(self._process.memory_info().rss)


def _highest_mark() -> int:
    """Return the most bytes that this process has held in memory; 0 where that is not known."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:  # the system is not Linux
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _age_s() -> float:
    """Return the seconds since this process was made."""
    made, system = float(psutil.Process().create_time()), float(psutil.boot_time())
    if hasattr(time, "CLOCK_BOOTTIME"):
        # Linux knows the moment of its start in whole seconds only; the time since is exact.
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - (made - system))
    return max(0.0, time.time() - made)
