"""Reading of external files with bounded size and depth, validated against a schema.

Every JSON file of a run, a model or a data set comes in by `read_json`, every line of a journal by
`parse_json`, and all else that is read whole by `read_bytes`. A file that no other file has the sum
of has a CRC-32 of its own, under the key `crc`: see `storage.write_summed_json`. A schema is a type
that pydantic knows, such as a frozen dataclass of `Count`, `Number`, `Flag` and `str`, which
convert nothing.
"""

import json
import stat
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from zlib import crc32

from annotated_types import Ge, Lt
from pydantic import Strict, TypeAdapter, ValidationError

from ensemble_pipe.core.errors import CorruptFileError

T = TypeVar("T")

Whole = Annotated[int, Strict()]
Count = Annotated[int, Strict(), Ge(0), Lt(1 << 63)]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]

MOST_BYTES = 1 << 29
MOST_DEPTH = 64
SUM = "crc"
_VALUE_BYTES = 64  # what a small value takes in memory
_SPARE_BYTES = 1 << 27  # that any file may take
_ADVICE = "restore it from a copy"


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file.

    Args:
        path: of the file.
        kind: the schema.

    Raises:
        CorruptFileError: it cannot be read, is too large, or does not match the schema or its sum.
    """
    where = str(path)
    value = parse_values(read_bytes(path, MOST_BYTES), where)
    if isinstance(value, dict) and SUM in value:
        found = value.pop(SUM)
        if found != sum_of(value):
            raise CorruptFileError(f"{where}: does not match its sum; {_ADVICE}")
    return validate_as(value, kind, where)


def sum_of(values: dict[str, Any]) -> int:
    """Return the CRC-32 that a JSON file has of its other values."""
    return crc32(json.dumps(values, sort_keys=True, allow_nan=False).encode())


def parse_json(content: bytes, kind: type[T], where: str) -> T:
    """Parse JSON text as `kind`, as `parse_values` does.

    Args:
        content: UTF-8.
        kind: the schema.
        where: its place, for messages.

    Raises:
        CorruptFileError: it is no JSON, is nested too deep, or does not match the schema.
    """
    return validate_as(parse_values(content, where), kind, where)


def parse_values(content: bytes, where: str) -> Any:
    """Parse JSON text; duplicate keys and numbers that are not finite are refused.

    Raises:
        CorruptFileError: it is no JSON, is nested too deep, or would take far more memory than its
            bytes.
    """
    most = sum(content.count(sign) for sign in (b",", b"[", b"{"))
    if most * _VALUE_BYTES > 2 * len(content) + _SPARE_BYTES:
        raise CorruptFileError(
            f"{where}: its {len(content)} bytes hold up to {most} values, as no file of this "
            f"program does; {_ADVICE}"
        )
    try:
        value = _DECODER.decode(content.decode("utf-8"))
        deep = is_deep(value)
    except RecursionError:
        deep = True
    except (ValueError, OverflowError) as error:
        raise CorruptFileError(f"{where}: not valid JSON ({error}); {_ADVICE}") from None
    if deep:
        raise CorruptFileError(f"{where}: is nested more than {MOST_DEPTH} deep; {_ADVICE}")
    return value


def validate_as(value: Any, kind: type[T], where: str, what: str | None = None) -> T:
    """Validate plain values against the schema `kind`.

    Args:
        value: what was read.
        kind: the schema.
        where: it stands, for messages.
        what: it should be, such as "a schema of this version"; None where `where` names it.

    Raises:
        CorruptFileError: they do not match the schema; names the first field that does not.
    """
    try:
        found: T = _adapter(kind).validate_python(value)  # type: ignore[arg-type]  # hashable
        return found
    except ValidationError as error:
        mistake = _first_mistake(error)
        text = f"{where}: {mistake}" if what is None else f"{where}: not {what} ({mistake})"
        raise CorruptFileError(f"{text}; {_ADVICE}") from None


def _first_mistake(error: ValidationError) -> str:
    """Return the missing or first invalid field, and the reason."""
    mistakes = error.errors()
    missing = [m["loc"] for m in mistakes if m["type"] == "missing"]
    if missing:
        return f"lacks {', '.join('.'.join(map(str, place)) for place in missing)}"
    field, text = ".".join(str(step) for step in mistakes[0]["loc"]), str(mistakes[0]["msg"])
    return f"{field}: {text[0].lower()}{text[1:]}" if field else "is no JSON object"


def read_bytes(path: Path, most_bytes: int | None = None) -> bytes:
    """Read a file whole.

    Args:
        path: of the file.
        most_bytes: upper bound of its size; None where its contents are bounded elsewhere.

    Raises:
        CorruptFileError: it is missing, no regular file, larger, or not readable.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise CorruptFileError(f"{path}: is {what}, where a file is needed")
        if most_bytes is not None and found.st_size > most_bytes:
            raise CorruptFileError(f"{path}: has more than the {most_bytes} bytes that it may have")
        with open(path, "rb") as stream:
            return stream.read(found.st_size)
    except FileNotFoundError:
        raise CorruptFileError(f"{path}: missing; the folder it belongs to is incomplete") from None
    except OSError as error:
        raise CorruptFileError(f"{path}: cannot be read ({error.strerror})") from None


def is_deep(value: Any) -> bool:
    """Return whether lists and dictionaries are nested more than MOST_DEPTH deep."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _decimal(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _whole(text: str) -> int:
    value = int(text)
    float(value)  # which a larger one could not become where a number is needed
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands there twice")
    return found


_DECODER = json.JSONDecoder(
    parse_constant=_no_number,
    parse_float=_decimal,
    parse_int=_whole,
    object_pairs_hook=_each_once,
)
