"""How many calls a run takes, and that MLflow has the same however entries are sent together."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal_entries import write_journal
from mlflow import MlflowClient

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.journal import read_entries, read_lines
from ensemble_pipe.tracking.sendings import SENDINGS_TAG
from ensemble_pipe.tracking.shipping import Shipper

LEARNERS = 4
CALLS = (
    "create_run", "log_batch", "set_terminated", "set_tag", "search_runs", "get_run", "update_run",
    "log_artifact", "log_dict", "delete_tag", "log_param", "log_metric", "log_inputs",
)  # fmt: skip


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return write_journal(tmp_path_factory.mktemp("calls") / "run-1", LEARNERS)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of MLflow's client by name."""
    found: Counter[str] = Counter()

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any, **options: Any) -> Any:
            found[name] += 1
            return call(*args, **options)

        return count

    for name in CALLS:
        monkeypatch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name)))
    return found


def ship(paths: RunPaths, store: str, at_once: int) -> Shipper:
    """Ship a journal, so many entries at once."""
    paths.cursor.unlink(missing_ok=True)
    shipper = Shipper(paths, store, "test", lambda *_: "models:/none")
    lines = list(read_lines(paths.journal))
    for first in range(0, len(lines), at_once):
        part = lines[first : first + at_once]
        shipper.ship([line.entry for line in part], part[-1].end)
    return shipper


def content(store: str, shipper: Shipper) -> dict[str, Any]:
    """Return all that a store has of a run, by the names of its runs."""
    client, cursor = MlflowClient(tracking_uri=store), shipper.cursor
    found = {}
    for run_id in (str(cursor.parent), *cursor.children.values()):
        run = client.get_run(run_id)
        own = {"mlflow.parentRunId", "mlflow.user", "mlflow.source.type", SENDINGS_TAG}
        found[run.info.run_name] = {
            "status": run.info.status,
            "times": (run.info.start_time, run.info.end_time),
            "params": run.data.params,
            "tags": {k: v for k, v in run.data.tags.items() if k not in own},
            "metrics": {
                name: [
                    (m.step, m.timestamp, str(m.value))
                    for m in client.get_metric_history(run_id, name)
                ]
                for name in sorted(run.data.metrics)
            },
            "files": sorted(file.path for file in client.list_artifacts(run_id)),
        }
    return found


@pytest.fixture
def copy_store(empty_store: Path, tmp_path: Path) -> Any:
    return lambda name: sqlite_address(Path(shutil.copy(empty_store, tmp_path / name)))


def test_a_learner_takes_three_calls(paths: RunPaths, copy_store: Any, calls: Any) -> None:
    ship(paths, copy_store("a.db"), at_once=1000)
    runs = LEARNERS + 1
    assert calls["create_run"] == calls["set_terminated"] == runs
    assert calls["log_batch"] == runs + 1  # the parameters of the run itself are sent at once
    assert sum(calls.values()) <= 3 * runs + 8


def test_mlflow_has_the_same_however_entries_are_sent_together(
    paths: RunPaths, copy_store: Any
) -> None:
    stores = {size: copy_store(f"{size}.db") for size in (1, 1000)}
    found = [content(store, ship(paths, store, size)) for size, store in stores.items()]
    assert found[0] == found[1]
    whole = found[0]["run-1"]
    assert whole["status"] == "FINISHED"
    assert len(whole["metrics"]["validation/nll"]) == LEARNERS
    third = found[0]["learner 003 mlp"]
    assert (third["status"], third["tags"]["failure"]) == ("FAILED", "no memory")
    assert third["metrics"]["train/loss"][1][0] == 2
    tags = found[0]["learner 000 mlp"]["tags"]
    assert (tags["kind"], tags["ensemble_pipe.key"]) == ("mlp", "run-1/0")


def test_runs_that_a_killed_process_had_made_are_found_again(
    paths: RunPaths, copy_store: Any, calls: Any
) -> None:
    store = copy_store("killed.db")
    whole = content(store, ship(paths, store, at_once=1000))
    calls.clear()
    again = ship(paths, store, at_once=1000)  # without its cursor
    assert calls["create_run"] == 0
    assert calls["search_runs"] <= 3
    assert content(store, again) == whole


def test_a_model_is_logged_to_a_run_that_has_its_parameters_but_not_all_its_metrics(
    paths: RunPaths, copy_store: Any
) -> None:
    # MLflow copies the parameters, and reads the history of each metric, which takes long.
    found: dict[str, Any] = {}

    def log(uri: str, experiment: str, run: str, own: RunPaths) -> str:
        found.update(vars(MlflowClient(tracking_uri=uri).get_run(run).data))
        return "models:/m-1"

    store = copy_store("logged.db")
    paths.cursor.unlink(missing_ok=True)
    shipper = Shipper(paths, store, "test", log)
    sent = list(read_entries(paths.journal))
    shipper.ship([*sent[:-1], kinds.ModelEntry({"model.json": "0" * 64}), sent[-1]], 1)
    data = {name.removeprefix("_"): value for name, value in found.items()}
    assert data["params"]["seed"] == "1"
    assert "test/nll" not in data["metrics"]
    assert shipper.cursor.model_uri == "models:/m-1"


def test_a_model_that_cannot_be_logged_now_holds_up_nothing_else(
    paths: RunPaths, copy_store: Any
) -> None:
    def fail(*_: object) -> str:
        raise OSError("no space left")

    store = copy_store("model.db")
    paths.cursor.unlink(missing_ok=True)
    shipper = Shipper(paths, store, "test", fail)
    sent = [*list(read_entries(paths.journal))[:-1], kinds.ModelEntry({"model.json": "0" * 64})]
    with pytest.raises(OSError, match="no space left"):
        shipper.ship(sent, 1)
    client = MlflowClient(tracking_uri=store)
    found = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert sum(run.info.status == "FINISHED" for run in found) == LEARNERS - 1
    assert not paths.cursor.exists()
