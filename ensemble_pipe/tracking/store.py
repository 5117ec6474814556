"""Opening MLflow's store, finding runs in it, and ending runs whose driver died."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ensemble_pipe.core.addresses import restore_secrets, sqlite_address, sqlite_path
from ensemble_pipe.core.errors import CorruptFileError, InputError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.endings import endings, open_status
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.refusals import is_refusal

KEY_TAG = "ensemble_pipe.key"
# Without it MLflow's UI takes an experiment for one of language models.
_KIND = {"mlflow.experimentKind": "custom_model_development"}


def require_address(uri: str) -> str:
    """Return the address of a store with its secrets.

    Raises:
        InputError: they are hidden, and not in the environment.
    """
    address = restore_secrets(uri)
    if address is None:
        raise InputError(
            f"{uri}: has a password or token, which is kept in no file; set "
            "MLFLOW_TRACKING_PASSWORD to the password, or MLFLOW_TRACKING_URI to the whole address"
        )
    return address


def open_store(uri: str, experiment: str) -> tuple[Any, str]:
    """Return a client and the id of the experiment, which is made if need be.

    Processes that first touch a fresh SQLite store at once break each other, so this goes through
    a file lock beside the store.

    Raises:
        InputError: the experiment is deleted.
        MlflowException: the store cannot be reached, or refuses.
    """
    name = names.experiment_name(experiment)
    with _store_lock(uri):
        _make_whole(uri)
        client = client_of(uri)
        found = client.get_experiment_by_name(name)
        if found is None:
            place = _artifact_location(uri, experiment)
            return client, client.create_experiment(name, place, _KIND)
    if found.lifecycle_stage != "active":
        raise InputError(
            f"tracking.experiment: {experiment!r} is deleted in MLflow; "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}` brings it back"
        )
    for tag, value in _KIND.items():
        if tag not in found.tags:
            client.set_experiment_tag(found.experiment_id, tag, value)
    return client, found.experiment_id


def client_of(uri: str) -> Any:
    """Return MLflow's client of a store, which may be none yet."""
    quiet_mlflow()
    # With a server down, the default of seven retries blocks a call for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow import MlflowClient

    _quiet_tables()
    return MlflowClient(tracking_uri=uri)


def _quiet_tables() -> None:
    """Keep MLflow, once it is imported, from reporting every step of making its tables."""
    for chatty in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def quiet_mlflow() -> None:
    """Keep MLflow from reporting its use elsewhere, unless the user decided otherwise."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@contextmanager
def _store_lock(uri: str) -> Iterator[None]:
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=120):
        yield


def _make_whole(uri: str) -> None:
    """Make an SQLite store that is not there yet, under another name until it is whole.

    MLflow makes the tables one by one, and refuses for good a file in which it was stopped.
    """
    path = sqlite_path(uri)
    if path is None or path.exists():
        return
    quiet_mlflow()
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    made = path.with_name(f".{path.name}.new")
    for left in (made, made.with_name(f"{made.name}-journal")):
        left.unlink(missing_ok=True)  # of a process that was stopped
    _quiet_tables()
    SqlAlchemyStore(sqlite_address(made), DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
    made.replace(path)


def _artifact_location(uri: str, experiment: str) -> str | None:
    path = sqlite_path(uri)
    if path is None:
        return None  # a server has a place of its own
    return (path.resolve().parent / "mlartifacts" / names.folder_name(experiment)).as_uri()


def lacks_run(uri: str, run_id: str) -> bool:
    """Return whether a store has no run of an id; False where it cannot be asked now.

    Raises:
        InputError: the store's password or token is not in the environment.
    """
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        return True
    with _store_lock(uri):
        try:
            client_of(require_address(uri)).get_run(run_id)
        except InputError:
            raise
        except Exception as error:
            return is_refusal(error)
    return False


def find_run(client: Any, experiment_id: str, key: str) -> str | None:
    """Return the id of the run with a key; None for none."""
    found = client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
    return found[0].info.run_id if found else None


def child_runs(client: Any, experiment_id: str, parent: str) -> dict[str, Any]:
    """Return the learners' runs of a run, by their keys."""
    wanted, found, token = f"tags.`mlflow.parentRunId` = '{parent}'", dict[str, Any](), None
    while True:
        page = client.search_runs([experiment_id], wanted, max_results=1000, page_token=token)
        found.update({run.data.tags[KEY_TAG]: run for run in page if KEY_TAG in run.data.tags})
        token = page.token
        if not token:
            return found


def sweep_orphans(client: Any, experiment_id: str, own: Path) -> None:
    """Set the final status of runs whose driver died: that of the journal, or KILLED.

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
            _end(client, [run for run in running if _root_of(run) == _root_of(parent)], paths)
        except CorruptFileError:
            continue  # the run's own next command reports the damage


def _end(client: Any, runs: list[Any], paths: RunPaths) -> None:
    """Set the final statuses of a run and its learners by the journal."""
    entries = read_entries(paths.journal) if paths.journal.is_file() else ()
    status, learners = endings(entries)
    own = {f"{paths.root.name}/{learner}": end for learner, end in learners.items()}
    for run in runs:
        key = run.data.tags[KEY_TAG]
        is_learner = "/" in key
        end = own.get(key, open_status(status)) if is_learner else status
        client.set_terminated(run.info.run_id, status=end)


def _root_of(run: Any) -> str:
    """Return the name of the run directory of a run or a learner."""
    return str(run.data.tags[KEY_TAG].split("/")[0])


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
