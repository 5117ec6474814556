"""Where data lies: what is no readable file is refused by its name."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tokenize import TokenError

import pyarrow as pa

from ensemble_pipe.errors import DataError

# What numpy, zipfile, Pillow and pyarrow raise at damaged, encrypted or odd contents.
_FOREIGN = (
    ValueError, OSError, EOFError, MemoryError, RuntimeError, SyntaxError, NotImplementedError,
    TokenError, zipfile.BadZipFile, zlib.error, pa.ArrowException,
)  # fmt: skip


def require_file(path: Path) -> None:
    """Raise DataError where `path` is no file, or is empty."""
    if not path.exists():
        raise DataError(f"{path}: no such file; paths are taken from the current directory")
    if not path.is_file():
        raise DataError(f"{path}: is a folder; name a file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")


def require_folder(path: Path, example: str) -> None:
    """Raise DataError where `path` is no folder; `example` says what would be right."""
    if not path.is_dir():
        kind = "is a file" if path.exists() else "no such folder"
        raise DataError(f"{path}: {kind}; {example}")


@contextmanager
def reading(where: object, hint: str = "") -> Iterator[None]:
    """Turn what libraries raise at damaged files into a DataError that names the file."""
    try:
        yield
    except _FOREIGN as error:
        problem = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(f"{where}: cannot be read ({problem.strip()}){hint}") from None


def require_values(where: object, shape: Sequence[int]) -> None:
    """Raise DataError where the rows of an array of this shape are empty."""
    if 0 in shape[1:]:
        raise DataError(f"{where}: its rows hold no values (shape {tuple(shape)})")


def require_unique(where: object, names: Iterable[str]) -> None:
    """Raise DataError where two columns have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{where}: column {name!r} stands there more than once")
        seen.add(name)


def require_columns(where: object, wanted: Iterable[str], valid: Iterable[str]) -> None:
    """Raise DataError where a column is not there; it lists those that are, and the nearest."""
    names = list(valid)
    for name in wanted:
        if name not in names:
            near = get_close_matches(name, names, 1)
            guess = f"; did you mean {near[0]!r}?" if near else ";"
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise DataError(f"{where}: has no column {name!r}{guess} its columns are: {shown}")
