"""Checks of paths and columns, whose errors name the file, its columns and likely corrections."""

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tokenize import TokenError

import pyarrow as pa

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import MOST_NAMES, list_names, quote, truncate
from ensemble_pipe.data.sources.rows import BLOCK_BYTES

# No byte of a gzip file gives more than 1032 (zlib, "technical details"), and columns of measured
# values stay far below that: what swells more says one thing over and over.
MOST_SWELLING = 1000
MOST_COLUMNS = 1 << 16  # each takes some kilobytes while a file is read, however short its name
_LEAST_SHARED = 3  # letters that a name has within another one, to be taken for the same

# What numpy, zipfile, Pillow and pyarrow raise at damaged, encrypted or odd contents.
_FOREIGN = (
    ValueError, OSError, EOFError, MemoryError, RuntimeError, SyntaxError, NotImplementedError,
    TokenError, zipfile.BadZipFile, zlib.error, pa.ArrowException,
)  # fmt: skip


def require_file(path: Path) -> None:
    """Raise DataError where `path` is no file, or is empty."""
    if not path.exists():
        raise DataError(f"{path}: no such file; paths are taken from the current directory")
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file")
    if not path.is_file():
        raise DataError(f"{path}: is no regular file but a device or pipe; write it to a file")
    with opening(path), path.open("rb"):
        pass
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")


def require_folder(path: Path, example: str) -> None:
    """Raise DataError where `path` is no folder; `example` shows a valid one."""
    if not path.is_dir():
        kind = "is a file" if path.exists() else "no such folder"
        raise DataError(f"{path}: {kind}; {example}")


def require_inside(folder: Path, paths: Iterable[Path]) -> None:
    """Raise DataError where one of the paths found in a folder is a link that leads out of it."""
    for path in paths:
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{path}: is a link that leads out of {folder}; copy what it leads to")


@contextmanager
def opening(where: object) -> Iterator[None]:
    """Convert errors of the operating system, such as missing permissions, into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename or where}: cannot be read ({_reason(error)})") from None


@contextmanager
def reading(where: object, hint: str = "") -> Iterator[None]:
    """Convert errors of libraries on damaged files into a DataError that names the file."""
    try:
        yield
    except _FOREIGN as error:
        raise DataError(f"{where}: cannot be read ({_reason(error)}){hint}") from None


def _reason(error: BaseException) -> str:
    """Return the first line of a library's message."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return truncate(next(iter(str(error).splitlines()), "").strip(), 200) or type(error).__name__


def require_no_bomb(where: object, stated: int, size: int, advice: str) -> None:
    """Raise DataError where `size` bytes of a file would decompress to far more than a block."""
    if stated > max(BLOCK_BYTES, MOST_SWELLING * size):
        raise DataError(
            f"{where}: its {size} bytes swell to {stated} and more, over {MOST_SWELLING} times as "
            f"many, as only bombs do; if it is real data, {advice}"
        )


def require_few_columns(where: object, columns: int) -> None:
    """Raise DataError where a file has more columns than are read."""
    if columns > MOST_COLUMNS:
        raise DataError(
            f"{where}: has {columns} columns, and at most {MOST_COLUMNS} are read; leave some out"
        )


def require_values(where: object, shape: Sequence[int]) -> None:
    """Raise DataError where the rows of an array of this shape are empty."""
    if 0 in shape[1:]:
        raise DataError(f"{where}: its rows hold no values (shape {tuple(shape)})")


def bare_names(names: Iterable[object]) -> list[str]:
    """Return names of columns as text without blanks around them, as every source has them."""
    return [str(name).strip() for name in names]


def require_unique(where: object, names: Iterable[str]) -> None:
    """Raise DataError where two columns have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{where}: column {quote(name)} is there more than once")
        seen.add(name)


def require_columns(
    where: object,
    wanted: Iterable[str],
    valid: Iterable[str],
    known: Iterable[str] | None = None,
) -> None:
    """Raise DataError where required columns are not among the valid ones, each once.

    The message lists the missing columns, similar names, and the valid columns. Where the purpose
    of all other columns is `known`, a new one is suggested for the missing one.
    """
    wanted, valid = list(wanted), list(valid)
    there = set(valid)
    absent = [name for name in dict.fromkeys(wanted) if name not in there]
    if absent:
        named = {*wanted, *(known or ())}
        others = [name for name in valid if name not in named]
        guess = rename_hint(absent, others, one_is_new=known is not None)
        lacking = (
            f"column {quote(absent[0])}" if len(absent) == 1 else f"columns {list_names(absent)}"
        )
        raise DataError(f"{where}: has no {lacking}{guess} its columns are: {list_names(valid)}")
    if len(there) < len(valid):
        require_unique(where, [name for name in valid if name in set(wanted)])


def require_none_renamed(where: object, wanted: Iterable[str], valid: Iterable[str]) -> None:
    """Raise DataError where an optional column is missing, and another has a similar name.

    A renamed column must not be mistaken for an omitted one.
    """
    wanted, valid = list(wanted), list(valid)
    others = [name for name in valid if name not in set(wanted)]
    if any(_nearest(name, others) for name in wanted if name not in set(valid)):
        require_columns(where, wanted, valid)


def rename_hint(absent: Sequence[str], others: Sequence[str], *, one_is_new: bool) -> str:
    """Return the hint that columns may have been renamed to some of the others."""
    few = absent[:MOST_NAMES]
    pairs = [(name, near) for name in few if (near := _nearest(name, others)) is not None]
    if not pairs and one_is_new and len(absent) == len(others) == 1:
        pairs = [(absent[0], others[0])]
    if not pairs:
        return ";"
    if len(absent) == 1:
        return f"; did you mean {quote(pairs[0][1])}?"
    asked = list_names([f"{quote(near)} for {quote(name)}" for name, near in pairs])
    return f"; did you mean {asked}?"


def _nearest(name: str, others: Sequence[str]) -> str | None:
    """Return the most similar name, ignoring case; else one that contains it or is contained."""
    by_letters = {"".join(filter(str.isalnum, other.lower())): other for other in others}
    letters = "".join(filter(str.isalnum, name.lower()))
    found = get_close_matches(letters, list(by_letters), 1)
    holding = [
        own for own in by_letters if min(len(own), len(letters)) >= _LEAST_SHARED
        and (own in letters or letters in own)
    ]  # fmt: skip
    return by_letters[(found or holding)[0]] if found or holding else None
