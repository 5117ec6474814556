"""The runs and searches in a folder, each in one row: the function `list_runs`.

Only the journals are read, and of them neither epochs nor what a row does not show.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ensemble_pipe.comparison.runs import driven_seconds, own_entries
from ensemble_pipe.config.conversion import validate
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.errors import EnsemblePipeError, InputError
from ensemble_pipe.core.path_kinds import describe_misplaced
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.search.drivers import driver_of
from ensemble_pipe.search.results import trials_of
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import Entry, ResultEntry
from ensemble_pipe.tracking.run_summary import RunSummary, is_driven, summarize

Kind = Literal["run", "search"]
Status = Literal["finished", "running", "interrupted", "failed", "time limit", "damaged"]
RESUMABLE = ("interrupted", "failed", "time limit")

# One of them has even a run directory that is damaged, or being made.
_FILES = ("journal.jsonl", "driver.lock", "pipeline.yaml")
# Kinds of entries of which a row shows nothing.
_UNREAD = (
    "epoch", "cost", "member_test", "ensemble", "refitted", "importance", "pictures", "model",
    "timeline",
)  # fmt: skip
_STATUS: dict[str, Status] = {
    "FINISHED": "finished", "RUNNING": "running", "KILLED": "interrupted", "FAILED": "failed",
}  # fmt: skip
_OF_TASKS = ("test/accuracy", "test/rmse")


@dataclass(frozen=True)
class ListedRun:
    """A run or a search.

    Attributes:
        name: of its folder.
        run_dir: the folder.
        kind: None where that cannot be read.
        status: "time limit" where that ended it before it had done all.
        done, total: learners of a run that are trained, or trials of a search that have ended, and
            how many there are to be.
        failed: of them.
        metric, score: of a run "test/accuracy" or "test/rmse", or what its combiner aims at, on
            the test part; of a search that of its best trial so far, on the validation part. None
            where there is none yet.
        seconds: that processes have driven it; of a combined run without the training of its
            members, which is that of the run that they come from.
        began_ms: in milliseconds since 1970; of a damaged one when its folder last changed.
        damage: why it cannot be read; "" where it can.
        combined_from: the run whose members it combines anew; None where it trains its own.
    """

    name: str
    run_dir: str
    kind: Kind | None
    status: Status
    began_ms: int
    done: int = 0
    total: int = 0
    failed: int = 0
    metric: str | None = None
    score: float | None = None
    seconds: float = 0.0
    damage: str = ""
    combined_from: str | None = None


def list_runs(folder: str | Path = "runs") -> list[ListedRun]:
    """Return the runs and searches in a folder, the newest first.

    Args:
        folder: that run directories were made in; or one run directory.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            describe_misplaced(folder, "a folder of run directories")
            or f"{folder}: no such folder; name one that `run` or `search` made runs in"
        )
    found = [_listed(RunPaths(root)) for root in _run_dirs(folder.resolve())]
    return sorted(found, key=lambda one: (-one.began_ms, one.name))


def _run_dirs(folder: Path) -> Iterator[Path]:
    """Yield the folder itself if it is a run directory, else those in it."""
    if _is_run(folder):
        yield folder
        return
    yield from (one for one in folder.iterdir() if _is_run(one))


def _is_run(folder: Path) -> bool:
    """Return whether a path is a run directory, complete or not."""
    return os.access(folder, os.X_OK) and any((folder / name).is_file() for name in _FILES)


def _listed(paths: RunPaths) -> ListedRun:
    name, run_dir = paths.root.name, str(paths.root)
    try:
        entries = list(read_entries(RunPaths.open(paths.root).journal, _UNREAD))
        run = summarize(paths, entries)
        kind: Kind = "search" if run.pipeline.get("search") is not None else "run"
        done, total, failed, metric, score = _of_search(run) if kind == "search" else _of_run(run)
    except (EnsemblePipeError, OSError) as error:
        changed_ms = int(paths.root.stat().st_mtime * 1000)
        if not paths.manifest.is_file() and is_driven(paths):  # its data is being prepared
            return ListedRun(name, run_dir, None, "running", changed_ms)
        return ListedRun(name, run_dir, None, "damaged", changed_ms, damage=str(error))
    return ListedRun(
        name, run_dir, kind, _status_of(run, entries), run.began_ms, done, total, failed, metric,
        score, round(driven_seconds(own_entries(entries)), 1), combined_from=run.combined_from,
    )  # fmt: skip


def _status_of(run: RunSummary, entries: Sequence[Entry]) -> Status:
    status = _STATUS[run.status]
    if status == "finished" and run.left_undone:
        result = [entry for entry in entries if isinstance(entry, ResultEntry)][-1]
        return "interrupted" if result.limit_s is None else "time limit"
    return status


_Progress = tuple[int, int, int, str | None, float | None]


def _of_run(run: RunSummary) -> _Progress:
    """Return learners done, in all and failed, metric and score."""
    aim = run.pipeline["ensemble"]["combine"].get("metric", "nll")
    names = [*([] if aim == "nll" else [f"test/{aim}"]), *_OF_TASKS]
    metric = next((name for name in names if name in run.metrics), None)
    ended = {*run.finished, *(learner for learner, _ in run.by_place), *run.spared, *run.failed}
    done = ended - set(run.unfinished)
    score = None if metric is None else run.metrics[metric]
    return len(done), len(run.plans), len(run.failed), metric, score


def _of_search(run: RunSummary) -> _Progress:
    """Return trials done, in all and failed, metric and best score."""
    config = validate(Document(run.run_id, run.pipeline))
    metric, trials = trials_of(config, run)
    endings = [trial.ending for trial in trials]
    done = len(endings) - endings.count("unfinished")
    best = trials[0].score if trials else None
    metric_name = None if best is None else f"validation/{metric}"
    return done, driver_of(config).total, endings.count("failed"), metric_name, best
