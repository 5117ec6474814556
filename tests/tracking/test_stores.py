"""A run as MLflow's client reads it back from SQLite, from a server that asks for a password, and
from one on PostgreSQL."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from small_pipelines import small_settings

from ensemble_pipe.comparison.promotion import promote
from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.pipeline import run, sync
from ensemble_pipe.tracking.cursor import Cursor

pytestmark = pytest.mark.slow

ADMIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "a password of tests"}
START_S = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"nothing listens on port {port}")


@contextmanager
def postgresql() -> Iterator[str]:
    """Yield the address of a data base of a server of its own."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/postgres"), shutil.which("postgres")]
    binary = next((Path(path) for path in found if path), None)
    if binary is None:
        pytest.skip("no PostgreSQL is here: apt-get install postgresql")
    pytest.importorskip("psycopg2", reason="the extra `test` has it: pip install psycopg2-binary")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to be root's
    quiet = subprocess.DEVNULL
    with tempfile.TemporaryDirectory() as folder:
        if user is not None:
            shutil.chown(folder, user)
        data, port = f"{folder}/data", free_port()
        make = [
            str(binary.with_name("initdb")),
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "tests",
            "--no-sync",
        ]
        subprocess.run(make, check=True, stdout=quiet, user=user, cwd=folder)
        serve = [
            str(binary), "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder,
            "-c", "fsync=off",
        ]  # fmt: skip
        process = subprocess.Popen(serve, stderr=quiet, user=user, cwd=folder)
        try:
            wait_for(port, process)
            yield f"postgresql+psycopg2://tests@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


@contextmanager
def server(folder: Path, store: str, *app: str) -> Iterator[str]:
    """Yield the address of a server; as `--app-name basic-auth` it asks for user and password."""
    config, port = folder / "auth.ini", free_port()
    config.write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{folder / 'users.db'}\nadmin_username = admin\n"
        f"admin_password = {ADMIN['MLFLOW_TRACKING_PASSWORD']}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment = {name: value for name, value in os.environ.items() if "MLFLOW" not in name}
    environment |= {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "x"}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # eight processes more
    command = [
        sys.executable, "-m", "mlflow", "server", *app, "--workers", "1",
        "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", store,
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory, and SQLite beside its folder."""
    folder = tmp_path_factory.mktemp("stores")
    settings = small_settings(hidden=8, epochs=2, name="kept", ensemble={"learners": 2})
    settings["tracking"] = {"register_as": "digits", "tags": {"team": "vision"}}
    (folder / "p.yaml").write_text(yaml.safe_dump(settings))
    return Path(run(folder / "p.yaml", output=folder / "runs", inline=True).run_dir)


@pytest.mark.parametrize("kind", ["SQLite", "basic-auth", "PostgreSQL"])
def test_the_tree_the_data_the_description_and_the_champion_are_read_back(
    kind: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        if kind == "SQLite":
            uri, run_dir = sqlite_address(finished.parents[1] / "mlflow.db"), finished
        else:
            if kind == "PostgreSQL":
                uri = stack.enter_context(server(tmp_path, stack.enter_context(postgresql())))
            else:
                store = f"sqlite:///{tmp_path / 'store.db'}"
                uri = stack.enter_context(server(tmp_path, store, "--app-name", "basic-auth"))
                for name, value in ADMIN.items():
                    monkeypatch.setenv(name, value)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            run_dir = Path(shutil.copytree(finished, tmp_path / finished.name))
            RunPaths(run_dir).cursor.unlink()
            tracker = sync(run_dir, timeout_s=120)
            assert (tracker.problem, tracker.left_out) == (None, "")
        is_read_back(MlflowClient(tracking_uri=uri), run_dir)


def is_read_back(client: MlflowClient, run_dir: Path) -> None:
    cursor = Cursor.load(RunPaths(run_dir).cursor)
    parent = client.get_run(str(cursor.parent))
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{cursor.parent}'",
        order_by=["attributes.start_time DESC"],
    )  # fmt: skip
    assert [child.info.run_name for child in children] == ["learner 000 mlp", "learner 001 mlp"]
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert len(client.get_metric_history(children[0].info.run_id, "stop/loss")) == 2
    data = {one.dataset.name: one.dataset.digest for one in parent.inputs.dataset_inputs}
    assert data.keys() == {f"digits/{part}" for part in ("train", "stop", "validation", "test")}
    assert parent.data.tags["team"] == "vision"
    assert parent.data.tags["mlflow.note.content"] == RunPaths(run_dir).description.read_text()
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} >= {"report.html"}
    version = client.get_model_version_by_alias("digits", "champion")
    assert (str(version.version), version.run_id) == ("1", parent.info.run_id)
    model = client.get_logged_model(str(cursor.model_uri).removeprefix("models:/"))
    measured = {one.key: one.dataset_digest for one in model.metrics}
    assert measured["test/nll"] == data["digits/test"]
    assert len(client.get_metric_history(parent.info.run_id, "test/nll")) == 1
    assert promote(run_dir).champion == "1"
