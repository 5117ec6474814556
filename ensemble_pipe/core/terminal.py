"""The two streams of a command: its result on standard output, all else on standard error."""

import os
import sys
from typing import TextIO

from ensemble_pipe.core.messages import printable


def prepare_streams() -> None:
    """Make the standard streams safe to use, however the command was called.

    One that was closed (`>&-`) leads nowhere: otherwise the next file that is opened would take its
    number, and receive what is printed. What an encoding lacks is printed as its escape.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open as long as the process
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def show(text: str) -> None:
    """Print a result, or a part of one, to standard output.

    Where nobody reads on, as behind `| head -1`, the command ends without a word, with status 1.

    Raises:
        OSError: it cannot be written, such as to a full disk.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        _abandon(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(1) from None
        raise


def say(text: str) -> None:
    """Show a line to a person on standard error; what a terminal would obey is shown instead.

    A run goes on though nobody reads what it says, as behind `2>&1 | head -1` or on a closed
    terminal.
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
    """Let what is still to be written go nowhere; else it would be tried again at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
