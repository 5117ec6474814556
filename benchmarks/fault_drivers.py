"""The driver of a run, killed at random moments, and what `resume` makes of what it leaves."""

import os
import signal
import sys
from collections.abc import Iterator
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from fault_cases import SAME, Case
from fault_runs import no_pictures, require_same, run_dir_in, sum_of, write_pipeline

import ensemble_pipe

_PACKAGE = str(Path(ensemble_pipe.__file__).parent)
_processes = get_context("forkserver")
_processes.set_forkserver_preload(["ensemble_pipe.run.pipeline", "ensemble_pipe.run.stages"])
MOMENTS = 20


class Drivers:
    """Processes that begin a run or go on with it, and are killed at a call of the package."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipeline = write_pipeline(folder)

    @cached_property
    def _undisturbed(self) -> tuple[str, int]:
        """The sum of what the undisturbed run comes to, and how many calls it makes."""
        folder = self._folder / "undisturbed"
        assert self._drive(folder, None) == 0
        return sum_of(run_dir_in(folder)), int((folder / "calls").read_text())

    def killed_at(self, number: int) -> str:
        """Kill a run at a random moment, then resume it, or begin anew where it had not begun."""
        expected, calls = self._undisturbed
        folder = self._folder / str(number)
        moment = int(np.random.default_rng(number).integers(1, calls))
        assert self._drive(folder, moment) == -signal.SIGKILL
        began = bool(list(folder.glob("runs/*/manifest.json")))
        assert self._drive(folder, None) == 0
        require_same(run_dir_in(folder), expected)
        return f"{SAME} after `resume`" if began else f"{SAME} when begun again"

    def _drive(self, folder: Path, moment: int | None) -> int | None:
        folder.mkdir(exist_ok=True)
        process = _processes.Process(target=drive, args=(self._pipeline, folder, moment))
        process.start()
        process.join()
        return process.exitcode


def drive(pipeline: Path, folder: Path, moment: int | None) -> None:
    """Begin a run in a folder, or resume the one that is there; in a process of its own."""
    from ensemble_pipe.run.pipeline import resume, run

    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.startswith(_PACKAGE):
            calls += 1
            if calls == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    found = list(folder.glob("runs/*/manifest.json"))
    with no_pictures():
        sys.setprofile(count)
        try:
            if found:
                resume(found[0].parent, inline=True)
            else:
                run(str(pipeline), output=folder / "runs", inline=True)
        finally:
            sys.setprofile(None)
    (folder / "calls").write_text(str(calls))


def killed(folder: Path, small: bool) -> Iterator[Case]:
    drivers = Drivers(folder)
    for number in range(3 if small else MOMENTS):
        yield Case(f"moment {number}", partial(drivers.killed_at, number))
