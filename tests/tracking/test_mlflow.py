"""What MLflow holds of a run: the run tree, right statuses, and nothing twice."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import StopAt
from mlflow import MlflowClient
from small_pipelines import small_settings

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import open_base
from ensemble_pipe.data.fingerprint import fingerprint
from ensemble_pipe.run.pipeline import RunResult, resume, run, sync
from ensemble_pipe.tracking.journal import read_lines
from ensemble_pipe.tracking.result_metrics import result_metrics
from ensemble_pipe.tracking.shipping import BETWEEN_MS, Shipper
from ensemble_pipe.tracking.store import sweep_orphans

# The curve of ensemble size is of members as they are, and so ends at what is not calibrated.
TRACKED = small_settings(
    hidden=16, epochs=4, name="tracked",
    ensemble={"learners": 3, "combine": {"temperature": False}},
)  # fmt: skip
TRACKED["tracking"] = {"register_as": "digits", "tags": {"team": "vision", "task": "reading"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline; its MLflow store is made by the first run, which takes a while.

    Its name must be quoted in addresses.
    """
    made = tmp_path_factory.mktemp("tracked") / "what? 100%41 #1"
    made.mkdir()
    (made / "tracked.yaml").write_text(yaml.safe_dump(TRACKED))
    return made


@pytest.fixture(scope="module")
def finished(folder: Path) -> RunResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1e-9")  # whenever it is looked at
        return run(folder / "tracked.yaml", output=folder / "runs", inline=True)


@pytest.fixture(scope="module")
def client(folder: Path, finished: RunResult) -> MlflowClient:
    return MlflowClient(tracking_uri=sqlite_address(folder / "mlflow.db"))


def tree(client: MlflowClient, run_id: str) -> tuple[Any, list[Any]]:
    """Return the parent and its children, in order of learner."""
    parent = client.get_run(run_id)
    found = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"
    )
    return parent, sorted(found, key=lambda child: child.info.run_name)


def statuses(client: MlflowClient, run_id: str) -> list[str]:
    parent, children = tree(client, run_id)
    return [parent.info.status, *(child.info.status for child in children)]


def history(client: MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client.get_metric_history(run_id, name)]


def test_there_is_one_finished_parent_with_a_finished_child_for_each_learner(
    client: MlflowClient, finished: RunResult
) -> None:
    assert finished.mlflow_run_id is not None
    assert statuses(client, finished.mlflow_run_id) == ["FINISHED"] * 4


def test_the_parent_has_the_ensembles_metrics_and_the_resolved_pipeline(
    client: MlflowClient, finished: RunResult
) -> None:
    parent, _ = tree(client, str(finished.mlflow_run_id))
    for name, value in result_metrics(finished.metrics, equal=True, members=3)[0].items():
        ((step, kept),) = history(client, parent.info.run_id, name)
        assert step == 0
        assert kept == pytest.approx(value, rel=1e-12)
    file = client.download_artifacts(parent.info.run_id, "metrics.json")
    assert json.loads(Path(file).read_text()) == finished.metrics
    assert parent.data.params["training.optimizer.name"] == "adam"
    assert parent.data.params["seed"] == "1"
    assert parent.data.tags["combiner"] == "mean of the members' probability"
    assert parent.data.tags["unfinished"] == "none"
    assert {"test_diversity/kl", "test_rejection/area"} <= parent.data.metrics.keys()
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert names == {
        "pipeline.yaml", "pictures", "report.html", "combined.json", "metrics.json",
        "uncertain_rows.json",
    }  # fmt: skip
    pictures = {file.path for file in client.list_artifacts(parent.info.run_id, "pictures")}
    assert {Path(path).name for path in pictures} == {
        path.name for path in RunPaths(Path(finished.run_dir)).pictures.iterdir()
    }
    assert {"ensemble_size", "reliability"} <= {Path(path).stem for path in pictures}


