"""Changes of the footer of a Parquet file that keep its form, for `benchmarks/fuzz.py`.

Changed bytes are mostly refused as no Thrift at all. Here a footer is taken apart into its values
(Apache Thrift, "Thrift compact protocol encoding"), some of which are changed, left out, repeated
or put elsewhere, and is written again: what reads it goes on to what the values mean.
"""

import copy
from typing import Any

import numpy as np

BYTE, INTEGERS, DOUBLE, BINARY, LISTS, STRUCT = 3, (4, 5, 6), 7, 8, (9, 10), 12
# A value is [type, content]: a number, bytes, for a list [type of its elements, elements], for a
# struct its fields [id, value]; of a boolean the type says all.
Value = list[Any]
EXTREMES = [0, 1, -1, 1 << 16, (1 << 31) - 1, 1 << 31, -1 << 31, 1 << 40, (1 << 63) - 1, -1 << 63]


def mutate_footer(content: bytes, draws: np.random.Generator) -> bytes:
    """Return a Parquet file with one to three random changes of values in its footer."""
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer, _ = parse(content, start, STRUCT)
    for _ in range(draws.integers(1, 4)):
        values = list(_values(footer))
        _change(values[draws.integers(len(values))], values, draws)
    written = write(footer)
    return content[:start] + written + len(written).to_bytes(4, "little") + content[-4:]


def _change(value: Value, others: list[Value], draws: np.random.Generator) -> None:
    kind, content = value
    choice = int(draws.integers(5))
    other = copy.deepcopy(others[draws.integers(len(others))])
    if kind in INTEGERS:
        nearby = [content + 1, content - 1, content * 2, content * 1000, int(draws.integers(100))]
        number = int(draws.choice(np.array([*EXTREMES, *nearby], object)))
        value[1] = (number + (1 << 63)) % (1 << 64) - (1 << 63)
    elif kind == BINARY:
        value[1] = [b"", content[:-1], content * 2, content[::-1], draws.bytes(8)][choice]
    elif kind in LISTS or kind == STRUCT:
        parts = content[1] if kind in LISTS else content
        place = int(draws.integers(len(parts))) if parts else 0
        if choice == 0 or not parts:
            parts.clear()
        elif choice == 1:
            del parts[place]
        elif choice == 2:
            parts += copy.deepcopy(parts) * int(draws.integers(1, 20)) if kind in LISTS else []
        elif kind == STRUCT:
            parts[place] = [int(draws.integers(1, 20)), parts[place][1] if choice == 3 else other]
        else:
            parts.append(copy.deepcopy(parts[place]))


def _values(value: Value) -> Any:
    yield value
    kind, content = value
    inner = content[1] if kind in LISTS else [v for _, v in content] if kind == STRUCT else []
    for one in inner:
        yield from _values(one)


def parse(data: bytes, at: int, kind: int) -> tuple[Value, int]:
    """Return the value of a type at a place, and the place behind it."""
    if kind in INTEGERS:
        number, at = _varint(data, at)
        return [kind, number >> 1 ^ -(number & 1)], at
    if kind in (BYTE, DOUBLE, BINARY):
        length = {BYTE: 1, DOUBLE: 8}.get(kind)
        if length is None:
            length, at = _varint(data, at)
        return [kind, data[at : at + length]], at + length
    parts: list[Any] = []
    if kind in LISTS:
        (count, of), at = divmod(data[at], 16), at + 1
        if count == 15:
            count, at = _varint(data, at)
        for _ in range(count):
            value, at = parse(data, at, BYTE if of <= 2 else of)
            parts.append(value)
        return [kind, [of, parts]], at
    if kind != STRUCT:
        return [kind, None], at
    field = 0
    while header := data[at]:
        gap, of = divmod(header, 16)  # of a valid footer of Parquet's writers never 0
        value, at = parse(data, at + 1, of)
        field += gap
        parts.append([field, value])
    return [kind, parts], at + 1


def write(value: Value) -> bytes:
    """Return the bytes of a value."""
    kind, content = value
    if kind in INTEGERS:
        return _written(content << 1 ^ content >> 63, 64)
    if kind in LISTS:
        of, parts = content
        long = len(parts) >= 15
        header = bytes([min(len(parts), 15) << 4 | of]) + (_written(len(parts)) if long else b"")
        return header + b"".join(map(write, parts))
    if kind != STRUCT:
        return (_written(len(content)) if kind == BINARY else b"") + (content or b"")
    written, last = bytearray(), 0
    for field, inner in content:
        near = 0 < field - last < 16
        written += bytes([(field - last) << 4 | inner[0]] if near else [inner[0]])
        written += b"" if near else _written(field << 1)
        written += write(inner)
        last = field
    return bytes(written) + b"\0"


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def _written(number: int, bits: int = 64) -> bytes:
    number %= 1 << bits
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
