"""A small run that MLflow has, and what its store holds of a run."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from small_pipelines import small_settings

from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.run.pipeline import RunResult, run

# The curve of ensemble size is of members as they are, and so ends at what is not calibrated.
TRACKED = small_settings(
    hidden=16, epochs=4, name="tracked",
    ensemble={"learners": 3, "combine": {"temperature": False}},
)  # fmt: skip
TRACKED["tracking"] = {"register_as": "digits", "tags": {"team": "vision", "task": "reading"}}


def pipeline_in(parent: Path) -> Path:
    """Return a folder with a pipeline, whose name must be quoted in addresses.

    Its MLflow store is made by the first run, which takes a while.
    """
    made = parent / "what? 100%41 #1"
    made.mkdir()
    (made / "tracked.yaml").write_text(yaml.safe_dump(TRACKED))
    return made


def finished_run(folder: Path) -> RunResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1e-9")  # whenever it is looked at
        return run(folder / "tracked.yaml", output=folder / "runs", inline=True)


def client_of(folder: Path) -> MlflowClient:
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
