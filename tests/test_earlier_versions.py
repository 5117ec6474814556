"""Runs that earlier versions wrote are resumed, predict, are reported and compared."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from earlier_runs import FOLDER, VERSIONS, copy_of
from pyarrow import csv

import ensemble_pipe
from ensemble_pipe.comparison.runs import read_run
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.report.writing import write_report
from ensemble_pipe.run.pipeline import resume
from ensemble_pipe.tracking.run_summary import read_run_summary

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def predictions(paths: RunPaths) -> pa.Table:
    with pa.memory_map(str(paths.predictions("test"))) as stream:
        return pa.ipc.open_file(stream).read_all()


def test_its_model_predicts_as_it_did(version: str) -> None:
    paths = RunPaths(FOLDER / version / "finished")
    expected = predictions(paths)
    rows = csv.read_csv(FOLDER / version / "rows.csv").take(expected.column("row"))
    found = ensemble_pipe.load(paths.root).predict_proba(rows)
    assert np.allclose(found[:, 1], expected.column("probability_yes"), atol=1e-5)


def test_the_code_in_its_logged_model_serves_it(version: str, tmp_path: Path) -> None:
    """MLflow runs the code that was stored with a model against the package of today."""
    import mlflow

    model = FOLDER / version / "finished" / "model"
    code = shutil.copy(FOLDER / version / "mlflow_model.txt", tmp_path / "code.py")
    rows = csv.read_csv(FOLDER / version / "rows.csv").drop_columns("label").to_pandas()
    expected = ensemble_pipe.load(model).table(rows).to_pandas()
    mlflow.pyfunc.save_model(
        tmp_path / "saved",
        python_model=str(code),
        artifacts={"model": model.resolve().as_uri()},
        signature=mlflow.models.infer_signature(rows, expected),
        pip_requirements=[],
    )
    served = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    pd.testing.assert_frame_equal(served.predict(rows), expected)
    with pytest.raises(
        mlflow.MlflowException, match=r"row 0 \(from 0\), column 'a': a missing"
    ) as refusal:
        served.predict(rows.assign(a=np.nan))
    assert refusal.value.error_code == "INVALID_PARAMETER_VALUE"


def test_it_is_reported_and_compared(version: str, tmp_path: Path) -> None:
    paths = copy_of(version, "finished", tmp_path)
    assert ">FINISHED<" in write_report(paths).read_text()
    found = read_run(paths.root)
    assert found.metrics["test/accuracy"] == pytest.approx(found.values["accuracy"].over())
    unfinished = copy_of(version, "unfinished", tmp_path)
    assert "The run was stopped" in write_report(unfinished).read_text()


@pytest.mark.parametrize("name", ["finished", "unfinished"])
def test_it_is_resumed_to_the_result_that_it_had(version: str, name: str, tmp_path: Path) -> None:
    finished = RunPaths(FOLDER / version / "finished")
    paths = copy_of(version, name, tmp_path)
    result = resume(paths.root, inline=True, accept_changes=True)
    expected = dict(read_run_summary(finished).metrics)
    # All that it measured is found again, beside what is measured since then. Not bit for bit: on
    # another processor.
    again = {name: value for name, value in result.metrics.items() if name in expected}
    assert again == pytest.approx(expected, rel=1e-3)
    for found, before in zip(
        ensemble_pipe.load(paths.root).members,
        ensemble_pipe.load(finished.root).members,
        strict=True,
    ):
        if isinstance(before, NetworkMember):
            assert isinstance(found, NetworkMember)
            assert np.allclose(found.row, before.row, atol=1e-4)
    epochs = {learner: len(entries) for learner, entries in read_run_summary(paths).epochs.items()}
    assert epochs == {0: 6, 1: 6}


def test_a_learner_that_is_removed_is_trained_anew(version: str, tmp_path: Path) -> None:
    paths = copy_of(version, "finished", tmp_path)
    shutil.rmtree(paths.learner(1))
    result = resume(paths.root, inline=True, accept_changes=True)
    assert result.metrics == pytest.approx(dict(read_run_summary(paths).metrics))
    assert len(read_run_summary(paths).epochs[1]) == 6