def test_the_ui_shows_what_the_ensemble_reaches_on_the_test_part_before_all_else(
    client: MlflowClient, finished: RunResult
) -> None:
    parent, children = tree(client, str(finished.mlflow_run_id))
    # The UI has a section for each folder of metrics, in order of their names.
    folders = sorted({name.rpartition("/")[0] for name in parent.data.metrics} - {"system"})
    assert folders[0] == "test"
    assert set(folders[1:-2]) == {
        "test_baseline_constant", "test_diversity", "test_member_best", "test_member_mean",
        "test_rejection",
    }  # fmt: skip
    assert folders[-2:] == ["time", "validation"]
    names = [child.info.run_name for child in children]
    assert names == ["learner 000 mlp", "learner 001 mlp", "learner 002 mlp"]


def test_the_experiment_is_of_trained_models_and_the_run_has_a_description_and_the_users_tags(
    client: MlflowClient, finished: RunResult
) -> None:
    experiment = client.get_experiment_by_name("ensemble_pipe")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    tags = tree(client, str(finished.mlflow_run_id))[0].data.tags
    assert (tags["data"], tags["strategy"]) == ("digits", "independent")
    assert (tags["team"], tags["task"]) == ("vision", "reading")
    text = tags["mlflow.note.content"]
    assert text == (Path(finished.run_dir) / "description.md").read_text()
    assert text.startswith("**Right for ")
    nll = finished.metrics["test/nll"]
    assert f"| negative log-likelihood (`nll`), lower is better | {nll:.4f} |" in text
    assert f"ensemble-pipe predict {shlex.quote(str(finished.run_dir))} INPUT" in text


def test_each_part_of_the_data_is_an_input_with_a_fingerprint_of_its_rows(
    client: MlflowClient, finished: RunResult
) -> None:
    parent, _ = tree(client, str(finished.mlflow_run_id))
    found = {one.dataset.name: one for one in parent.inputs.dataset_inputs}
    assert found.keys() == {"digits/train", "digits/stop", "digits/validation", "digits/test"}
    paths = RunPaths(Path(finished.run_dir))
    for part in ("train", "test"):
        dataset = found[f"digits/{part}"].dataset
        assert dataset.digest == fingerprint(paths.part(part))[:32]
        assert json.loads(dataset.source)["set"] == "digits"
        assert "mlflow_tensorspec" in json.loads(dataset.schema)
        assert json.loads(dataset.profile)["num_rows"] == open_base(paths.part(part)).table.num_rows
    assert [tag.value for tag in found["digits/train"].tags] == ["training"]


def test_the_curve_of_ensemble_size_grew_with_every_member(
    client: MlflowClient, finished: RunResult
) -> None:
    curve = history(client, str(finished.mlflow_run_id), "validation/nll")
    assert [step for step, _ in curve] == [1, 2, 3]
    # The curve comes from running sums, the result from all members at once.
    assert curve[-1][1] == pytest.approx(finished.metrics["validation/nll"], rel=1e-12)


def test_the_run_alone_has_what_was_sampled_of_the_machine(
    client: MlflowClient, finished: RunResult
) -> None:
    parent, children = tree(client, str(finished.mlflow_run_id))
    model = client.get_logged_model(str(finished.model_uri).removeprefix("models:/"))
    assert not [name for run in children for name in run.data.metrics if "system/" in name]
    assert not [metric.key for metric in model.metrics if metric.key.startswith("system/")]
    for name in ("cpu_utilization_percentage", "system_memory_usage_percentage"):
        sampled = history(client, parent.info.run_id, f"system/{name}")
        assert [step for step, _ in sampled] == list(range(1, len(sampled) + 1))
        assert sampled
        assert all(0 <= value <= 100 for _, value in sampled)


def test_each_child_has_a_curve_of_every_epoch(client: MlflowClient, finished: RunResult) -> None:
    _, children = tree(client, str(finished.mlflow_run_id))
    for child in children:
        for name in ("train/loss", "stop/loss", "stop/accuracy", "learning_rate"):
            assert [step for step, _ in history(client, child.info.run_id, name)] == [1, 2, 3, 4]
        assert child.data.params["optimizer.learning_rate"] == "0.001"


def test_the_model_is_registered_as_champion_and_has_no_pickle(
    client: MlflowClient, finished: RunResult, folder: Path
) -> None:
    version = client.get_model_version_by_alias("digits", "champion")
    assert version.run_id == finished.mlflow_run_id
    model_id = str(finished.model_uri).removeprefix("models:/")
    (location,) = (folder / "mlartifacts").glob(f"**/{model_id}")
    files = [path for path in location.rglob("*") if path.is_file()]
    # Python writes bytecode beside what it imports, as where a model was loaded from there.
    endings = {path.suffix for path in files if path.parent.name != "__pycache__"}
    assert endings <= {"", ".yaml", ".txt", ".json", ".py", ".safetensors"}
    assert (location / "artifacts" / "MLmodel").read_text().count("signature")


