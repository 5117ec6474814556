"""A check in MLflow: a finished run with its findings and its page, and what a dead server does."""

import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from faulty_pipelines import duplicate_columns
from mlflow import MlflowClient
from typer.testing import CliRunner, Result

from ensemble_pipe.cli import app
from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.tracking import single_run

QUICKLY_S = 30.0  # on a machine that is busy; MLflow's own retries take minutes


@pytest.fixture
def sheet(empty_folder: Path) -> Path:
    """A pipeline with a fault of its data, whose check trains nothing."""
    found = {**duplicate_columns(empty_folder), "name": "sheet"}
    found["ensemble"] = {"pool": [{"strategy": "linear"}]}
    for key in ("network", "training"):
        found.pop(key, None)
    found.pop("tracking", None)
    path = empty_folder / "sheet.yaml"
    path.write_text(yaml.safe_dump(found), encoding="utf-8")
    return path


def check(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", str(path), "--json", *arguments])


def with_uri(uri: str) -> list[str]:
    return ["--set", f"tracking.uri={uri}"]


def test_it_is_a_finished_run_with_its_findings_and_its_page(
    sheet: Path, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite_address(Path(shutil.copy(empty_store, tmp_path / "store.db")))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)  # MLflow's tables are read from there alone
    done = check(sheet, *with_uri(store), "--set", "tracking.experiment=sheets")
    assert done.exit_code == 0, done.stderr
    run_id = json.loads(done.stdout)["mlflow_run_id"]
    where = f"the check is MLflow run {run_id}, in experiment 'sheets' of {store}"
    assert done.stderr.splitlines()[-1] == where
    client: Any = MlflowClient(tracking_uri=store)
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("check sheet", "FINISHED")
    assert run.data.tags["warnings"] == "duplicate-columns"
    assert run.data.tags["sound"] == "false"
    assert run.data.metrics["warnings"] == 1
    assert run.data.params["task"] == "classification"
    findings = client.load_table(run.info.experiment_id, "findings.json", [run_id])
    assert list(findings["name"]) == ["duplicate-columns"]
    page = Path(client.download_artifacts(run_id, "check.html", str(tmp_path)))
    assert "<h1>Check of sheet</h1>" in page.read_text(encoding="utf-8")


def test_by_default_it_is_beside_the_runs_and_without_tracking_nowhere(sheet: Path) -> None:
    untracked = check(sheet, "--set", "tracking.mlflow=false")
    assert json.loads(untracked.stdout)["mlflow_run_id"] is None
    assert "MLflow" not in untracked.stderr
    assert not Path("mlflow.db").exists()
    assert check(sheet, "--set", "data.label=absent").exit_code == 2
    assert not Path("mlflow.db").exists()


def test_a_server_that_is_down_is_told_of_and_fails_nothing(sheet: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        began = time.monotonic()
        done = check(sheet, *with_uri(f"http://ann:pw@127.0.0.1:{port}"))
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["warnings"] == ["duplicate-columns"]
    assert done.stderr.splitlines()[-1].startswith("MLflow has not received the check: ")
    assert "pw" not in done.stderr
    assert time.monotonic() - began < QUICKLY_S


def test_a_server_that_never_answers_is_given_up(
    sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_run, "ANSWER_S", 3.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        done = check(sheet, *with_uri(f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert done.exit_code == 0, done.stderr
    assert "has not received the check: no answer for 3 s; try again" in done.stderr
    assert time.monotonic() - began < QUICKLY_S
