"""Output of commands: results on standard output, messages on standard error."""

import os
import sys
from typing import TextIO

from ensemble_pipe.core.messages import printable


def prepare_streams() -> None:
    """Make the standard streams safe to use, however the command was called.

    A closed stream (`>&-`) is redirected to the null device: otherwise the next opened file would
    get its number and receive the output. Characters that the encoding lacks are printed as
    escapes.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open as long as the process
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def show(text: str) -> None:
    """Print a result, or a part of one, to standard output.

    Where the reader has closed the pipe, as `| head -1` does, the command ends silently with status
    1.

    Raises:
        OSError: writing failed, for example because the disk is full.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        _abandon(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(1) from None
        raise


def say(text: str) -> None:
    """Print a line to standard error, with control characters escaped.

    A closed pipe (`2>&1 | head -1`) or terminal does not end a run.
    """
    if sys.stderr is None:
        return
    try:
        print(printable(text, "\n"), file=sys.stderr, flush=True)
    except OSError:
        _abandon(sys.stderr)


def prints_all() -> bool:
    """Return whether standard output can show any character."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def _abandon(stream: TextIO) -> None:
    """Discard buffered output, which Python would otherwise try to write again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
