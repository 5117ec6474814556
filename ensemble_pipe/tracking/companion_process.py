"""The companion of a run as its driver has it: a process that is started, heard and stopped."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from typing import IO

from ensemble_pipe.core.addresses import mask_secrets
from ensemble_pipe.core.messages import truncate
from ensemble_pipe.tracking.companion import Assignment, Finish, Progress, line_of, progress_of
from ensemble_pipe.tracking.refusals import Problem, reason_of

# A companion that was killed, for example for want of memory, is started once more.
ATTEMPTS = 2
STOP_S = 2.0
_ERROR_BYTES = 10_000


class CompanionProcess:
    """Starts a companion, listens to it in a thread, and starts it again if it is killed.

    Args:
        program: module that it runs, see `companion_loop.serve`.
        assignment: what it is to ship. It is written to the companion's input, since other users
            can read the arguments of a process.

    Attributes:
        heard: time of the last message, of `time.monotonic`, and the message.
    """

    def __init__(self, program: str, assignment: Assignment) -> None:
        self.heard = (time.monotonic(), Progress())
        self._program, self._assignment = program, assignment
        self._finish: Finish | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._lock = threading.Lock()  # of the process and of what is written to it
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def tell(self, finish: Finish) -> None:
        """Have the companion finish; one that is started later too."""
        with self._lock:
            self._finish = finish
            self._write(finish)

    def wait_for_news(self, timeout_s: float) -> None:
        """Wait until the companion says something, or for a time."""
        self._news.wait(timeout_s)
        self._news.clear()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """End the companion at once, if it has not ended; it may be called again.

        Args:
            timeout_s: for it to notice, after which it is killed.
        """
        with self._lock:
            self._stopping = True
            process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _run(self) -> None:
        try:
            why = ""
            for _ in range(ATTEMPTS):
                with tempfile.TemporaryFile() as errors:
                    if (process := self._begin(errors)) is None:
                        return
                    self._listen(process)
                    process.wait()
                    if self.heard[1].ended:
                        return
                    why = reason_of_end(process.returncode, errors)
            self._give_up(f"its process ended too early: {why}")
        except Exception as error:  # no process, no memory: the training goes on
            self._give_up(f"its process could not be run: {reason_of(error)}")

    def _begin(self, errors: IO[bytes]) -> "subprocess.Popen[bytes] | None":
        """Start the process, with what it is to do; return None if it is not wanted any more."""
        with self._lock:
            if self._stopping:
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._program],
                env=process_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # a Ctrl-C at the terminal must not tear its work apart
            )
            self._write(self._assignment)
            if self._finish is not None:
                self._write(self._finish)
            return self._process

    def _write(self, message: Assignment | Finish) -> None:
        """Write to the process, if there is one; that it is gone is noticed elsewhere."""
        if self._process is None or self._process.stdin is None:
            return
        with suppress(OSError, ValueError):
            self._process.stdin.write(line_of(message))
            self._process.stdin.flush()

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        """Take each message until the process ends."""
        if process.stdout is None:
            return
        with process.stdout as lines:
            for line in lines:
                self._hear(progress_of(line))

    def _give_up(self, reason: str) -> None:
        if not self._stopping:
            self._hear(Progress(problem=Problem(reason, "try again"), ended=True))

    def _hear(self, progress: Progress) -> None:
        self.heard = (time.monotonic(), progress)
        self._news.set()


def process_environment() -> dict[str, str]:
    """Return the environment of a companion: it imports what this process does, and no more."""
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_RUN_ID"}
    environment["PYTHONSAFEPATH"] = "1"  # files of the current directory are no modules
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return environment


def reason_of_end(status: int, errors: IO[bytes]) -> str:
    """Return why a process ended: the signal, or the last line of its errors."""
    if status < 0:
        return f"signal {-status}"
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _ERROR_BYTES))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return truncate(mask_secrets(lines[-1]), 300) if lines else f"status {status}"
