"""The data of a run as MLflow's data set inputs, one for each part, with digests of the content."""

import json
from pathlib import PurePath
from typing import Any

from ensemble_pipe.core.addresses import mask_secrets
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.kinds import StartedEntry

MOST_DIGEST = 32  # MLflow takes 36 characters
MOST_NAME = 400
MOST_SCHEMA = 1_000_000
_CONTEXTS = {"train": "training", "stop": "early stopping", "test": "testing"}


def dataset_inputs(entry: StartedEntry, paths: RunPaths) -> list[Any]:
    """Return an MLflow `DatasetInput` for each part of a run's data.

    The digest is the beginning of the sha256 sum of the part's rows, so that equal digests are
    equal rows; the whole sum is in the source.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    schema = _schema(paths)
    found = []
    for part, sum_ in entry.data_sums.items():
        source = {**_source(entry.pipeline["data"]), "part": part, "sha256": sum_}
        dataset = Dataset(
            **named(entry, part),
            source_type="ensemble_pipe",
            source=json.dumps(source),
            schema=schema,
            profile=json.dumps({"num_rows": entry.rows[part]}),
        )
        context = InputTag(MLFLOW_DATASET_CONTEXT, _CONTEXTS.get(part, part))
        found.append(DatasetInput(dataset, [context]))
    return found


def named(entry: StartedEntry, part: str) -> dict[str, str]:
    """Return the name and the digest of a part of a run's data."""
    name = f"{data_name(entry.pipeline)}/{part}"
    return {"name": name, "digest": entry.data_sums[part][:MOST_DIGEST]}


def data_name(pipeline: dict[str, Any]) -> str:
    """Return what the data of a pipeline is called: a bundled set, or a file or folder.

    >>> data_name({"name": "x", "data": {"source": "table", "path": "/data/adult/train.csv.gz"}})
    'adult/train.csv.gz'
    """
    data = pipeline["data"]
    place = data.get("path") or data.get("folder")
    if isinstance(place, str):
        parts = [part for part in PurePath(mask_secrets(place)).parts if part != "/"]
        return names.value("/".join(parts[-2:]), MOST_NAME)
    return str(data.get("set") or pipeline["name"])


def _source(data: dict[str, Any]) -> dict[str, Any]:
    """Return what says where data comes from: the short values of its section."""
    return {key: value for key, value in data.items() if isinstance(value, str | int | float)}


def _schema(paths: RunPaths) -> str | None:
    """Return the features and targets of a run's data, in MLflow's form; None where not known."""
    if not paths.schema.is_file():
        return None
    schema = read_schema(paths)
    described = json.dumps(_images(schema) if schema.is_image else _columns(schema))
    return described if len(described) <= MOST_SCHEMA else None


def _columns(schema: Schema) -> dict[str, Any]:
    texts = set(schema.named_columns)
    columns = [*schema.source_columns, *schema.target_names]
    return {
        "mlflow_colspec": [
            {"type": "string" if name in texts else "double", "name": name, "required": True}
            for name in columns
        ]
    }


def _images(schema: Schema) -> dict[str, Any]:
    from mlflow.data.schema import TensorDatasetSchema
    from mlflow.types.schema import Schema as Specs
    from mlflow.types.schema import TensorSpec
    from numpy import dtype

    image = TensorSpec(dtype("uint8"), (-1, *schema.input_shape), "image")
    kind = dtype("int32" if schema.task == "classification" else "float32")
    targets = Specs([TensorSpec(kind, (-1,), name) for name in schema.target_names])
    found: dict[str, Any] = TensorDatasetSchema(Specs([image]), targets).to_dict()
    return found
