"""Whatever ends a run, or its server, MLflow has its right status and all of its curves."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import StopAt
from mlflow import MlflowClient
from tracked_runs import client_of, finished_run, history, pipeline_in, statuses, tree

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import RunResult, resume, run, sync


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipeline_in(tmp_path_factory.mktemp("tracked"))


@pytest.fixture(scope="module")
def finished(folder: Path) -> RunResult:
    return finished_run(folder)


@pytest.fixture(scope="module")
def client(folder: Path, finished: RunResult) -> MlflowClient:
    return client_of(folder)


@pytest.mark.slow
def test_a_journal_that_has_lost_its_end_is_made_whole_or_told_of(
    client: MlflowClient, folder: Path
) -> None:
    settings: dict[str, Any] = {"tracking.register_as": None, "output": folder / "runs"}
    run_dir = Path(run(folder / "tracked.yaml", inline=True, **settings).run_dir)
    paths = RunPaths(run_dir)

    def counts() -> list[int]:
        parent, children = tree(client, parent_of(client, run_dir))
        return [
            sum(
                len(history(client, r.info.run_id, name))
                for name in r.data.metrics
                if not name.startswith("time/")  # of which each process has its own
            )
            for r in (parent, *children)
        ]

    before, lines = counts(), paths.journal.read_text().splitlines(keepends=True)
    paths.journal.write_text("".join(lines[:-8]))  # only what follows from checkpoints
    with pytest.raises(CorruptFileError, match=r"no entry ends at byte .* completes it"):
        sync(run_dir, timeout_s=60)
    assert resume(run_dir, inline=True).members == 3
    assert counts() == before
    for kept in (0, 2, len(lines) // 2):
        paths.journal.write_text("".join(lines[:kept]))
        for command in (lambda: resume(run_dir, inline=True), lambda: sync(run_dir, timeout_s=1)):
            with pytest.raises(CorruptFileError, match=r"lost its start|has the plans|lost epochs"):
                command()
    assert statuses(client, parent_of(client, run_dir)) == ["FINISHED"] * 4


def newest(folder: Path) -> Path:
    return max((folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime)


def parent_of(client: MlflowClient, run_dir: Path) -> str:
    experiment = client.get_experiment_by_name("ensemble_pipe")
    found = client.search_runs(
        [experiment.experiment_id], f"tags.`ensemble_pipe.key` = '{run_dir.name}'"
    )
    return str(found[0].info.run_id)


@pytest.mark.slow
def test_ctrl_c_leaves_killed_runs_and_a_resume_finishes_them(
    client: MlflowClient, finished: RunResult, folder: Path
) -> None:
    # One stack after another, so that one learner is finished and one has not begun.
    settings: dict[str, Any] = {"cluster.stack": 1, "tracking.register_as": None}
    settings.update(output=folder / "runs", inline=True, display=StopAt(6))
    with pytest.raises(KeyboardInterrupt):
        run(folder / "tracked.yaml", **settings)
    run_dir = newest(folder)
    parent = parent_of(client, run_dir)
    assert statuses(client, parent) == ["KILLED", "FINISHED", "KILLED", "KILLED"]
    result = resume(run_dir, inline=True)
    assert result.mlflow_run_id == parent
    assert statuses(client, parent) == ["FINISHED"] * 4
    assert result.metrics == finished.metrics
    _, children = tree(client, parent)
    for child in children:
        steps = [step for step, _ in history(client, child.info.run_id, "train/loss")]
        assert steps == [1, 2, 3, 4]


def kill_a_run(client: MlflowClient, folder: Path) -> Path:
    """Start a run, kill its driver while MLflow shows it at work, and return its directory."""
    code = "from ensemble_pipe.cli import app; app()"
    arguments = ["run", "tracked.yaml", "--inline", "--set", "training.epochs=100000"]
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    experiment = client.get_experiment_by_name("ensemble_pipe").experiment_id
    running = "attributes.status = 'RUNNING'"
    while len(client.search_runs([experiment], running)) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert statuses(client, parent_of(client, newest(folder)))[0] == "RUNNING"
    return newest(folder)


@pytest.mark.slow
def test_a_killed_driver_is_swept_up_by_the_next_start(client: MlflowClient, folder: Path) -> None:
    run_dir = kill_a_run(client, folder)
    settings: dict[str, Any] = {"training.epochs": 1, "tracking.register_as": None}
    run(folder / "tracked.yaml", output=folder / "runs", inline=True, **settings)
    assert statuses(client, parent_of(client, run_dir)) == ["KILLED"] * 4


@pytest.mark.slow
def test_a_killed_driver_is_told_of_by_sync(client: MlflowClient, folder: Path) -> None:
    run_dir = kill_a_run(client, folder)
    with open(run_dir / "journal.jsonl", "a") as journal:
        journal.write('{"kind": "epo')  # torn by the kill
    assert sync(run_dir, timeout_s=60).problem is None
    assert statuses(client, parent_of(client, run_dir)) == ["KILLED"] * 4


@pytest.mark.slow
def test_a_server_that_is_down_loses_nothing_and_its_password_is_not_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    began = time.monotonic()
    secret = f"http://ann:SECRET@127.0.0.1:{port}"
    settings: dict[str, Any] = {"tracking.uri": secret, "tracking.register_as": None}
    result = run(folder / "tracked.yaml", output=tmp_path / "runs", inline=True, **settings)
    assert time.monotonic() - began < 60
    assert result.mlflow_run_id is None
    assert result.members == 3
    assert sync(result.run_dir, timeout_s=2).problem is not None

    store = f"sqlite:///{tmp_path / 'server.db'}"
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # eight processes more
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1",
        "--host", "127.0.0.1", "--port", str(port), "--artifacts-destination", str(tmp_path / "a"),
    ]  # fmt: skip
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        problem = sync(result.run_dir, timeout_s=2).problem
        assert problem is not None
        assert "set MLFLOW_TRACKING_PASSWORD to the password" in problem.reason
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "SECRET")
        tracker = sync(result.run_dir, timeout_s=120)
        assert tracker.problem is None
        assert tracker.left_out == ""
        assert not any(b"SECRET" in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
        client = MlflowClient(tracking_uri=uri)
        assert statuses(client, str(tracker.mlflow_run_id)) == ["FINISHED"] * 4
        parent, _ = tree(client, str(tracker.mlflow_run_id))
        assert parent.data.metrics["test/nll"] == result.metrics["test/nll"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


@pytest.mark.slow
def test_the_ui_serves_the_store_on_loopback(
    client: MlflowClient, folder: Path, finished: RunResult
) -> None:
    code = "from ensemble_pipe.cli import app; app()"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", code, "ui", "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address, _, page = line.split(" at ")[1].split()[0].partition("/#/")
            experiment = client.get_experiment_by_name("ensemble_pipe").experiment_id
            assert page == f"experiments/{experiment}/runs?workflowType=machine_learning"
            assert address != f"http://127.0.0.1:{port}"  # that port was taken
            remote = MlflowClient(tracking_uri=address)
            assert remote.get_run(str(finished.mlflow_run_id)).info.status == "FINISHED"
            wanted = f"get-artifact?path=pipeline.yaml&run_uuid={finished.mlflow_run_id}"
            with urllib.request.urlopen(f"{address}/{wanted}", timeout=60) as answer:
                assert answer.read() == (Path(finished.run_dir) / "pipeline.yaml").read_bytes()
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 143
    with socket.socket() as probe:
        _, number = address.rsplit(":", 1)
        assert probe.connect_ex(("127.0.0.1", int(number))) != 0
