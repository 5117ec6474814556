"""Companions that ship to MLflow: killed, several at once, and before a server that is dead."""

import shutil
import socket
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from journal_entries import write_journal
from mlflow import MlflowClient

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.lifecycle import FINISHED
from ensemble_pipe.tracking.companion import Assignment
from ensemble_pipe.tracking.tracker import MlflowTracker

pytestmark = pytest.mark.slow


def track(paths: RunPaths, uri: str) -> MlflowTracker:
    assignment = Assignment(str(paths.root), uri, "test", None, samples=True)
    tracker = MlflowTracker(paths, assignment, "ensemble_pipe.run.companion")
    tracker.start()
    return tracker


def statuses(store: str) -> list[str]:
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("test").experiment_id
    return sorted(run.info.status for run in client.search_runs([experiment]))


def quiet(_: str) -> None:
    return None


def test_one_that_is_killed_at_work_loses_nothing_and_sends_nothing_twice(
    empty_store: Path, tmp_path: Path
) -> None:
    store = sqlite_address(Path(shutil.copy(empty_store, tmp_path)))
    paths = write_journal(tmp_path / "runs" / "a", learners=40)
    tracker = track(paths, store)
    companion = tracker._companion
    while companion.heard[1].planned < 20:  # runs are being made
        companion.wait_for_news(0.05)
    assert companion.pid is not None
    psutil.Process(companion.pid).kill()
    tracker.finish(FINISHED, quiet)
    assert tracker.problem is None
    assert statuses(store) == ["FAILED", *["FINISHED"] * 40]
    client: Any = MlflowClient(tracking_uri=store)
    history = client.get_metric_history(tracker.mlflow_run_id, "validation/nll")
    assert [metric.step for metric in history] == list(range(1, 41))


def test_eight_at_once_make_one_store(tmp_path: Path) -> None:
    store = sqlite_address(tmp_path / "mlflow.db")
    runs = [write_journal(tmp_path / "runs" / f"r{number}", learners=2) for number in range(8)]
    trackers = [track(paths, store) for paths in runs]
    for tracker in trackers:
        tracker.finish(FINISHED, quiet)
        assert tracker.problem is None
    assert statuses(store) == ["FINISHED"] * 24


def test_a_server_that_never_answers_costs_15_seconds_after_a_run(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        paths = write_journal(tmp_path / "a", learners=2)
        tracker = track(paths, f"http://127.0.0.1:{server.getsockname()[1]}")
        server.settimeout(60)
        server.accept()  # and nothing more
        began = time.monotonic()
        tracker.finish(FINISHED, quiet)
        assert str(tracker.problem).startswith("no answer for 15")
        assert time.monotonic() - began < 18
