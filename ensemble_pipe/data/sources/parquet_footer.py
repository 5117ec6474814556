"""The footer of a Parquet file, read and checked before pyarrow is given the file.

pyarrow's metadata of a column chunk come from C++ code that raises an exception where the footer
contradicts itself, which passes through Cython code that expects none and ends the process. What is
needed of the chunks is read here instead, and a footer of impossible counts, sizes, places or
nesting is refused.

Sources: Apache Parquet, parquet.thrift (FileMetaData and what it holds); Apache Thrift, "Thrift
compact protocol encoding".
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ensemble_pipe.core.arrays import Integers

MARK = b"PAR1"
END_BYTES = 8  # of a file: the length of its footer, and the mark
_DEEPEST = 32  # structs and lists within each other
_DEEPEST_COLUMN = 256  # from some thousand on pyarrow's recursion overflows the stack
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY = (1, 2), 3, (4, 5, 6), 7, 8
_LISTS, _STRUCT = (9, 10), 12  # a set is written as a list; Parquet has no map
_LONG = 15  # a list of this length or more has its length after its header
_MOST = 1 << 40  # rows, or bytes, so that sums of them are numbers of 64 bits
_LAST_SHIFT = 63  # of a number of ten bytes; far longer ones would take the square of their length
_LAST_FIELD = (1 << 15) - 1  # ids have 16 bits, so that a struct holds a bounded number of them
_REQUIRED = "a field is missing that every Parquet file has"
_TOO_LONG = "a number takes more than ten bytes"

Fields = dict[int, int]  # of a struct, by id: a number, or the place of a value of another type
Reader = Callable[[int, int], int]  # (place, type of a value) -> the place behind it


@dataclass(frozen=True)
class Footer:
    """What is needed of a file's metadata, for G row groups and L columns of leaves.

    Attributes:
        columns: the column that each leaf of the schema belongs to.
        rows: (G,) of each row group.
        sizes: (G, L) bytes that each column chunk takes decompressed, as the file states.
    """

    columns: list[str]
    rows: Integers
    sizes: Integers

    def bytes_of(self, names: Sequence[str]) -> Integers:
        """Return the bytes (G,) that columns take decompressed."""
        wanted = set(names)
        sizes: Integers = self.sizes[:, [column in wanted for column in self.columns]].sum(axis=1)
        return sizes


def footer_bytes(end: bytes, size: int) -> int:
    """Return the length of the footer of a file of `size` bytes, of which the last 8 are given.

    Raises:
        ValueError: it is no Parquet file, or not all of one.
    """
    if end[-len(MARK) :] != MARK:
        raise ValueError("Parquet magic bytes not found at its end: no Parquet file, or cut")
    length = int.from_bytes(end[:4], "little")
    if not 0 < length <= size - END_BYTES - len(MARK):
        raise ValueError(f"its end announces a footer of {length} bytes, but it has {size} in all")
    return length


def read_footer(content: bytes, size: int) -> Footer:
    """Read the footer of a file of `size` bytes.

    Raises:
        ValueError: the footer is damaged, or has no sense.
    """
    try:
        return _Reading(content, size).footer()
    except IndexError:
        raise ValueError("its footer ends in the middle of a value") from None
    except KeyError:
        raise ValueError(f"its footer is damaged: {_REQUIRED}") from None


class _Reading:
    """A footer that is being read; methods with a place and a type read a value there."""

    def __init__(self, content: bytes, size: int) -> None:
        self._content = content
        self._pages_end = size - END_BYTES - len(content)
        self._elements: list[tuple[str, int, bool]] = []  # of the schema: name, children, leaf
        self._rows: list[int] = []
        self._chunk_sizes: list[int] = []
        self._chunk_counts: list[int] = []

    def footer(self) -> Footer:
        fields, _ = self._struct(0, {2: self._schema, 4: self._groups})
        _require(2 in fields and 4 in fields, _REQUIRED)
        columns = self._leaves()
        _require(fields[3] == sum(self._rows), "its row groups have not the rows of the file")
        counts = set(self._chunk_counts)
        _require(counts <= {len(columns)}, "a row group has not the columns of the schema")
        sizes = np.array(self._chunk_sizes, np.int64).reshape(len(self._rows), len(columns))
        return Footer(columns, np.array(self._rows, np.int64), sizes)

    def _schema(self, place: int, kind: int) -> int:
        return self._list(place, kind, self._element)

    def _element(self, place: int) -> int:
        fields, end = self._struct(place)
        _, start = self._length(fields[4])
        name = self._content[start : self._skip(fields[4], _BINARY)].decode(errors="replace")
        children = fields.get(5, 0)
        _require(children >= 0, "a column has a negative number of parts")
        self._elements.append((name, children, children == 0 and 1 in fields))
        return end

    def _leaves(self) -> list[str]:
        """Return the column of each leaf of the schema, whose elements stand depth first."""
        found = []
        groups = [("", 0, 1)]  # that are open: of which column, how deep, parts to come
        for name, children, is_leaf in self._elements:
            _require(bool(groups), "its schema has more columns than it announces")
            column, depth, left = groups.pop()
            _require(depth <= _DEEPEST_COLUMN, "its columns are nested too deeply")
            if left > 1:
                groups.append((column, depth, left - 1))
            if depth == 1:  # below the root
                column = name
            if is_leaf:
                found.append(column)
            elif children:
                groups.append((column, depth + 1, children))
        _require(not groups, "its schema has fewer columns than it announces")
        return found

    def _groups(self, place: int, kind: int) -> int:
        return self._list(place, kind, self._group)

    def _group(self, place: int) -> int:
        before = len(self._chunk_sizes)
        fields, end = self._struct(place, {1: self._chunks})
        _require(0 <= fields[3] <= _MOST, "a row group has an impossible number of rows")
        self._rows.append(fields[3])
        self._chunk_counts.append(len(self._chunk_sizes) - before)
        return end

    def _chunks(self, place: int, kind: int) -> int:
        return self._list(place, kind, self._chunk)

    def _chunk(self, place: int) -> int:
        before = len(self._chunk_sizes)
        end = self._struct(place, {3: self._chunk_metadata})[1]
        _require(len(self._chunk_sizes) == before + 1, f"{_REQUIRED}, or it is encrypted")
        return end

    def _chunk_metadata(self, place: int, kind: int) -> int:
        _require(kind == _STRUCT, "a value has another type than Parquet's")
        fields, end = self._struct(place)
        values, stated, stored, first = fields[5], fields[6], fields[7], fields[9]
        possible = values >= 0 and 0 <= stated <= _MOST and stored >= 0
        _require(possible, "a column has an impossible size")
        dictionary = fields.get(11, 0)
        start = min(first, dictionary) if dictionary > 0 else first
        inside = 0 <= start <= self._pages_end - stored and first <= self._pages_end
        _require(inside or stored == 0, "a column lies outside of the file")
        self._chunk_sizes.append(stated)
        return end

    def _list(self, place: int, kind: int, read: Callable[[int], int]) -> int:
        _require(kind in _LISTS, "a value has another type than Parquet's")
        count, of, place = self._list_header(place)
        _require(of == _STRUCT or count == 0, "a value has another type than Parquet's")
        for _ in range(count):
            place = read(place)
        return place

    def _struct(self, place: int, readers: Mapping[int, Reader] = {}) -> tuple[Fields, int]:
        """Return the fields of a struct, and the place behind it."""
        content, fields, field = self._content, Fields(), 0
        while header := content[place]:
            place += 1
            kind = header & 15
            if header > kind:
                field += header >> 4
            else:
                field, place = self._number(place)
            if not 0 <= field <= _LAST_FIELD:
                raise ValueError("its footer is damaged: a field has an impossible number")
            if kind in _INTEGERS:
                byte = number = content[place]  # as _varint, of which most numbers here are
                place += 1
                if byte > 127:
                    shift = 0
                    while byte > 127 and shift < _LAST_SHIFT:
                        byte = content[place]
                        place += 1
                        shift += 7
                        number += (byte - 1) << shift
                    _require(byte < 128, _TOO_LONG)
                fields[field] = number >> 1 ^ -(number & 1)
            else:
                fields[field] = place
                place = readers[field](place, kind) if field in readers else self._skip(place, kind)
        return fields, place + 1

    def _skip(self, place: int, kind: int, depth: int = 0) -> int:
        """Return the place behind a value; one that is passed here is bounded by the content."""
        content = self._content
        if kind == _BINARY:
            count, place = self._length(place)
            return place + count
        if kind in _INTEGERS:
            while content[place] > 127:
                place += 1
            return place + 1
        if kind in _BOOLEANS:
            return place
        if kind in (_BYTE, _DOUBLE):
            return place + (1 if kind == _BYTE else 8)
        _require(depth < _DEEPEST, "its values are nested too deeply")
        if kind in _LISTS:
            if flat := _flat_list(content[place]).match(content, place + 1):
                return flat.end()
            count, of, place = self._list_header(place)
            of = _BYTE if of in _BOOLEANS else of
            for _ in range(count):
                place = self._skip(place, of, depth + 1)
            return place
        _require(kind == _STRUCT, "a value has an unknown type")
        if flat := _FLAT_STRUCT.match(content, place):
            return flat.end()
        while header := content[place]:
            place += 1
            if header < 16:
                place = self._number(place)[1]
            place = self._skip(place, header & 15, depth + 1)
        return place + 1

    def _list_header(self, place: int) -> tuple[int, int, int]:
        """Return the length of a list, the type of its elements, and the place of the first."""
        header = self._content[place]
        count, place = header >> 4, place + 1
        if count == _LONG:
            count, place = self._length(place)
        return count, header & 15, place

    def _length(self, place: int) -> tuple[int, int]:
        """Return a length, each unit of which takes a byte, and the place behind it."""
        number, place = self._varint(place)
        _require(number <= len(self._content) - place, "a value is longer than its footer")
        return number, place

    def _number(self, place: int) -> tuple[int, int]:
        number, place = self._varint(place)
        return number >> 1 ^ -(number & 1), place

    def _varint(self, place: int) -> tuple[int, int]:
        content = self._content
        byte = content[place]
        if byte < 128:
            return byte, place + 1
        number, shift = byte & 127, 0
        while byte > 127 and shift < _LAST_SHIFT:
            place += 1
            byte = content[place]
            shift += 7
            number |= (byte & 127) << shift
        _require(byte < 128, _TOO_LONG)
        return number, place + 1


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(f"its footer is damaged: {problem}")


# Millions of values are only passed over: structs of numbers and short texts, such as statistics,
# and short lists of these, by an expression in one step.


def _headers(*kinds: int) -> bytes:
    """Return an expression for headers of fields whose ids are at most 15 after the last."""
    return b"[%b]" % b"".join(
        re.escape(bytes([gap << 4 | kind])) for gap in range(1, 16) for kind in kinds
    )


_NUMBER = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
_TEXT = b"(?:%b)" % b"|".join(b"%b.{%d}" % (re.escape(bytes([n])), n) for n in range(128))
_FLAT = b"(?:%b%b|%b%b|%b)*+\0" % (
    _headers(*_INTEGERS), _NUMBER, _headers(_BINARY), _TEXT, _headers(*_BOOLEANS)
)  # fmt: skip
_FLAT_STRUCT = re.compile(_FLAT, re.DOTALL)
_NEVER = rb"(?!)"
_ELEMENTS = dict.fromkeys(_INTEGERS, _NUMBER) | {_BINARY: _TEXT, _STRUCT: _FLAT}


@cache
def _flat_list(header: int) -> re.Pattern[bytes]:
    """Return an expression for what follows the header of a short list, or for nothing at all."""
    element = _ELEMENTS.get(header & 15, _NEVER) if header >> 4 < _LONG else _NEVER
    return re.compile(b"(?:%b){%d}" % (element, header >> 4), re.DOTALL)
