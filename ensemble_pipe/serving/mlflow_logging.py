"""Logs a run's model to MLflow.

MLflow's logging of models works through global state: tracking URI, experiment, active run. So this
is done in a process of its own, the companion of the run.
"""

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import ModelLoggingError
from ensemble_pipe.core.messages import list_names
from ensemble_pipe.core.storage import Manifest, RunPaths, check_sums, read_manifest
from ensemble_pipe.serving import registered
from ensemble_pipe.serving.artifact import components_of
from ensemble_pipe.serving.registered import SUMS_TAG

if TYPE_CHECKING:
    from ensemble_pipe.serving.model import Ensemble

_NEEDS = ("ensemble-pipe", "mlflow", "numpy", "numba", "pyarrow", "safetensors", "pydantic")
# Of a request, with their defaults: see `pyfunc`.
PARAMETERS = {"uncertainty": "one"}
_CODE = str(Path(__file__).with_name("mlflow_model.py"))


def log_model(
    uri: str, experiment_id: str, run_id: str, paths: RunPaths, register_as: str | None
) -> str:
    """Log the model of a run, with signature and input example, and return its URI.

    It changes MLflow's global state and the environment of this process.

    Args:
        uri: of the tracking server or store.
        experiment_id, run_id: what the model belongs to.
        paths: of the run.
        register_as: registered model that it becomes a version of; None for none.

    Raises:
        ModelLoggingError: MLflow did not take it; the message is the first line of MLflow's. Or the
            model has components of a caller's own.
    """
    if needed := components_of(paths.model):
        raise ModelLoggingError(
            f"it has components of its caller's own ({list_names(sum(needed.values(), ()))}), "
            "which MLflow could not load; ensemble_pipe.load reads it with their classes",
            "NOT_IMPLEMENTED",
        )
    import mlflow

    os.environ.pop("MLFLOW_RUN_ID", None)
    os.environ["MLFLOW_EXPERIMENT_ID"] = experiment_id
    mlflow.set_tracking_uri(uri)
    try:
        return _log(run_id, paths, register_as)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        code = getattr(error, "error_code", None)
        raise ModelLoggingError(f"the model could not be logged: {reason}", code) from error


def prepare() -> None:
    """Import and look up what logging a model needs, by saving a model that has no artifacts."""
    import mlflow
    from mlflow.models import ModelSignature, infer_signature

    outputs = infer_signature(None, [0.0]).outputs
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(
            Path(folder) / "model",
            python_model=_CODE,
            signature=ModelSignature(outputs=outputs),
            pip_requirements=_requirements(),
        )


def sums_of(paths: RunPaths) -> str:
    """Return the sums of the files of a run's model, as JSON, by which MLflow's is known again."""
    return json.dumps(read_json(paths.model / "manifest.json", Manifest).sums, sort_keys=True)


def _log(run_id: str, paths: RunPaths, register_as: str | None) -> str:
    import mlflow

    sums = sums_of(paths)
    uri = _logged_before(run_id, sums) or _log_anew(run_id, paths, sums)
    if register_as:
        registered.register(mlflow.MlflowClient(), register_as, uri, run_id, sums)
    return uri


def _log_anew(run_id: str, paths: RunPaths, sums: str) -> str:
    import mlflow
    from mlflow.models import Model

    from ensemble_pipe.serving.model import load

    ensemble = load(paths.model)
    signature, example = describe(ensemble, _example(paths))
    logged = Model.log(
        None,
        mlflow.pyfunc,
        name="model",
        run_id=run_id,
        python_model=_CODE,
        artifacts={"model": paths.model.resolve().as_uri()},  # a path would be unquoted
        signature=signature,
        tags={SUMS_TAG: sums},
        input_example=example,
        pip_requirements=_requirements(),
    )
    return str(logged.model_uri)


def _requirements() -> list[str]:
    return [f"{name}=={version(name)}" for name in _NEEDS]


def describe(ensemble: "Ensemble", rows: pa.Table) -> tuple[Any, Any]:
    """Return the signature of an ensemble, and an input example, made of raw rows."""
    from mlflow.models import ModelSignature, infer_signature

    from ensemble_pipe.serving.signature import as_signed, as_text, input_schema

    rows = rows.select(ensemble.columns)
    example = _as_users_have(rows, ensemble.schema.is_image)
    predicted = ensemble.table(rows).to_pandas()
    if ensemble.schema.is_image:
        return infer_signature(example, predicted, PARAMETERS), example
    truths = {field.name for field in rows.schema if pa.types.is_boolean(field.type)}
    columns = input_schema(ensemble.schema, ensemble.columns, truths)
    inferred = infer_signature(None, predicted, PARAMETERS)
    signature = ModelSignature(columns, inferred.outputs, inferred.params)
    return signature, as_text(as_signed(example, columns))


def _example(paths: RunPaths) -> pa.Table:
    """Return a few raw rows, with the predictions of other programs where the model needs these."""
    name = paths.example.relative_to(paths.root).as_posix()
    check_sums(paths.root, {name: read_manifest(paths).sums[name]})
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
