"""The journal: every event of a run, one JSON object a line, in the order it happened.

Each line is written with one call, so a kill can tear only the last one, and ends with a CRC-32 of
itself, so a line that was changed is noticed; lines of earlier versions have none. For lines that
were lost see `completeness`. A resume drops what it will say again, so an event stands there once;
a number that is not finite is written as null.
"""

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from ensemble_pipe.core.documents import parse_json, validated
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import atomic_write
from ensemble_pipe.tracking.entries import ENTRIES, Head

Entry = dict[str, Any]

MOST_LINE_BYTES = 1 << 28
_SUM = b', "crc": '


class Journal:
    """Appends entries; only the driver of a run holds one. A torn last line is cut off first."""

    def __init__(self, path: Path) -> None:
        if path.is_file():
            _cut_torn_line(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, kind: str, **facts: Any) -> None:
        """Write one entry, stamped with the time in milliseconds since 1970."""
        entry = {"kind": kind, "time_ms": int(time.time() * 1000), **facts}
        left = _line(_finite(entry))
        size = os.fstat(self._file).st_size
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:  # a full disk must not leave half a line for the next one to go on with
            os.ftruncate(self._file, size)
            raise

    def sync(self) -> None:
        """Bring all entries to the disk, before what must not be there without them."""
        os.fsync(self._file)

    def close(self) -> None:
        self.sync()
        os.close(self._file)


def read_entries(path: Path, start: int = 0) -> Iterator[tuple[Entry, int]]:
    """Yield each whole entry from a byte offset on, and the offset behind it.

    A last line without its end is still being written, or was torn by a kill; it is left out.

    Raises:
        CorruptFileError: a line is damaged or was lost, or no entry ends at `start`.
    """
    with open(path, "rb") as stream:
        if start:
            stream.seek(start - 1)
            if stream.read(1) != b"\n":
                raise CorruptFileError(
                    f"{path}: no entry ends at byte {start}, up to which it was read before: it "
                    "has lost its end, or was changed"
                )
        offset = start
        while line := stream.readline(MOST_LINE_BYTES):
            offset += len(line)
            if not line.endswith(b"\n"):
                if len(line) == MOST_LINE_BYTES:
                    raise CorruptFileError(f"{path}: has a line that is far too long")
                return
            yield _entry(line, f"{path}: the line before byte {offset} is damaged"), offset


def _entry(line: bytes, damaged: str) -> Entry:
    """Return the entry that a line says.

    Args:
        line: whole.
        damaged: begins the message where it is.
    """
    entry = parse_json(line, dict[str, Any], damaged)
    found = entry.pop("crc", None)
    if found is not None and found != crc32(line.rpartition(_SUM)[0]):
        raise CorruptFileError(f"{damaged}: does not match its sum; restore it from a copy")
    kind = validated(entry, Head, damaged).kind
    if kind in ENTRIES:
        validated(entry, ENTRIES[kind], damaged)
    elif found is None:  # with a sum that is right, a later version wrote it
        raise CorruptFileError(f"{damaged}: kind: unknown {kind!r}; restore it from a copy")
    return entry


def _line(entry: Entry) -> bytes:
    body = json.dumps(entry, allow_nan=False).encode()[:-1]
    return body + _SUM + f"{crc32(body)}}}\n".encode()


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
    atomic_write(path, b"".join(map(_line, kept)))


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
