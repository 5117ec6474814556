"""The calls to MLflow that need care: opening a store, finding runs again, sweeping orphans."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.storage import RunPaths
from ensemble_pipe.tracking.journal import read_entries

KEY_TAG = "ensemble_pipe.key"
_SQLITE = "sqlite:///"


def open_store(uri: str, experiment: str) -> tuple[Any, str]:
    """Return a client and the id of the experiment, which is made if need be.

    Processes that first touch a fresh SQLite store at once break each other, so this goes through
    a file lock beside the store.
    """
    quiet_mlflow()
    # With a server down, the default of seven retries blocks a call for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow import MlflowClient

    for chatty in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with _store_lock(uri):
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
        if found is not None:
            return client, found.experiment_id
        return client, client.create_experiment(experiment, _artifact_location(uri, experiment))


def quiet_mlflow() -> None:
    """Keep MLflow from reporting its use elsewhere, unless the user decided otherwise."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@contextmanager
def _store_lock(uri: str) -> Iterator[None]:
    if not uri.startswith(_SQLITE):
        yield
        return
    path = Path(uri.removeprefix(_SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=120):
        yield


def _artifact_location(uri: str, experiment: str) -> str | None:
    if not uri.startswith(_SQLITE):
        return None  # a server has a place of its own
    folder = Path(uri.removeprefix(_SQLITE)).resolve().parent / "mlartifacts"
    return (folder / experiment).as_uri()


def find_run(client: Any, experiment_id: str, key: str) -> str | None:
    """Return the id of the run with a key, where there is one."""
    found = client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
    return found[0].info.run_id if found else None


def sweep_orphans(client: Any, experiment_id: str, own: Path) -> None:
    """Give runs their end whose driver died before MLflow had it: what the journal says, or KILLED.

    A driver holds the lock in its run directory; a run that is RUNNING while nobody holds its lock
    is an orphan. Runs of other machines, whose directory is not here, are left alone.
    """
    wanted = f"tags.`{KEY_TAG}` LIKE '%' AND attributes.status = 'RUNNING'"
    running = client.search_runs([experiment_id], wanted, max_results=1000)
    parents = [run for run in running if "ensemble_pipe.run_dir" in run.data.tags]
    for parent in parents:
        paths = RunPaths(Path(parent.data.tags["ensemble_pipe.run_dir"]))
        if paths.root == own or not paths.lock.is_file() or _is_held(paths.lock):
            continue
        try:
            status = _ending(paths)
        except CorruptFileError:
            continue  # the run's own next command says what is wrong with its journal
        for run in running:
            if run.data.tags[KEY_TAG].split("/")[0] == parent.data.tags[KEY_TAG]:
                client.set_terminated(run.info.run_id, status=status)


def _ending(paths: RunPaths) -> str:
    last = "KILLED"
    if paths.journal.is_file():
        for entry, _ in read_entries(paths.journal):
            last = entry["status"] if entry["kind"] == "ended" else "KILLED"
    return last


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
