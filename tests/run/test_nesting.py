"""A run that is started within a caller's own active run of MLflow is shown below it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from small_pipelines import small_settings

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.addresses import sqlite_address
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.run.nesting import below_active_run, require_parent
from ensemble_pipe.run.pipeline import run

TRACKED: dict[str, Any] = {"experiment": "elsewhere", "tags": {"team": "vision"}}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sqlite_address(tmp_path_factory.mktemp("nesting") / "mlflow.db")


@pytest.fixture
def active(uri: str) -> Iterator[str]:
    """The id of an active run in the experiment `own`."""
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("own")
    try:
        with mlflow.start_run() as found:
            yield found.info.run_id
    finally:
        mlflow.set_tracking_uri(before)


def pipeline(**tracking: Any) -> Pipeline:
    settings = small_settings(hidden=8, epochs=1)
    return Pipeline.model_validate({**settings, "tracking": tracking})


def test_it_joins_the_store_and_the_experiment_of_the_active_run(active: str, uri: str) -> None:
    found = below_active_run(pipeline(**TRACKED)).tracking
    assert (found.uri, found.experiment, found.parent_run) == (uri, "own", active)
    assert found.tags == {"team": "vision"}


@pytest.mark.parametrize(
    "own", [{"mlflow": False}, {"uri": "http://127.0.0.1:9"}, {"parent_run": "another"}]
)
def test_a_pipeline_that_says_otherwise_stays_as_it_is(own: dict[str, Any], active: str) -> None:
    given = pipeline(**TRACKED, **own)
    assert below_active_run(given) is given


def test_without_an_active_run_nothing_changes() -> None:
    given = pipeline(**TRACKED)
    assert below_active_run(given) is given


def test_a_store_that_runs_cannot_be_sent_to_is_passed_over(
    active: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "/a/folder")
    given = pipeline(**TRACKED)
    assert below_active_run(given) is given


def test_a_parent_that_the_store_does_not_have_is_refused_before_training(
    active: str, uri: str, tmp_path: Path
) -> None:
    require_parent(pipeline(uri=uri, parent_run=active), tmp_path)
    with pytest.raises(InputError) as refused:
        run(pipeline(uri=uri, parent_run="0" * 32), output=tmp_path / "runs", inline=True)
    assert f"tracking.parent_run: {uri} has no run '{'0' * 32}'" in str(refused.value)
    assert not (tmp_path / "runs").exists()


def test_a_store_that_is_none_yet_has_no_parent_and_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match="has no run 'another'"):
        require_parent(pipeline(parent_run="another"), tmp_path / "runs")
    assert not (tmp_path / "mlflow.db").exists()


def test_a_parent_in_a_store_that_cannot_be_reached_is_not_doubted(tmp_path: Path) -> None:
    require_parent(pipeline(uri="http://127.0.0.1:9", parent_run="another"), tmp_path)
    require_parent(pipeline(mlflow=False, parent_run="another"), tmp_path)


@pytest.mark.slow
def test_mlflow_has_the_run_below_the_active_one_with_its_learners(
    active: str, tmp_path: Path
) -> None:
    settings = small_settings(hidden=8, epochs=1, name="below", ensemble={"learners": 2})
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({**settings, "tracking": {}}))
    made = run(tmp_path / "p.yaml", output=tmp_path / "runs", inline=True)
    assert not (tmp_path / "mlflow.db").exists()
    client = mlflow.MlflowClient()
    found = client.get_run(str(made.mlflow_run_id))
    assert found.data.tags["mlflow.parentRunId"] == active
    assert found.info.experiment_id == client.get_run(active).info.experiment_id
    children = client.search_runs(
        [found.info.experiment_id], f"tags.`mlflow.parentRunId` = '{made.mlflow_run_id}'"
    )
    assert len(children) == 2
    assert client.get_run(active).info.status == "RUNNING"
