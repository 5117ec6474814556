"""`sync`: a run shipped later, to stores in any folder, and what it says where that fails."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from typer.testing import CliRunner

from ensemble_pipe.cli import app
from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.tracking.journal import read_lines

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("rendered_pictures")]

TABLE = {
    "task": "regression",
    "data": {
        "source": "table", "path": "rows.csv", "label": ["price [$]", "size"],
        "columns": {"region_*": {"kind": "category"}, "age (years)": {"missing": "median"}},
    },
    "network": {"hidden": [4]},
    "training": {"epochs": 2},
    "ensemble": {"learners": 2, "combine": {"method": "greedy", "milliseconds": 5.0}},
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose MLflow has received nothing, and which logs no model."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(200, 2)), columns=["age (years)", "price [$]"])
    frame["size"], frame["region_1"] = frame["age (years)"] + 1, random.choice(["n", "s"], 200)
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        frame.to_csv("rows.csv", index=False)
        Path("p.yaml").write_text(yaml.safe_dump(TABLE))
        quiet: dict[str, Any] = {"tracking.mlflow": False}
        run_dir = Path(runs.run("p.yaml", inline=True, **quiet).run_dir)
    return without_model(run_dir)


def without_model(run_dir: Path) -> Path:
    """Let a run ship to MLflow, but for its model, which takes as long as all else together."""
    paths = RunPaths(run_dir)
    kept = [one.values for one in read_lines(paths.journal) if one.values["kind"] != "model"]
    paths.journal.write_text("".join(json.dumps(values) + "\n" for values in kept))
    paths.pipeline.write_text(paths.pipeline.read_text().replace("mlflow: false", "mlflow: true"))
    return run_dir


def sync(run_dir: Path, timeout_s: float = 30) -> Any:
    return CliRunner().invoke(app, ["sync", str(run_dir), "--timeout-s", str(timeout_s)])


def test_a_journal_that_has_lost_the_result_is_no_finished_run(copied: Path) -> None:
    paths = RunPaths(copied)
    lines = paths.journal.read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if json.loads(line)["kind"] == "combined")
    assert "the run itself is" not in sync(copied).output
    paths.cursor.unlink()
    paths.journal.write_text("".join(lines[:first]))
    done = sync(copied)
    assert done.exit_code == 0, done.output
    assert f"the run itself is KILLED; `ensemble-pipe resume {copied}` finishes it" in done.stderr


@pytest.mark.parametrize("name", ["ques?tion", "100%", "%41", "a#b", "ä ö 日本", "a;b", "x" * 250])
def test_any_folder_holds_a_store(
    name: str, trained: Path, empty_store: Path, tmp_path: Path
) -> None:
    folder = tmp_path / name
    run_dir = Path(shutil.copytree(trained, folder / "runs" / trained.name))
    shutil.copy(empty_store, folder)
    done = sync(run_dir)
    assert done.exit_code == 0, done.output
    assert "is complete" in done.output
    assert "cannot be sent" not in done.output
    client = MlflowClient(tracking_uri=sqlite_address(folder / "mlflow.db"))
    experiment = client.get_experiment_by_name("ensemble_pipe").experiment_id
    run = next(r for r in client.search_runs([experiment]) if "unfinished" in r.data.tags)
    assert run.info.status == "FINISHED"
    assert run.data.params["data.columns.region__x002A_.kind"] == "category"
    assert "test/rmse/price _x005B__x0024__x005D_" in run.data.metrics
    for artifact in ("pipeline.yaml", "report.html", "combined.json"):
        content = Path(client.download_artifacts(run.info.run_id, artifact)).read_bytes()
        assert artifact == "combined.json" or content == (run_dir / artifact).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {name}
    assert {path.name for path in folder.iterdir()} == {
        "runs", "mlflow.db", "mlartifacts", ".mlflow.db.lock"
    }  # fmt: skip


@pytest.fixture
def copied(trained: Path, empty_store: Path, tmp_path: Path) -> Path:
    shutil.copy(empty_store, tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "runs" / trained.name))


def test_components_that_are_not_here_do_not_hold_a_run_up(copied: Path) -> None:
    pipeline = RunPaths(copied).pipeline
    values = yaml.safe_load(pipeline.read_text())
    values["network"] = {"name": "sequential", "layers": [{"name": "a_layer_of_mine"}]}
    pipeline.write_text(yaml.safe_dump(values))
    done = sync(copied)
    assert done.exit_code == 0, done.output
    assert "is complete" in done.output


@pytest.mark.parametrize("harm", ["delete_run", "delete_experiment"])
def test_a_refusal_of_all_is_no_absent_server(harm: str, copied: Path) -> None:
    assert sync(copied).exit_code == 0
    client = MlflowClient(tracking_uri=sqlite_address(copied.parents[1] / "mlflow.db"))
    cursor = json.loads((copied / "mlflow.json").read_text())
    experiment = client.get_run(cursor["parent"]).info.experiment_id
    getattr(client, harm)(cursor["parent"] if harm == "delete_run" else experiment)
    del cursor["crc"]
    (copied / "mlflow.json").write_text(json.dumps({**cursor, "offset": 0}))
    done = sync(copied)
    assert done.exit_code == 1
    assert "is deleted in MLflow" in done.output
    assert "restore" in done.output
    assert "start the tracking server" not in done.output


def test_what_mlflow_refuses_is_named_by_sync(copied: Path) -> None:
    assert sync(copied).exit_code == 0
    cursor = json.loads((copied / "mlflow.json").read_text())
    del cursor["crc"]
    (copied / "mlflow.json").write_text(json.dumps({**cursor, "offset": 0}))
    journal = copied / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"seed": 1,', '"seed": 2,'))
    done = sync(copied)
    assert done.exit_code == 0
    assert "is complete, but for what cannot be sent (param seed: " in done.output


def test_an_absent_server_is_named_without_its_password(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (copied / "pipeline.yaml").read_text()
    hidden = "http://ann:***@127.0.0.1:9/x?token=***"
    (copied / "pipeline.yaml").write_text(text.replace("uri: null", f"uri: '{hidden}'"))
    done = sync(copied)
    assert done.exit_code == 1
    assert "set MLFLOW_TRACKING_PASSWORD to the password, or MLFLOW_TRACKING_URI" in done.output
    monkeypatch.setenv("MLFLOW_TRACKING_URI", hidden.replace("***", "SECRET"))
    done = sync(copied, timeout_s=2.5)
    assert done.exit_code == 1
    assert "start the tracking server and try again" in done.output
    assert "SECRET" not in done.output
    assert not any(b"SECRET" in p.read_bytes() for p in copied.rglob("*") if p.is_file())


def test_a_run_writes_no_secret(trained: Path, tmp_path: Path) -> None:
    path = trained.parents[1] / "p.yaml"
    secret: dict[str, Any] = {
        "tracking.uri": "http://ann:SECRET@127.0.0.1:9?token=SECRET",
        "tracking.mlflow": False,
        "data.path": str(trained.parents[1] / "rows.csv"),
        "training.epochs": 1,
        "ensemble.combine.milliseconds": None,
    }
    result = runs.run(path, output=tmp_path, inline=True, **secret)
    assert not any(b"SECRET" in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    written = yaml.safe_load((Path(result.run_dir) / "pipeline.yaml").read_text())
    assert written["tracking"]["uri"] == "http://ann:***@127.0.0.1:9?token=***"
