"""Ships a run's journal to MLflow in a thread, so that a slow or absent server delays nothing."""

import os
import threading
import time
from pathlib import Path
from typing import Protocol

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.messages import truncate
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.journal import read_lines
from ensemble_pipe.tracking.refusals import Problem, problem_of
from ensemble_pipe.tracking.shipping import LogModel, Shipper

POLL_S = 1.0
RETRY_S = 5.0
MOST_SHOWN = 3


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
        """Start to ship the journal, and entries as they are added."""
        ...

    def finish(self, timeout_s: float, keep_trying: bool = False) -> None:
        """Ship the rest within a time; stop at a failure, or keep trying."""
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

    def finish(self, timeout_s: float, keep_trying: bool = False) -> None:
        return None

    def ship_again(self) -> None:
        return None

    def check_cursor(self) -> None:
        return None


class MlflowTracker:
    """One thread that reads the journal and sends it in batches, with a saved cursor."""

    def __init__(self, paths: RunPaths, uri: str, experiment: str, log_model: LogModel) -> None:
        self.problem: Problem | None = None
        self._paths = paths
        self._shipper = Shipper(paths, uri, experiment, log_model)
        self._ending = threading.Event()
        # Not `Thread.join`: Python 3.11 takes a thread for ended once a signal has broken a join.
        self._ended = threading.Event()
        self._last_try = 0.0
        self._thread = threading.Thread(target=self._ship_all, name="mlflow", daemon=True)

    @property
    def left_out(self) -> str:
        found = [f"{truncate(what)}: {why}" for what, why in self._shipper.cursor.left_out.items()]
        more = f"; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
        return "; ".join(found[:MOST_SHOWN]) + more

    @property
    def model_uri(self) -> str | None:
        return self._shipper.cursor.model_uri

    @property
    def mlflow_run_id(self) -> str | None:
        return self._shipper.cursor.parent

    def start(self) -> None:
        self._thread.start()

    def finish(self, timeout_s: float, keep_trying: bool = False) -> None:
        self._last_try = time.monotonic() + (timeout_s if keep_trying else 0.0)
        self._ending.set()
        if not self._ended.wait(timeout_s) and self.problem is None:
            self.problem = Problem(f"it took longer than {timeout_s:.0f} s", "try again")

    def ship_again(self) -> None:
        self._shipper.ship_again()

    def check_cursor(self) -> None:
        try:
            next(read_lines(self._paths.journal, self._shipper.cursor.offset), None)
        except CorruptFileError as error:
            resume = f"ensemble-pipe resume {self._paths.root}"
            raise CorruptFileError(f"{error}; `{resume}` completes it") from None

    def _ship_all(self) -> None:
        try:
            self._ship_until_ended()
        finally:
            self._ended.set()

    def _ship_until_ended(self) -> None:
        while True:
            last_look = self._ending.is_set()
            try:
                self._ship_new()
                self.problem = None
            except Exception as error:
                # No failure of a tracking server may end a training; `problem` reports it.
                self.problem = problem_of(error, self._shipper.uri)
                over = self.problem.lasting or time.monotonic() > self._last_try
                if last_look and over:
                    return
                if last_look:
                    time.sleep(POLL_S)
                else:
                    self._ending.wait(RETRY_S)
                continue
            if last_look:
                return
            self._ending.wait(POLL_S)

    def _ship_new(self) -> None:
        if not self._paths.journal.is_file():
            return
        lines = list(read_lines(self._paths.journal, self._shipper.cursor.offset))
        if lines:
            self._shipper.ship([line.entry for line in lines], lines[-1].end)


def default_uri(output: Path) -> str:
    """Return the store for runs below `output`: MLFLOW_TRACKING_URI, or SQLite beside it."""
    configured = os.environ.get("MLFLOW_TRACKING_URI")
    return configured or sqlite_address(output.resolve().parent / "mlflow.db")


def make_tracker(
    paths: RunPaths, mlflow: bool, uri: str | None, experiment: str, log_model: LogModel
) -> Tracker:
    """Return the tracker of a run; a store once chosen stays that of the run."""
    if not mlflow:
        return NullTracker()
    return MlflowTracker(paths, uri or default_uri(paths.root.parent), experiment, log_model)