def test_the_test_metrics_are_those_of_the_model_on_the_test_part(
    client: MlflowClient, finished: RunResult
) -> None:
    model = client.get_logged_model(str(finished.model_uri).removeprefix("models:/"))
    found = {one.key: one for one in model.metrics}
    assert found["test/nll"].value == pytest.approx(finished.metrics["test/nll"])
    assert all(name.startswith("test/") for name in found)
    parent, _ = tree(client, str(finished.mlflow_run_id))
    (data,) = (one.dataset for one in parent.inputs.dataset_inputs if "/test" in one.dataset.name)
    measured = {(one.dataset_name, one.dataset_digest, one.run_id) for one in model.metrics}
    assert measured == {(data.name, data.digest, finished.mlflow_run_id)}


def test_the_ui_has_a_table_of_the_rows_that_the_ensemble_is_least_sure_of(
    client: MlflowClient, finished: RunResult
) -> None:
    file = client.download_artifacts(str(finished.mlflow_run_id), "uncertain_rows.json")
    table = json.loads(Path(file).read_text())
    entropies = [row[table["columns"].index("entropy")] for row in table["data"]]
    assert len(entropies) == open_base(RunPaths(Path(finished.run_dir)).part("test")).table.num_rows
    assert entropies == sorted(entropies, reverse=True)
    parent, _ = tree(client, str(finished.mlflow_run_id))
    assert json.loads(parent.data.tags["mlflow.loggedArtifacts"])[0]["type"] == "table"


def test_learners_are_listed_in_their_order(client: MlflowClient, finished: RunResult) -> None:
    """MLflow's UI asks for the newest first."""
    experiment = client.get_run(str(finished.mlflow_run_id)).info.experiment_id
    newest = ["attributes.start_time DESC"]
    wanted = f"tags.`mlflow.parentRunId` = '{finished.mlflow_run_id}'"
    found = client.search_runs([experiment], wanted, order_by=newest)
    assert [run.info.run_name[:11] for run in found] == [
        "learner 000",
        "learner 001",
        "learner 002",
    ]
    # However slowly they were journalled.
    begun = [run.info.start_time for run in found]
    assert begun == [begun[0] - BETWEEN_MS * learner for learner in range(3)]


def test_sending_everything_twice_changes_nothing(
    client: MlflowClient, finished: RunResult
) -> None:
    def everything() -> list[Any]:
        parent, children = tree(client, str(finished.mlflow_run_id))
        return [
            (
                r.info.status,
                r.data.params,
                {name: history(client, r.info.run_id, name) for name in r.data.metrics},
            )
            for r in (parent, *children)
        ]

    before = everything()
    tracker = sync(finished.run_dir, timeout_s=60)
    assert tracker.problem is None
    paths = RunPaths(Path(finished.run_dir))
    shipper = Shipper(paths, "unused", "ensemble_pipe", lambda *_: "models:/none")
    lines = list(read_lines(paths.journal))
    shipper.cursor.rewind()
    shipper.ship([line.entry for line in lines], lines[-1].end)
    assert everything() == before


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


def test_a_sweep_gives_a_run_the_end_that_its_journal_says(
    client: MlflowClient, finished: RunResult, folder: Path
) -> None:
    parent, children = tree(client, str(finished.mlflow_run_id))
    for run_ in (parent, *children):  # as if shipping had been cut off
        client.update_run(run_.info.run_id, status="RUNNING")
    sweep_orphans(client, parent.info.experiment_id, folder / "another")
    assert statuses(client, parent.info.run_id) == ["FINISHED"] * 4


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


def test_the_ui_without_a_store_says_what_to_do(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from ensemble_pipe.cli import app

    done = CliRunner().invoke(app, ["ui", "--output", str(tmp_path / "runs")])
    assert done.exit_code == 2
    assert "no MLflow store yet; run a pipeline first" in done.output
