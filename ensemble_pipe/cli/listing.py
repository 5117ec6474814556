"""The command `ls`: runs and searches in a folder."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ensemble_pipe.cli.outcome import command_name
from ensemble_pipe.cli.support import AsJson, errors, give
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.terminal import say

if TYPE_CHECKING:
    from ensemble_pipe.search.listing import ListedRun

_HEAD = ("name", "kind", "status", "done", "score", "time", "begun")
_NOTE = "(scores: of runs on the test part; of searches the best trial's on the validation part)"


def ls(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where run directories were made.")
    ] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs and searches in a folder, the newest first: status, score and time."""
    with errors():
        from ensemble_pipe.search.listing import list_runs

        runs = list_runs(folder)
        give(_text(runs, folder), {"runs": [asdict(run) for run in runs]}, as_json)
        for line in _hints(runs, folder):
            say(line)


def _text(runs: Sequence["ListedRun"], folder: Path) -> str:
    from ensemble_pipe.core.messages import align_columns, printable

    if not runs:
        return f"no runs in {folder}"
    table = align_columns([_HEAD, *(_cells(run) for run in runs)])
    damage = [f"{run.name}: {run.damage}" for run in runs if run.damage]
    scores = [_NOTE] if any(run.metric for run in runs) else []
    combined = [
        f"{run.name}: combines the members of {run.combined_from}; its time is without their "
        "training"
        for run in runs
        if run.combined_from is not None
    ]
    return printable("\n".join([table, *scores, *combined, *damage]), "\n")


def _cells(run: "ListedRun") -> tuple[str, ...]:
    from ensemble_pipe.core.messages import printable

    begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.began_ms / 1000))
    if run.kind is None:
        return printable(run.name), "-", run.status, "-", "-", "-", begun
    what = "learners" if run.kind == "run" else "trials"
    failed = f", {run.failed} failed" if run.failed else ""
    done = f"{run.done} of {run.total} {what}{failed}"
    return printable(run.name), run.kind, run.status, done, _score(run), _time(run.seconds), begun


def _score(run: "ListedRun") -> str:
    if run.metric is None or run.score is None:
        return "-"
    return f"{run.metric.rpartition('/')[2]} {run.score:.4g}"


def _time(seconds: float) -> str:
    from ensemble_pipe.core.durations import duration_text

    return duration_text(round(seconds, 1 if seconds < 10 else 0))


def _hints(runs: Sequence["ListedRun"], folder: Path) -> Iterator[str]:
    """Yield what to do next with the newest that can go on, and with the newest of all."""
    from ensemble_pipe.search.listing import RESUMABLE

    found = {
        "resume": [run for run in runs if run.status in RESUMABLE],
        "report": [run for run in runs if run.kind is not None],
    }
    if any(found.values()):
        yield "\nnext:"
    for verb, those in found.items():
        if those:
            yield f"  {command_name()} {verb} {shell_word(_place(those[0], folder))}"


def _place(run: "ListedRun", folder: Path) -> Path:
    """Return a run directory as the user would name it."""
    within = folder / run.name
    return within if within.is_dir() else folder
