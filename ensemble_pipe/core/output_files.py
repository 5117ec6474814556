"""Checks that a command can write its output, before it begins to work."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ensemble_pipe.core.errors import InputError


def require_writable(folder: Path) -> None:
    """Check that files can be written to a folder, which is created if missing.

    Raises:
        InputError: they cannot; the message says why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"{folder}: no file can be written there ({error.strerror}); choose another folder"
        ) from None


def require_output(path: Path, endings: Sequence[str], what: str) -> None:
    """Check that a command can write an output file, whose suffix names a supported format.

    Raises:
        InputError: the ending is another, the path is a folder, or nothing can be written there.
    """
    if path.suffix not in endings:
        raise InputError(
            f"{path}: {what} are written as {', '.join(endings)}; choose such an ending"
        )
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    require_writable(path.parent)
