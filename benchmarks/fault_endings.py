"""Runs that end in all ways, and several that start at once, as MLflow has them."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fault_cases import Case
from fault_mlflow import seen
from fault_runs import checkpoints_in, started, wait_until, write_pipeline

from ensemble_pipe.core.addresses import sqlite_address


def _statuses(folder: Path) -> dict[str, str]:
    """Return the statuses of the runs in a folder's store, without their learners."""
    found = seen(sqlite_address(folder / "mlflow.db"))
    return {key: status for key, (status, *_) in found.items() if "/" not in key}


def _ending(folder: Path, how: signal.Signals | None, *settings: str) -> str:
    """Run by the command, and send it a signal in its training; return its name."""
    path = write_pipeline(folder, tracking={})
    options = [part for setting in settings for part in ("--set", setting)]
    with started("run", path, "--inline", *options, cwd=folder) as process:
        if how is not None:
            wait_until(lambda: checkpoints_in(folder) >= 4 or process.poll() is not None)
            wait_until(lambda: len(list(folder.glob("runs/*/mlflow.json"))) == 1)
            process.send_signal(how)
        process.communicate(timeout=300)
    (run_dir,) = folder.glob("runs/*")
    return run_dir.name


LONG = "training.epochs=100000"


def ending(name: str, parent: Path) -> str:
    """End a run in one of six ways; MLflow must have the right status."""
    (folder := parent / name).mkdir()
    match name:
        case "finished":
            expected, run_id = "FINISHED", _ending(folder, None)
        case "an error":
            rate = "training.optimizer={name: sgd, learning_rate: 1.0e+38}"
            expected, run_id = "FAILED", _ending(folder, None, rate)
        case "Ctrl-C":
            expected, run_id = "KILLED", _ending(folder, signal.SIGINT, LONG)
        case "SIGTERM":
            expected, run_id = "KILLED", _ending(folder, signal.SIGTERM, LONG)
        case "SIGKILL, and another start":
            expected, run_id = "KILLED", _ending(folder, signal.SIGKILL, LONG)
            path = write_pipeline(folder, tracking={})
            with started("run", path, "--inline", cwd=folder) as process:
                process.communicate(timeout=300)
        case _:
            expected, run_id = "FINISHED", _ending(folder, signal.SIGKILL, "training.epochs=400")
            with started("resume", f"runs/{run_id}", "--inline", cwd=folder) as process:
                process.communicate(timeout=300)
    found = _statuses(folder)[run_id]
    assert found == expected, f"{found}, not {expected}"
    return "the right status"


def endings(folder: Path, small: bool) -> Iterator[Case]:
    last = ["SIGKILL, and another start", "SIGKILL, and resume"]
    for name in ["finished"] if small else ["finished", "an error", "Ctrl-C", "SIGTERM", *last]:
        yield Case(name, partial(ending, name, folder))


def _start_at_once(folder: Path, count: int) -> str:
    path = write_pipeline(folder, tracking={})
    processes = [started("run", path, "--inline", cwd=folder) for _ in range(count)]
    begun = [process.__enter__() for process in processes]
    try:
        for process in begun:
            _, errors = process.communicate(timeout=600)
            assert process.returncode == 0, errors
            assert "MLflow has not" not in errors, errors
    finally:
        for one in processes:
            one.__exit__(None, None, None)
    found = list(_statuses(folder).values())
    assert found == ["FINISHED"] * count, f"{found}"
    return f"{count} of {count} in MLflow"


def eight_starts(folder: Path, small: bool) -> Iterator[Case]:
    count = 2 if small else 8
    yield Case("at once", partial(_start_at_once, folder, count))
