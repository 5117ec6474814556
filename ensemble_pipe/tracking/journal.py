"""The journal: every event of a run, one JSON object a line, in the order it happened.

Each line is written with one call, so a kill can tear only the last one. A resume drops what it
will say again, so an event stands there once; a number that is not finite is written as null.
"""

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.storage import atomic_write

Entry = dict[str, Any]


class Journal:
    """Appends entries; only the driver of a run holds one. A torn last line is cut off first."""

    def __init__(self, path: Path) -> None:
        if path.is_file():
            _cut_torn_line(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, kind: str, **facts: Any) -> None:
        """Write one entry, stamped with the time in milliseconds since 1970."""
        entry = {"kind": kind, "time_ms": int(time.time() * 1000), **facts}
        line = json.dumps(_finite(entry), allow_nan=False) + "\n"
        os.write(self._file, line.encode())

    def close(self) -> None:
        os.fsync(self._file)
        os.close(self._file)


def read_entries(path: Path, start: int = 0) -> Iterator[tuple[Entry, int]]:
    """Yield each whole entry from a byte offset on, and the offset behind it.

    A last line without its end is still being written, or was torn by a kill; it is left out.

    Raises:
        CorruptFileError: a line is no JSON object.
    """
    with open(path, "rb") as stream:
        stream.seek(start)
        offset = start
        for line in stream:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                entry = json.loads(line)
                entry["kind"], entry["time_ms"]
            except (ValueError, KeyError, TypeError):
                raise CorruptFileError(
                    f"{path}: the line before byte {offset} is damaged"
                ) from None
            yield entry, offset


def _cut_torn_line(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def failures(path: Path) -> dict[int, str]:
    """Return why learners failed, by learner."""
    entries = (entry for entry, _ in read_entries(path))
    return {e["learner"]: e["reason"] for e in entries if e["kind"] == "failed"}


def costs(path: Path) -> dict[tuple[int, int], float]:
    """Return the milliseconds that members were found to take for a row, by learner and number."""
    entries = (entry for entry, _ in read_entries(path))
    return {(e["learner"], e["number"]): e["ms"] for e in entries if e["kind"] == "cost"}


def rewind(path: Path, steps: dict[int, int], *, train: bool) -> None:
    """Drop what the run will say again: what lies past the checkpoints, and what is derived.

    Args:
        path: the journal of a run that is about to go on.
        steps: of each learner's checkpoint; a learner without one starts anew.
        train: whether learners go on, so that those that failed are tried again.
    """
    told = {"started", "learner", "grown", "resumed", "cost"} | (set() if train else {"failed"})
    kept = [entry for entry, _ in read_entries(path) if _still_true(entry, steps, told)]
    atomic_write(path, "".join(json.dumps(entry) + "\n" for entry in kept))


def _still_true(entry: Entry, steps: dict[int, int], told: set[str]) -> bool:
    if entry["kind"] == "epoch":
        return bool(entry["step"] <= steps.get(entry["learner"], 0))
    return entry["kind"] in told


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
