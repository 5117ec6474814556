"""The caller's own active run of MLflow, which a run started from Python is shown below."""

import sys
from dataclasses import dataclass

from ensemble_pipe.core.addresses import sqlite_address, sqlite_path


@dataclass(frozen=True)
class ActiveRun:
    """A run that the caller has started with `mlflow.start_run`.

    Attributes:
        uri: of its store or server, with its secrets.
        experiment: its name.
        run_id: of the run.
    """

    uri: str
    experiment: str
    run_id: str


def active_run() -> ActiveRun | None:
    """Return the active run of this thread; None for none. MLflow is not imported for it."""
    mlflow = sys.modules.get("mlflow")
    if mlflow is None or (run := mlflow.active_run()) is None:
        return None
    uri = str(mlflow.get_tracking_uri())
    path = sqlite_path(uri)
    experiment = mlflow.get_experiment(run.info.experiment_id)
    return ActiveRun(
        uri if path is None else sqlite_address(path.resolve()), experiment.name, run.info.run_id
    )
