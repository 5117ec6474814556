"""An MLflow run of what has no run directory, sent whole at its end by a process of its own.

The process imports MLflow, which takes seconds, while its parent works, and touches no store before
it is told what to send. It has a limited time: a server that does not answer delays nobody for
longer.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from ensemble_pipe.core.addresses import sqlite_path
from ensemble_pipe.tracking.companion import ANSWER_S, BUSY_S
from ensemble_pipe.tracking.companion_process import process_environment, reason_of_end
from ensemble_pipe.tracking.refusals import Problem, reason_of

PROGRAM = "ensemble_pipe.tracking.single_run_program"


@dataclass(frozen=True)
class SingleRun:
    """The contents of a run.

    Attributes:
        name: of the run.
        began_ms: in milliseconds since 1970; it ends when it is sent.
        params, tags, metrics: by name; metrics are finite.
        tables: columns by name, of each artifact by its file name, such as "findings.json".
        texts: of each artifact by its file name.
    """

    name: str
    began_ms: int
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    tables: Mapping[str, Mapping[str, Sequence[Any]]]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Sent:
    """What became of a run: its id in MLflow, or why it is not there."""

    run_id: str | None = None
    problem: Problem | None = None


class SingleRunSender:
    """A process that sends one run; leaving the context ends it.

    Args:
        uri: of the tracking server or store, with its secrets.
        experiment: its name.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri, self._experiment = uri, experiment
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._errors = self._stack.enter_context(tempfile.TemporaryFile())
        with suppress(OSError):  # without a process nothing is sent, which `send` reports
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM],
                env=process_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # a Ctrl-C at the terminal must not tear its work apart
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._stack.close()

    def send(self, run: SingleRun) -> Sent:
        """Send a run, in a limited time; whatever goes wrong is told in the result."""
        if self._process is None:
            return Sent(problem=Problem("its process could not be started", "try again"))
        message = {"uri": self._uri, "experiment": self._experiment, "run": asdict(run)}
        limit_s = ANSWER_S if sqlite_path(self._uri) is None else BUSY_S
        began = time.monotonic()
        try:
            answer, _ = self._process.communicate(json.dumps(message).encode(), limit_s)
        except subprocess.TimeoutExpired:
            return Sent(problem=Problem(f"no answer for {limit_s:.0f} s", "try again"))
        except OSError as error:
            return Sent(problem=Problem(reason_of(error), "try again"))
        if not answer:
            why = reason_of_end(self._process.returncode, self._errors)
            after = f"its process ended after {time.monotonic() - began:.0f} s: {why}"
            return Sent(problem=Problem(after, "try again"))
        values = json.loads(answer)
        return Sent(values["run_id"], values["problem"] and Problem(**values["problem"]))
