"""Logs a run's model to MLflow, in a process of its own.

MLflow's logging of models works through global state (tracking URI, active experiment, active run).
A separate process keeps that away from the caller, and from a MLFLOW_RUN_ID in its environment.
"""

import json
import os
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import ModelLoggingError
from ensemble_pipe.core.messages import list_names
from ensemble_pipe.core.storage import Manifest, RunPaths
from ensemble_pipe.serving.artifact import components_of

if TYPE_CHECKING:
    from ensemble_pipe.serving.model import Ensemble

TIMEOUT_S = 300
SUMS_TAG = "ensemble_pipe.sums"
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
        ModelLoggingError: MLflow did not take it; the message is MLflow's last line. Or the model
            has components of a caller's own.
    """
    if needed := components_of(paths.model):
        raise ModelLoggingError(
            f"it has components of its caller's own ({list_names(sum(needed.values(), ()))}), "
            "which MLflow could not load; ensemble_pipe.load reads it with their classes",
            "NOT_IMPLEMENTED",
        )
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_RUN_ID"}
    environment |= {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_ID": experiment_id}
    environment["PYTHONSAFEPATH"] = "1"  # files of the current directory are no modules
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    arguments = [run_id, str(paths.root), *([register_as] if register_as else [])]
    reading, writing = os.pipe()
    try:
        finished = subprocess.run(
            [sys.executable, "-m", "ensemble_pipe.serving.mlflow_logging", *arguments],
            env=environment,
            stdin=reading,  # it ends with this process, and tells the other one to end
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            start_new_session=True,  # a Ctrl-C at the terminal must not tear the logging apart
        )
    finally:
        os.close(reading)
        os.close(writing)
    answer = _last_line(finished.stdout)
    if finished.returncode != 0:
        lines = finished.stderr.strip().splitlines() or ["no message"]
        reason = answer.get("message", lines[-1])
        raise ModelLoggingError(
            f"the model could not be logged: {reason}", answer.get("error_code")
        )
    return str(answer["model_uri"])


def _last_line(output: str) -> dict[str, Any]:
    """Return the JSON object on the last line of what the process wrote; {} without one."""
    lines = output.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return {}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _main(run_id: str, root: str, register_as: str | None = None) -> None:
    import mlflow
    from mlflow.models import Model

    from ensemble_pipe.serving.model import load

    paths = RunPaths(Path(root))
    sums = json.dumps(read_json(paths.model / "manifest.json", Manifest).sums, sort_keys=True)
    known = _logged_before(run_id, sums)
    if known is not None:
        print(json.dumps({"model_uri": known}))
        return
    ensemble = load(paths.model)
    signature, example = describe(ensemble, _example(paths))
    logged = Model.log(
        None,
        mlflow.pyfunc,
        name="model",
        run_id=run_id,
        registered_model_name=register_as,
        python_model=str(Path(__file__).with_name("mlflow_model.py")),
        artifacts={"model": paths.model.resolve().as_uri()},  # a path would be unquoted
        signature=signature,
        tags={SUMS_TAG: sums},
        input_example=example,
        pip_requirements=[f"{name}=={version(name)}" for name in _NEEDS],
    )
    if register_as:
        number = str(logged.registered_model_version)
        mlflow.MlflowClient().set_registered_model_alias(register_as, "champion", number)
    print(json.dumps({"model_uri": logged.model_uri}))


def describe(ensemble: "Ensemble", rows: pa.Table) -> tuple[Any, Any]:
    """Return the signature of an ensemble, and an input example, made of raw rows."""
    from mlflow.models import ModelSignature, infer_signature

    from ensemble_pipe.serving.signature import as_signed, as_text, input_schema

    rows = rows.select(ensemble.columns)
    example = _as_users_have(rows, ensemble.schema.is_image)
    predicted = ensemble.table(rows).to_pandas()
    if ensemble.schema.is_image:
        return infer_signature(example, predicted), example
    truths = {field.name for field in rows.schema if pa.types.is_boolean(field.type)}
    columns = input_schema(ensemble.schema, ensemble.columns, truths)
    signature = ModelSignature(columns, infer_signature(None, predicted).outputs)
    return signature, as_text(as_signed(example, columns))


def _example(paths: RunPaths) -> pa.Table:
    """Return a few raw rows, with the predictions of other programs where the model needs these."""
    with pa.memory_map(str(paths.example)) as stream:
        return pa.ipc.open_file(stream).read_all().combine_chunks()


def _as_users_have(rows: pa.Table, is_image: bool) -> Any:
    """Return rows as MLflow's users have them: images (n, H, W, C), or a data frame.

    Decimals become floats, since MLflow writes the example as JSON, which has none.
    """
    if is_image:
        return rows.column("image").chunk(0).to_numpy_ndarray()
    fields = [
        field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields)).to_pandas()


def _logged_before(run_id: str, sums: str) -> str | None:
    """Return the URI of the same model of the same run, where an attempt logged it whole."""
    import mlflow
    from mlflow.entities import LoggedModelStatus

    experiment = mlflow.get_run(run_id).info.experiment_id
    models = mlflow.search_logged_models([experiment], output_format="list")
    for model in models:
        same = model.source_run_id == run_id and model.tags.get(SUMS_TAG) == sums
        if same and model.status == LoggedModelStatus.READY:
            return str(model.model_uri)
    return None


def _end_with_caller() -> None:
    os.read(0, 1)  # not by sys.stdin, which a thread may not hold when Python ends
    os._exit(1)


if __name__ == "__main__":
    from mlflow import MlflowException

    threading.Thread(target=_end_with_caller, daemon=True).start()
    try:
        _main(*sys.argv[1:])
    except MlflowException as refusal:
        print(json.dumps({"message": refusal.message, "error_code": refusal.error_code}))
        sys.exit(1)
