"""Sends parts of a run to MLflow; permanent refusals are noted and hold up nothing else."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ensemble_pipe.core.errors import InputError
from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.refusals import is_refusal, reason_of

METRICS_PER_CALL = 1000
PARAMETERS_PER_CALL = 100


class Sender:
    """Sends to the runs of one store.

    Args:
        client: MLflow's.
        leave_out: called with the name of what MLflow refuses, such as "param x", and the reason.
    """

    def __init__(self, client: Any, leave_out: Callable[[str, str], None]) -> None:
        self.client = client
        self._leave_out = leave_out

    def metrics(self, run: str, metrics: Sequence[Any]) -> None:
        """Send MLflow's `Metric` entities."""
        for start in range(0, len(metrics), METRICS_PER_CALL):
            self._batch(run, "metrics", metrics[start : start + METRICS_PER_CALL])

    def parameters(self, run: str, values: Mapping[str, Any]) -> None:
        """Send values by name; names are escaped, values cut where they are long."""
        from mlflow.entities import Param

        items = [Param(names.key(name), names.value(value)) for name, value in values.items()]
        for start in range(0, len(items), PARAMETERS_PER_CALL):
            self._batch(run, "params", items[start : start + PARAMETERS_PER_CALL])

    def tag(self, run: str, name: str, value: str) -> None:
        text = names.value(value, names.MOST_TAG)
        self.one(run, f"tag {name}", lambda: self.client.set_tag(run, name, text))

    def file(self, run: str, path: Path, folder: str | None = None) -> None:
        """Send a file if it exists."""
        if path.is_file():
            self.one(run, path.name, lambda: self.client.log_artifact(run, str(path), folder))
        else:
            self._leave_out(path.name, "is not in the run directory any more")

    def json_file(self, run: str, values: Mapping[str, Any], name: str) -> None:
        """Send values as a JSON file."""
        self.one(run, name, lambda: self.client.log_dict(run, dict(values), name))

    def one(self, run: str, what: str, send: Callable[[], object]) -> None:
        """Send one thing, and note it where MLflow refuses it.

        Raises:
            InputError: the run is deleted, so all of it would be refused.
        """
        try:
            send()
        except Exception as error:
            if not is_refusal(error):
                raise
            self._require_active(run)
            self._leave_out(what, reason_of(error))

    def _batch(self, run: str, kind: str, items: Sequence[Any]) -> None:
        """Send items together; of those that are refused, each half by itself."""
        try:
            self.client.log_batch(run, **{kind: items})
        except Exception as error:
            if not is_refusal(error):
                raise
            if len(items) == 1:
                self._leave_out(f"{kind[:-1]} {names.name_of(items[0].key)}", reason_of(error))
                return
            self._require_active(run)
            middle = len(items) // 2
            self._batch(run, kind, items[:middle])
            self._batch(run, kind, items[middle:])

    def _require_active(self, run: str) -> None:
        if self.client.get_run(run).info.lifecycle_stage != "active":
            raise InputError(
                f"the run {run} is deleted in MLflow; `mlflow runs restore --run-id {run}` brings "
                "it back"
            )
