"""What a case of a hostile file is: how it is written and read, and the trace that it may leave."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

TRACE = "trace"


class Harmful:
    """Leaves a trace where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / TRACE

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


class Case(NamedTuple):
    """A hostile file.

    Attributes:
        write: write(folder) writes it, and returns its path.
        read: reads it as a command would.
        harmless: whether it may be read all the same, as if what is hostile were not there.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    harmless: bool = False


def written(name: str, content: Callable[[Path], bytes]) -> Callable[[Path], Path]:
    """Return a writer of a file of a name, from content(folder)."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content(folder))
        return path

    return write


def always(content: bytes, _: Path) -> bytes:
    """Return the same content for any folder."""
    return content


def pickled(folder: Path) -> bytes:
    """Return a pickle that leaves a trace in a folder."""
    return pickle.dumps(Harmful(folder))
