"""Companions that end as real ones may; which one is the name of the experiment."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO, cast

from ensemble_pipe.tracking.companion import Assignment, Progress, line_of

_SLOW_RUNS = 6


def _say(progress: Progress) -> None:
    sys.stdout.buffer.write(line_of(progress))
    sys.stdout.buffer.flush()


def _main() -> None:
    first = sys.stdin.buffer.readline()
    assignment = Assignment(**json.loads(first))
    root = Path(assignment.root)
    with (root / "started").open("a") as file:
        file.write(f"{os.getpid()}\n")
    starts = len((root / "started").read_text().splitlines())
    match assignment.experiment:
        case "is killed" | "is killed once" if starts == 1 or assignment.experiment == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "breaks":
            raise SystemExit("no module named mlflow")
        case "is silent":
            _say(Progress(silence_s=0.3))
            time.sleep(60)
        case "is slow":
            sys.stdin.buffer.readline()
            for sent in range(_SLOW_RUNS):
                _say(Progress(sent, _SLOW_RUNS, silence_s=5.0))
                time.sleep(0.2)
        case "ships":
            from ensemble_pipe.tracking.companion_loop import serve  # it takes a second

            serve(
                cast(IO[bytes], _Again(first)), sys.stdout.buffer, lambda _: _no_model, lambda: None
            )
        case "waits":
            sys.stdin.buffer.readline()
            time.sleep(60)
        case _:
            sys.stdin.buffer.readline()
    _say(Progress(ended=True))


def _no_model(*_: object) -> str:
    return "models:/none"


class _Again:
    """Standard input from its beginning, of which one line was read."""

    def __init__(self, first: bytes) -> None:
        self._first = first

    def readline(self) -> bytes:
        first, self._first = self._first, b""
        return first or sys.stdin.buffer.readline()


if __name__ == "__main__":
    _main()
