"""Shared parts of the commands: arguments, error messages and exit statuses."""

import gc
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import typer

from ensemble_pipe.core.data_warning import DataWarning
from ensemble_pipe.core.errors import EnsemblePipeError, InputError
from ensemble_pipe.core.interruption import handle_signals
from ensemble_pipe.core.terminal import say, show, warn

Value = TypeVar("Value")

RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run directory.")]
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A run directory, model directory or MLflow URI.")
]
Input = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Parquet, Arrow, CSV, NPY, NPZ, IDX, PNG or JPEG: a file, folder, pattern or URI.",
    ),
]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME=FILE",
        help="What another program, a member, predicts of these rows.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on the last line of stdout.")
]


def require_given(value: Value | None, option: str, example: str) -> Value:
    """Return the value of an option that a command needs; raise InputError where it is missing."""
    if value is None:
        raise InputError(f"{option} is missing; give it, such as {option} {example}")
    return value


def give(text: str, facts: dict[str, Any], as_json: bool) -> None:
    """Print the result of a command as text, or as JSON with the text on standard error."""
    if as_json:
        say(text)
        show(json.dumps(facts))
    else:
        show(text)


@contextmanager
def loading() -> Iterator[None]:
    """Load modules in the block without a search for garbage, of which there is none."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def errors() -> Iterator[None]:
    """Convert errors and signals into one message and their exit status."""
    with handle_signals(exits=True) as signals, _plain_warnings():
        try:
            yield
        except (EnsemblePipeError, MemoryError, OSError) as error:
            message, status = _message_and_status(error)
            warn(f"error: {message}")
            raise typer.Exit(status) from None
        except KeyboardInterrupt as stop:
            warn(str(stop) or "stopped")
            raise typer.Exit(signals.status) from None


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print warnings of data as a line of their own, without the code that they come from."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show_plainly(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, DataWarning):
                warn(f"warning: {message}")
            else:
                others(message, category, filename, lineno, file, line)

        warnings.showwarning = show_plainly
        yield


def _message_and_status(error: Exception) -> tuple[str, int]:
    match error:
        case InputError():
            return str(error), 2
        case PermissionError():
            return f"{error.filename}: no permission to read or write it", 2
        case MemoryError():
            return f"not enough memory ({error}); use fewer or smaller networks", 1
        case _:  # of ours, or a full disk
            return str(error), 1
