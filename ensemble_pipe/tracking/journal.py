"""The journal: every event of a run, one JSON object a line, in the order it happened.

Each line is written with one call, so a kill can tear only the last one. It ends with a CRC-32 of
itself, continued from that of the line before it: a line that was changed, lost or put elsewhere is
noticed, but for lost ones at the end (see `completeness`). Lines of earlier versions have none. A
resume drops what it will say again, so an event stands there once; a number that is not finite is
written as null.
"""

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from ensemble_pipe.documents import parse_json, validated
from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.storage import atomic_write
from ensemble_pipe.tracking.entries import ENTRIES, Head

Entry = dict[str, Any]

MOST_LINE_BYTES = 1 << 28
_SUM = b', "crc": '


class Journal:
    """Appends entries; only the driver of a run holds one. A torn last line is cut off first."""

    def __init__(self, path: Path) -> None:
        self._sum = 0
        if path.is_file():
            _cut_torn_line(path)
            self._sum = _last_sum(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, kind: str, **facts: Any) -> None:
        """Write one entry, stamped with the time in milliseconds since 1970."""
        entry = {"kind": kind, "time_ms": int(time.time() * 1000), **facts}
        line, self._sum = _line(_finite(entry), self._sum)
        size = os.fstat(self._file).st_size
        try:
            left = line
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
        offset, before = start, None if start else 0
        while line := stream.readline(MOST_LINE_BYTES):
            offset += len(line)
            if not line.endswith(b"\n"):
                if len(line) == MOST_LINE_BYTES:
                    raise CorruptFileError(f"{path}: has a line that is far too long")
                return
            entry, before = _entry(line, before, f"{path}: the line before byte {offset}")
            yield entry, offset


def _entry(line: bytes, before: int | None, where: str) -> tuple[Entry, int | None]:
    """Return the entry that a line says, and its sum, 0 where it has none.

    Args:
        line: whole.
        before: the sum of the line before it; None where that is not known.
        where: it stands, for messages.
    """
    entry = parse_json(line, dict[str, Any], where)
    found = entry.pop("crc", None)
    if found is not None:
        body = line.rpartition(_SUM)[0]
        if before is not None and found != crc32(body, before):
            raise CorruptFileError(
                f"{where} was changed, or those above it were lost; restore the journal from a copy"
            )
    kind = validated(entry, Head, where).kind
    if kind not in ENTRIES:
        raise CorruptFileError(f"{where}: kind: unknown {kind!r}; restore the journal from a copy")
    validated(entry, ENTRIES[kind], where)
    return entry, found or 0


def _line(entry: Entry, before: int) -> tuple[bytes, int]:
    """Return the line of an entry and its sum, given that of the line before it."""
    body = json.dumps(entry, allow_nan=False).encode()[:-1]
    total = crc32(body, before)
    return body + _SUM + f"{total}}}\n".encode(), total


def _last_sum(path: Path) -> int:
    """Return the sum of the last line; 0 where it has none."""
    last = path.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
    found = last.rpartition(_SUM)[2].removesuffix(b"}")
    return int(found) if _SUM in last and found.isdigit() else 0


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
    lines, total = [], 0
    for entry, _ in read_entries(path):
        if _still_true(entry, steps, told):
            line, total = _line(entry, total)
            lines.append(line)
    atomic_write(path, b"".join(lines))


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
