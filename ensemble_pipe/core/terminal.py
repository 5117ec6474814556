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


class _Volume:
    """How much is said: everything but results, errors and warnings, or more."""

    quiet = False
    verbose = False


def set_volume(*, quiet: bool, verbose: bool) -> None:
    """Set how much this process says on standard error: see `say`, `warn` and `is_verbose`."""
    _Volume.quiet, _Volume.verbose = quiet, verbose


def is_quiet() -> bool:
    """Return whether only warnings and errors are said."""
    return _Volume.quiet


def is_verbose() -> bool:
    """Return whether more than usual is said."""
    return _Volume.verbose


def say(text: str) -> None:
    """Print progress, or what to do next, to standard error, unless the command is to be quiet."""
    if not _Volume.quiet:
        warn(text)


def warn(text: str) -> None:
    """Print a warning or error to standard error, with control characters escaped.

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
