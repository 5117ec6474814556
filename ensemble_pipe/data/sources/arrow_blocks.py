"""The decompressed size that batches of an Arrow IPC file declare, read before decompression.

Messages are flatbuffers; the fields read here are those of format/Message.fbs and File.fbs of the
Arrow specification, by their numbers.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

MAGIC = b"ARROW1"
_SHORT, _INT, _UINT, _LONG = (struct.Struct(f"<{kind}") for kind in "HiIq")
_BLOCK = struct.Struct("<qi4xq")  # offset, bytes of metadata, bytes of body
_BUFFER = struct.Struct("<qq")  # offset, bytes
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3


@dataclass(frozen=True)
class _Table:
    """A table of a flatbuffer, by its position among the bytes."""

    content: memoryview
    start: int

    @classmethod
    def root(cls, content: memoryview) -> "_Table":
        return cls(content, _UINT.unpack_from(content)[0])

    def _place(self, field: int) -> int:
        """Return the position of a field; 0 where it is absent."""
        table = self.start - _INT.unpack_from(self.content, self.start)[0]
        entry = 4 + 2 * field
        if entry >= _SHORT.unpack_from(self.content, table)[0]:
            return 0
        offset = _SHORT.unpack_from(self.content, table + entry)[0]
        return self.start + offset if offset else 0

    def byte(self, field: int) -> int:
        place = self._place(field)
        return self.content[place] if place else 0

    def table(self, field: int) -> "_Table | None":
        place = self._place(field)
        return (
            _Table(self.content, place + _UINT.unpack_from(self.content, place)[0])
            if place
            else None
        )

    def structs(self, field: int, kind: struct.Struct) -> list[tuple[int, ...]]:
        place = self._place(field)
        if not place:
            return []
        start = place + _UINT.unpack_from(self.content, place)[0]
        stop = start + 4 + _UINT.unpack_from(self.content, start)[0] * kind.size
        return list(kind.iter_unpack(self.content[start + 4 : stop]))


def stated_bytes(content: pa.Buffer) -> int:
    """Return the largest decompressed size that a batch of an IPC file or stream declares.

    Dictionaries are summed, since all of them are held; uncompressed data does not count, since it
    is read in place.

    Raises:
        ValueError, pyarrow.ArrowException: the file is damaged.
    """
    dictionaries, most = 0, 0
    try:
        for message in _messages(content):
            header = _Table.root(memoryview(message.metadata))
            batch, kind = header.table(2), header.byte(1)
            if kind == _DICTIONARY_BATCH and batch is not None:
                dictionaries += _decompressed_bytes(batch.table(1), message.body)
            elif kind == _RECORD_BATCH:
                most = max(most, _decompressed_bytes(batch, message.body))
    except (struct.error, IndexError):
        raise ValueError("its batches are damaged") from None
    return max(most, dictionaries)


def _messages(content: pa.Buffer) -> Iterator[Any]:
    stream = pa.BufferReader(content)
    if content[: len(MAGIC)].to_pybytes() != MAGIC:
        yield from pa.ipc.MessageReader.open_stream(stream)
        return
    end = content.size - 4 - len(MAGIC)
    length = _INT.unpack_from(content, end)[0]
    footer = _Table.root(memoryview(content)[end - length : end])
    for start, _, _ in footer.structs(2, _BLOCK) + footer.structs(3, _BLOCK):
        stream.seek(start)
        yield pa.ipc.read_message(stream)


def _decompressed_bytes(batch: _Table | None, body: pa.Buffer) -> int:
    """Return the bytes that a batch's buffers declare in their first eight; -1 is uncompressed."""
    if batch is None or batch.table(3) is None:
        return 0
    places = batch.structs(2, _BUFFER)
    return sum(max(0, _LONG.unpack_from(body, start)[0]) for start, length in places if length)
