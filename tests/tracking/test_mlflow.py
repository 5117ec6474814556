"""What MLflow holds of a run: the run tree, right statuses, and nothing twice."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tracked_runs import client_of, finished_run, history, pipeline_in, statuses, tree

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import open_base
from ensemble_pipe.data.fingerprint import fingerprint
from ensemble_pipe.run.pipeline import RunResult, sync
from ensemble_pipe.tracking.journal import read_lines
from ensemble_pipe.tracking.result_metrics import result_metrics
from ensemble_pipe.tracking.shipping import BETWEEN_MS, Shipper
from ensemble_pipe.tracking.store import sweep_orphans


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipeline_in(tmp_path_factory.mktemp("tracked"))


@pytest.fixture(scope="module")
def finished(folder: Path) -> RunResult:
    return finished_run(folder)


@pytest.fixture(scope="module")
def client(folder: Path, finished: RunResult) -> MlflowClient:
    return client_of(folder)


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


def test_a_sweep_gives_a_run_the_end_that_its_journal_says(
    client: MlflowClient, finished: RunResult, folder: Path
) -> None:
    parent, children = tree(client, str(finished.mlflow_run_id))
    for run_ in (parent, *children):  # as if shipping had been cut off
        client.update_run(run_.info.run_id, status="RUNNING")
    sweep_orphans(client, parent.info.experiment_id, folder / "another")
    assert statuses(client, parent.info.run_id) == ["FINISHED"] * 4


def test_the_ui_without_a_store_says_what_to_do(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from ensemble_pipe.cli import app

    done = CliRunner().invoke(app, ["ui", "--output", str(tmp_path / "runs")])
    assert done.exit_code == 2
    assert "no MLflow store yet; run a pipeline first" in done.output
