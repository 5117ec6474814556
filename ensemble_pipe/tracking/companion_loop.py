"""The companion of a run: ships its journal to MLflow, in a process of its own.

So MLflow's imports, calls and global state are not those of the process that trains.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from ensemble_pipe.core.addresses import is_server
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.companion import (
    ANSWER_S,
    BUSY_S,
    Assignment,
    Finish,
    Progress,
    line_of,
)
from ensemble_pipe.tracking.journal import Line, read_lines
from ensemble_pipe.tracking.kinds import Entry
from ensemble_pipe.tracking.refusals import Problem, problem_of
from ensemble_pipe.tracking.shipping import LogModel, Shipper
from ensemble_pipe.tracking.system_metrics import Sampler, make_sampler

POLL_S = 1.0
RETRY_S = 5.0
# Live curves take at most this share of the time: with many learners they are sent less often,
# but every few seconds.
LIVE_SHARE = 0.25
MOST_PAUSE_S = 10.0
# Entries that are sent before the cursor is saved.
MOST_ENTRIES = 5000
# The slowest connection that a model is still sent over, in bytes a second.
MODEL_RATE = 1e6


class Companion:
    """Ships entries as they are added to a journal, until it is told to finish.

    Args:
        paths: of the run.
        uri, experiment, log_model: as for `Shipper`.
        samples: whether the machine is measured until the run ends.
        prepare: called once, when nothing else is to be done, before a model is logged.
        tell: called with each message to the driver.
    """

    def __init__(
        self,
        paths: RunPaths,
        uri: str,
        experiment: str,
        log_model: LogModel,
        samples: bool,
        prepare: Callable[[], None],
        tell: Callable[[Progress], None],
    ) -> None:
        self._paths, self._prepare, self._tell = paths, prepare, tell
        self._shipper = Shipper(paths, uri, experiment, log_model, self._on_step, self._on_sent)
        self._answer_s = ANSWER_S if is_server(self._shipper.uri) else BUSY_S
        self._samples = samples
        self._sampler: Sampler | None = None
        self._sent = self._planned = 0
        self._problem: Problem | None = None
        self._shipping_s = 0.0
        self._ending = threading.Event()
        self._last_try = 0.0
        self._asked = False  # whether MLflow has what the cursor says

    def finish(self, retry_s: float) -> None:
        """Let `run` return when all is shipped, or fails later than `retry_s` from now."""
        self._last_try = time.monotonic() + retry_s
        self._ending.set()

    def run(self) -> None:
        """Ship until told to finish, and report each step."""
        prepared = False
        while True:
            last_look = self._ending.is_set()
            self._problem = self._ship_new()
            self._report(self._answer_s)
            over = time.monotonic() > self._last_try
            if last_look and (self._problem is None or self._problem.lasting or over):
                return
            if last_look:
                time.sleep(POLL_S)
                continue
            if not prepared:
                self._report(BUSY_S)
                with suppress(Exception):  # logging a model reports what is wrong
                    self._prepare()
                prepared = True
            self._ending.wait(RETRY_S if self._problem else self._pause_s)

    @property
    def last(self) -> Progress:
        """The last message to the driver."""
        return Progress(self._sent, self._planned, self._answer_s, self._problem, ended=True)

    @property
    def _pause_s(self) -> float:
        return min(max(POLL_S, self._shipping_s * (1 / LIVE_SHARE - 1)), MOST_PAUSE_S)

    def _ship_new(self) -> Problem | None:
        """Ship what is new in the journal; return why that failed, None if it did not."""
        try:
            if self._paths.journal.is_file():
                self._shipper.open()
                self._sample()
                began = time.monotonic()
                lines = self._unsent()
                for first in range(0, len(lines), MOST_ENTRIES):
                    part = lines[first : first + MOST_ENTRIES]
                    self._ship([line.entry for line in part], part[-1].end)
                self._shipping_s = time.monotonic() - began
        except Exception as error:
            # No failure of a tracking server may end a training; the driver reports it.
            return problem_of(error, self._shipper.uri)
        return None

    def _sample(self) -> None:
        """Measure the machine if that is wanted, from when MLflow is reached first."""
        if self._samples and self._sampler is None:
            # Not earlier: a silent server would be waited for while MLflow is imported, too.
            self._sampler = make_sampler()
        if self._sampler is not None:
            self._sampler.take()

    def _ship(self, entries: list[Entry], offset: int) -> None:
        """Ship entries, and with them what was sampled since the last ones."""
        samples = () if self._sampler is None else tuple(self._sampler.kept)
        self._shipper.ship(entries, offset, samples)
        if self._sampler is not None:
            self._sampler.sent(len(samples))

    def _unsent(self) -> list[Line]:
        """Return the lines that MLflow lacks; whether it has what it had is asked beside."""
        path, shipper = self._paths.journal, self._shipper
        lines = list(read_lines(path, shipper.cursor.offset))
        if lines or not self._asked:
            shipper.send_anew_if_lost()
            self._asked = True
        return lines if shipper.cursor.offset else list(read_lines(path))

    def _on_step(self, kind: Literal["open", "model"]) -> None:
        if kind == "model":
            size = sum(path.stat().st_size for path in self._paths.model.iterdir())
            self._report(BUSY_S + size / MODEL_RATE)
        else:
            self._report(self._answer_s)

    def _on_sent(self, sent: int, planned: int) -> None:
        self._sent, self._planned = sent, planned
        self._report(self._answer_s)

    def _report(self, silence_s: float) -> None:
        self._tell(Progress(self._sent, self._planned, silence_s, self._problem))


def serve(
    commands: IO[bytes],
    answers: IO[bytes],
    log_model_of: Callable[[Assignment], LogModel],
    prepare: Callable[[], None],
) -> None:
    """Ship what the first of the commands says, until the next one; then end this process.

    Args:
        commands: of the driver; their end ends this process at once.
        answers: to the driver.
        log_model_of: makes what logs a model.
        prepare: as for `Companion`.
    """

    def tell(progress: Progress) -> None:
        answers.write(line_of(progress))
        answers.flush()

    tell(Progress())
    assignment = Assignment(**json.loads(commands.readline()))
    paths = RunPaths(Path(assignment.root))
    companion = Companion(
        paths,
        assignment.uri,
        assignment.experiment,
        log_model_of(assignment),
        assignment.samples,
        prepare,
        tell,
    )

    def listen() -> None:
        while line := commands.readline():
            companion.finish(Finish(**json.loads(line)).retry_s)
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    companion.run()
    tell(companion.last)
    os._exit(0)  # all is sent and saved; Python's own end takes seconds with MLflow
