"""Searches in processes of their own, killed at a chosen call of one of the package's functions."""

import json
import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline

_PACKAGE = str(Path(ensemble_pipe.__file__).parent)

# A stage of a search begins with the first call of a function of this name, in this file.
STAGES = {
    "start-up": ("pipeline.py", "search"),
    "training": ("course.py", "events"),
    "between batches": ("course.py", "_grow"),
    "combining": ("course.py", "select"),
}
Moment = tuple[str, int]  # so many calls after the beginning of a stage

_processes = get_context("forkserver")
_processes.set_forkserver_preload(
    ["ensemble_pipe.search.pipeline", "ensemble_pipe.search.optuna_studies", "sklearn.linear_model"]
)


@dataclass(frozen=True)
class Ended:
    """How a process ended: by itself, with the calls until each stage and in all, or killed."""

    killed: bool
    calls: dict[str, int]


class Calls:
    """Counts the calls of the package's functions, and kills this process at a moment."""

    def __init__(self, moment: Moment | None) -> None:
        self.calls = {"all": 0}
        self._moment = moment

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return
        self.calls["all"] += 1
        for stage, (file, name) in STAGES.items():
            if code.co_name == name and code.co_filename.endswith(f"/search/{file}"):
                self.calls.setdefault(stage, self.calls["all"])
        if self._moment is not None:
            stage, calls = self._moment
            if self.calls["all"] == self.calls.get(stage, -1) + calls:
                os.kill(os.getpid(), signal.SIGKILL)


def go_on(config: Pipeline, folder: Path, moment: Moment | None = None) -> Ended:
    """Begin a search in a folder, or resume it there, in a process that may be killed.

    Args:
        config: of the search.
        folder: where its run directory is made, if it has none.
        moment: to be killed at; None for never.
    """
    folder.mkdir(exist_ok=True)
    process = _processes.Process(target=_work, args=(config, folder, moment))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    if process.exitcode != 0:
        return Ended(True, {})
    return Ended(False, json.loads((folder / "calls.json").read_text()))


def run_dirs_in(folder: Path) -> list[Path]:
    """Return the run directories in a folder, but for those whose data were not ready."""
    return [path.parent for path in folder.glob("runs/*/manifest.json")]


def _work(config: Pipeline, folder: Path, moment: Moment | None) -> None:
    from ensemble_pipe.report import drawing
    from ensemble_pipe.search import course
    from ensemble_pipe.search.pipeline import resume, search

    counter = Calls(moment)
    with (
        mock.patch.object(drawing, "svg_of", return_value=""),
        mock.patch.object(course, "search_pictures", return_value={}),
    ):
        sys.setprofile(counter)
        try:
            if run_dirs_in(folder):
                resume(run_dirs_in(folder)[0], inline=True)
            else:
                search(config, output=folder / "runs", inline=True)
        finally:
            sys.setprofile(None)
    (folder / "calls.json").write_text(json.dumps(counter.calls))
