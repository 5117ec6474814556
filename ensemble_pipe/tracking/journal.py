"""The journal: every event of a run, one JSON object a line, in the order it happened.

Each line is written with one call, so a kill can tear only the last one, and ends with a CRC-32 of
itself, so a line that was changed is noticed; lines of earlier versions have none. For lines that
were lost see `completeness`, for what a resumed run drops `rewinding`. A number that is not finite
is written as null.
"""

import json
import math
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from zlib import crc32

from ensemble_pipe.core.disk_errors import disk_errors
from ensemble_pipe.core.documents import parse_json, validate_as
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.tracking.entry import Milliseconds
from ensemble_pipe.tracking.kinds import (
    KINDS,
    CostEntry,
    Entry,
    FailedEntry,
    KnownEntry,
    UnknownEntry,
)

MOST_LINE_BYTES = 1 << 28
_SUM = b', "crc": '
_ENDED = re.compile(rb', "crc": \d{1,10}\}.\Z', re.DOTALL)  # which a kill leaves without its last
_HEAD = re.compile(
    rb'\{"kind": "(\w+)", "time_ms": (\d{1,15}),.*, "crc": (\d{1,10})\}\n', re.DOTALL
)


@dataclass(frozen=True)
class Line:
    """One whole line.

    Attributes:
        entry: on the line.
        values: all that the line holds beside its sum, also what the entry does not.
        end: offset of the byte behind it.
    """

    entry: Entry
    values: dict[str, Any]
    end: int


@dataclass(frozen=True)
class _Head:
    """What every line has."""

    kind: str
    time_ms: Milliseconds


class Journal:
    """Appends entries; only the driver of a run holds one. A torn last line is cut off first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors(path):
            if path.is_file():
                _cut_torn_line(path)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, entry: KnownEntry) -> None:
        """Write one entry; raise StorageError where the disk takes no more."""
        left = line_of({"kind": entry.kind, **asdict(entry)})
        size = os.fstat(self._file).st_size
        with disk_errors(self._path):
            try:
                while left:
                    left = left[os.write(self._file, left) :]
            except OSError:  # half a line must not be left for the next one to go on with
                os.ftruncate(self._file, size)
                raise

    def sync(self) -> None:
        """Bring all entries to the disk, before what must not be there without them."""
        with disk_errors(self._path):
            os.fsync(self._file)

    def close(self) -> None:
        self.sync()
        os.close(self._file)


def read_entries(path: Path, unread: Collection[str] = ()) -> Iterator[Entry]:
    """Yield each whole entry.

    Args:
        path: of the journal.
        unread: as for `read_lines`.

    Raises:
        CorruptFileError: as `read_lines`.
    """
    return (line.entry for line in read_lines(path, unread=unread))


def read_lines(path: Path, start: int = 0, unread: Collection[str] = ()) -> Iterator[Line]:
    """Yield each whole line from a byte offset on.

    A last line without its end is still being written, or was torn by a kill; it is left out.

    Args:
        path: of the journal.
        start: the offset.
        unread: kinds of entries of which only the sum of the line is checked; each is yielded as an
            `UnknownEntry`, which has its time.

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
                if _ENDED.search(line):
                    raise CorruptFileError(
                        f"{path}: its last line has another end than the one that was written; "
                        "restore it from a copy"
                    )
                return
            head = _HEAD.fullmatch(line) if unread else None
            if head is not None and head[1].decode() in unread and _is_whole(line, int(head[3])):
                yield Line(UnknownEntry(head[1].decode(), int(head[2])), {}, offset)
                continue
            yield _parse(line, offset, f"{path}: the line before byte {offset} is damaged")


def _parse(line: bytes, end: int, damaged: str) -> Line:
    """Return a line read.

    Args:
        line: whole.
        end: offset of the byte behind it.
        damaged: begins the message where it is.
    """
    values = parse_json(line, dict[str, Any], damaged)
    found = values.pop("crc", None)
    if found is not None and not _is_whole(line, found):
        raise CorruptFileError(f"{damaged}: does not match its sum; restore it from a copy")
    head = validate_as(values, _Head, damaged)
    if head.kind in KINDS:
        entry = cast(KnownEntry, validate_as(values, KINDS[head.kind], damaged))
        return Line(entry, values, end)
    if found is None:  # with a sum that is right, a later version wrote it
        raise CorruptFileError(f"{damaged}: kind: unknown {head.kind!r}; restore it from a copy")
    return Line(UnknownEntry(head.kind, head.time_ms), values, end)


def _is_whole(line: bytes, found: Any) -> bool:
    """Return whether the sum found on a line is right."""
    return bool(found == crc32(line.rpartition(_SUM)[0]))


def line_of(values: dict[str, Any]) -> bytes:
    """Return the line that holds some values, with its sum."""
    body = json.dumps(_finite(values), allow_nan=False).encode()[:-1]
    return body + _SUM + f"{crc32(body)}}}\n".encode()


def _cut_torn_line(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def failures(path: Path) -> dict[int, str]:
    """Return why learners failed, by learner."""
    entries = read_entries(path)
    return {entry.learner: entry.reason for entry in entries if isinstance(entry, FailedEntry)}


def costs(path: Path) -> dict[tuple[int, int], float]:
    """Return the milliseconds per row that members were measured to take, by learner and number."""
    entries = read_entries(path)
    return {(e.learner, e.number): e.ms for e in entries if isinstance(e, CostEntry)}
