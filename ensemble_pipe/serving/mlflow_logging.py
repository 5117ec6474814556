"""Logs a run's model to MLflow, in a process of its own.

MLflow's logging of models works through global state (tracking URI, active experiment, active run).
A separate process keeps that away from the caller, and from a MLFLOW_RUN_ID in its environment.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ensemble_pipe.errors import EnsemblePipeError
from ensemble_pipe.storage import RunPaths

TIMEOUT_S = 300
_NEEDS = ("ensemble-pipe", "mlflow", "numpy", "numba", "pyarrow", "safetensors", "pydantic")


def log_model(
    uri: str, experiment_id: str, run_id: str, paths: RunPaths, register_as: str | None
) -> str:
    """Log the model of a run, with signature and input example, and return its URI.

    Args:
        uri: of the tracking server or store.
        experiment_id, run_id: what the model belongs to.
        paths: of the run.
        register_as: registered model whose alias `champion` is to point to it; None for none.

    Raises:
        EnsemblePipeError: MLflow refused it; the message is MLflow's last line.
    """
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_RUN_ID"}
    environment |= {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_ID": experiment_id}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    arguments = [run_id, str(paths.root), *([register_as] if register_as else [])]
    finished = subprocess.run(
        [sys.executable, "-m", "ensemble_pipe.serving.mlflow_logging", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        start_new_session=True,  # a Ctrl-C at the terminal must not tear the logging apart
    )
    if finished.returncode != 0:
        lines = finished.stderr.strip().splitlines() or ["no message"]
        raise EnsemblePipeError(f"the model could not be logged: {lines[-1]}")
    return str(json.loads(finished.stdout.splitlines()[-1])["model_uri"])


def _main(run_id: str, root: str, register_as: str | None = None) -> None:
    import mlflow
    from mlflow.models import Model, infer_signature

    from ensemble_pipe.serving.model import load

    paths = RunPaths(Path(root))
    ensemble = load(paths.model)
    example = np.load(paths.base / "example.npy", allow_pickle=False)
    if not ensemble.schema.is_image:
        import pandas as pd

        example = pd.DataFrame(example, columns=list(ensemble.schema.feature_names))
    logged = Model.log(
        None,
        mlflow.pyfunc,
        name="model",
        run_id=run_id,
        registered_model_name=register_as,
        python_model=str(Path(__file__).with_name("mlflow_model.py")),
        artifacts={"model": str(paths.model)},
        signature=infer_signature(example, ensemble.table(example).to_pandas()),
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in _NEEDS],
    )
    if register_as:
        number = str(logged.registered_model_version)
        mlflow.MlflowClient().set_registered_model_alias(register_as, "champion", number)
    print(json.dumps({"model_uri": logged.model_uri}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
