"""The metrics of a run's test part as those of its logged model, measured on a data set."""

from math import isfinite
from typing import Any

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.datasets import named
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import ResultEntry, StartedEntry
from ensemble_pipe.tracking.result_metrics import result_metrics

_PARTS = ("test/", "test_conformal/")


def model_metrics(paths: RunPaths, model_uri: str) -> list[Any]:
    """Return MLflow's `Metric` entities that link the last result in a journal with the model.

    They are those of the run, which MLflow does not keep twice.

    Args:
        paths: of the run.
        model_uri: of its logged model, "models:/<id>".
    """
    from mlflow.entities import Metric

    entries = list(read_entries(paths.journal, unread=("epoch",)))
    started = next(entry for entry in entries if isinstance(entry, StartedEntry))
    results = [entry for entry in entries if isinstance(entry, ResultEntry)]
    if not results or "test" not in started.data_sums:
        return []
    last, data = results[-1], named(started, "test")
    model = model_uri.removeprefix("models:/")
    return [
        Metric(
            names.key(name), value, last.time_ms, step,
            model_id=model, dataset_name=data["name"], dataset_digest=data["digest"],
        )
        for step, found in result_metrics(last.metrics, last.equal, last.members).items()
        for name, value in found.items()
        if name.startswith(_PARTS) and value is not None and isfinite(value)
    ]  # fmt: skip
