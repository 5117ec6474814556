"""Hostile files of every kind that is read: nothing is executed, and each is refused by name.

`benchmarks/faults_files.py` runs these cases for its row "hostile", the tests run them too. A case
writes a file that would leave a trace where it was executed or followed, and reads it as a command
does. It holds where the file is refused by name, and no trace is left.
"""

from collections.abc import Iterator
from pathlib import Path

import faults_hostile_rows
import faults_hostile_runs
import faults_tensors
from faults_cases import TRACE, Case

from ensemble_pipe.core.errors import EnsemblePipeError


def cases() -> dict[str, Case]:
    """Return all hostile files, by what they are."""
    return {**faults_tensors.cases(), **faults_hostile_rows.cases(), **faults_hostile_runs.cases()}


def outcome_of_hostile(case: Case, folder: Path) -> str:
    """Write and read a hostile file in an empty folder; return what failed, or nothing."""
    path = case.write(folder)
    outcome = "" if case.harmless else "read"
    try:
        case.read(path)
    except EnsemblePipeError as error:  # of a manifest, the folder is named
        outcome = "" if str(path) in str(error) or str(path.parent) in str(error) else "not named"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    return "executed" if list(traces(folder)) else outcome


def traces(folder: Path) -> Iterator[Path]:
    """Yield what a hostile file has left in or above its folder."""
    yield from folder.parent.rglob(TRACE)
