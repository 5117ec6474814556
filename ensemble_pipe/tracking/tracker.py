"""Ships a run's journal to MLflow through a companion, so that a slow server delays nothing."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.messages import shell_word, truncate
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.companion import BUSY_S, Assignment, Finish
from ensemble_pipe.tracking.companion_process import STOP_S, CompanionProcess
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.journal import read_lines
from ensemble_pipe.tracking.refusals import Problem

MOST_SHOWN = 3
SHOWN_EVERY_S = 3.0
NEWS_S = 0.5
LEAST_STOP_S = 0.2


@dataclass(frozen=True)
class Patience:
    """How long to wait for MLflow, in seconds, while it answers.

    Attributes:
        most_s: in all; longer only for a large model.
        each_s: in addition for each MLflow run that there is to send.
        retry_s: for how long a failure is followed by another attempt.
        limit_s: in all, whatever there is to send.
    """

    most_s: float
    each_s: float = 0.0
    retry_s: float = 0.0
    limit_s: float = math.inf

    def within(self, seconds: float) -> "Patience":
        """Return one that lasts no longer than that."""
        return replace(self, limit_s=min(self.limit_s, seconds))


class Tracker(Protocol):
    """The contract between a run and its tracking.

    Attributes:
        problem: why the run has not been shipped completely; None if it has.
        left_out: one line on what MLflow refused permanently; "" for nothing.
        model_uri, mlflow_run_id: of what was shipped.
    """

    problem: Problem | None

    @property
    def left_out(self) -> str: ...

    @property
    def model_uri(self) -> str | None: ...

    @property
    def mlflow_run_id(self) -> str | None: ...

    def start(self) -> None:
        """Start to ship the journal, and entries as they are added; once, however often called."""
        ...

    def finish(self, patience: Patience, show: Callable[[str], None]) -> None:
        """Ship the rest, and show how far that is where it takes long."""
        ...

    def close(self) -> None:
        """End at once what `start` began."""
        ...

    def ship_again(self) -> None:
        """Start again at the beginning of a journal that was rewound; nothing is duplicated."""
        ...

    def check_cursor(self) -> None:
        """Check that the journal still holds all that was shipped of it.

        Raises:
            CorruptFileError: it does not, or the cursor is damaged.
        """
        ...


class NullTracker:
    """Ships nothing; for pipelines with `tracking.mlflow: false`."""

    problem: Problem | None = None
    left_out: str = ""
    model_uri: str | None = None
    mlflow_run_id: str | None = None

    def start(self) -> None:
        return None

    def finish(self, patience: Patience, show: Callable[[str], None]) -> None:
        return None

    def close(self) -> None:
        return None

    def ship_again(self) -> None:
        return None

    def check_cursor(self) -> None:
        return None


class MlflowTracker:
    """Has a companion ship the journal, and waits for it at the end of the run.

    Args:
        paths: of the run.
        assignment: of the companion.
        program: module that the companion runs.
    """

    def __init__(self, paths: RunPaths, assignment: Assignment, program: str) -> None:
        self.problem: Problem | None = None
        self._paths = paths
        self._cursor = Cursor.load(paths.cursor)
        self._companion = CompanionProcess(program, assignment)

    @property
    def left_out(self) -> str:
        found = [f"{truncate(what)}: {why}" for what, why in self._cursor.left_out.items()]
        more = f"; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
        return "; ".join(found[:MOST_SHOWN]) + more

    @property
    def model_uri(self) -> str | None:
        return self._cursor.model_uri

    @property
    def mlflow_run_id(self) -> str | None:
        return self._cursor.parent

    def start(self) -> None:
        self._companion.start()

    def finish(self, patience: Patience, show: Callable[[str], None]) -> None:
        until = time.monotonic() + patience.limit_s
        self._companion.tell(Finish(patience.retry_s))
        self.problem = self._wait(patience, show)
        self._companion.stop(min(STOP_S, max(LEAST_STOP_S, until - time.monotonic())))
        self._cursor = Cursor.load(self._paths.cursor)

    def close(self) -> None:
        self._companion.stop()

    def _wait(self, patience: Patience, show: Callable[[str], None]) -> Problem | None:
        """Wait for the end of the companion; return why not all is sent, None if all is."""
        began = shown = time.monotonic()
        sent_before, for_model_s = self._companion.heard[1].sent, 0.0
        last = (-1, -1)  # what was shown
        while True:
            heard_at, progress = self._companion.heard
            if progress.ended:
                return progress.problem
            sent, planned = progress.sent - sent_before, progress.planned - sent_before
            now = time.monotonic()
            silent_s = now - max(heard_at, began)
            if silent_s > max(progress.silence_s, patience.retry_s):
                return progress.problem or Problem(f"no answer for {silent_s:.0f} s", "try again")
            for_model_s = max(for_model_s, progress.silence_s - BUSY_S)
            most_s = patience.most_s + patience.each_s * planned + for_model_s
            if now - began > min(most_s, patience.limit_s):
                return Problem(_too_long(now - began), "try again")
            if planned > 0 and now - shown > SHOWN_EVERY_S and (sent, planned) != last:
                show(f"sending to MLflow: {sent} of {planned} runs so far")
                shown, last = now, (sent, planned)
            self._companion.wait_for_news(min(NEWS_S, max(0.0, began + patience.limit_s - now)))

    def ship_again(self) -> None:
        self._cursor.rewind()
        self._cursor.save(self._paths.cursor)

    def check_cursor(self) -> None:
        try:
            next(read_lines(self._paths.journal, self._cursor.offset), None)
        except CorruptFileError as error:
            resume = f"ensemble-pipe resume {shell_word(self._paths.root)}"
            raise CorruptFileError(f"{error}; `{resume}` completes it") from None


def _too_long(waited_s: float) -> str:
    whole_s = round(waited_s)
    return f"it took longer than {whole_s} s" if whole_s else "there was no time left for it"


def default_uri(output: Path) -> str:
    """Return the store for runs below `output`: MLFLOW_TRACKING_URI, or SQLite beside it."""
    configured = os.environ.get("MLFLOW_TRACKING_URI")
    return configured or sqlite_address(output.resolve().parent / "mlflow.db")


def make_tracker(
    paths: RunPaths,
    mlflow: bool,
    uri: str | None,
    experiment: str,
    register_as: str | None,
    system_metrics: bool,
    program: str,
) -> Tracker:
    """Return the tracker of a run; a store once chosen stays that of the run.

    Args:
        program: module that a companion runs, see `companion_loop.serve`.
        paths, mlflow, uri, experiment, register_as, system_metrics: of the run.
    """
    if not mlflow:
        return NullTracker()
    uri = uri or default_uri(paths.root.parent)
    assignment = Assignment(str(paths.root), uri, experiment, register_as, system_metrics)
    return MlflowTracker(paths, assignment, program)
