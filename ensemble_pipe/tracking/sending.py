"""Sends parts of a run to MLflow; permanent refusals are noted and hold up nothing else.

Metrics, parameters, tags and the final status of a run are collected, and sent together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ensemble_pipe.core.errors import InputError
from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.refusals import is_refusal, reason_of
from ensemble_pipe.tracking.run_summary import flat

# MLflow's limit is 1,000 entities in a call, of them 100 parameters and 100 tags.
METRICS_PER_CALL = 800
OTHERS_PER_CALL = 100

_WORDS = {"metrics": "metric", "params": "param", "tags": "tag"}
_Item = tuple[str, Any]  # (name of the argument of `log_batch`, entity of MLflow)


@dataclass
class _Unsent:
    """What has been collected for one run; `end` is its final status and the time in ms."""

    metrics: list[Any] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    tags: dict[str, Any] = field(default_factory=dict)
    end: tuple[str, int] | None = None


class Sender:
    """Sends to the runs of one store.

    Args:
        client: MLflow's.
        leave_out: called with the name of what MLflow refuses, such as "param x", and the reason.
        on_sent: called after each answer of MLflow with the numbers of runs that all was sent of,
            and that there are to send.
    """

    def __init__(
        self,
        client: Any,
        leave_out: Callable[[str, str], None],
        on_sent: Callable[[int, int], None] = lambda sent, planned: None,
    ) -> None:
        self.client = client
        self._leave_out = leave_out
        self._on_sent = on_sent
        self._unsent: dict[str, _Unsent] = {}
        self._sent = 0

    def create_run(
        self, experiment_id: str, name: str, tags: Mapping[str, str], time_ms: int
    ) -> str:
        """Create a run that began at `time_ms`, and return its id."""
        created = self.client.create_run(experiment_id, time_ms, tags, name)
        self._answered()
        return str(created.info.run_id)

    def metrics(self, run: str, metrics: Sequence[Any]) -> None:
        """Collect MLflow's `Metric` entities."""
        self._of(run).metrics.extend(metrics)

    def parameters(self, run: str, values: Mapping[str, Any]) -> None:
        """Collect values by name; names are escaped, values cut where they are long."""
        from mlflow.entities import Param

        found = [Param(names.key(name), names.value(value)) for name, value in values.items()]
        self._of(run).params.extend(found)

    def nested_parameters(self, run: str, values: dict[str, Any]) -> None:
        """Collect nested values by path; send a file of the full names of those that were cut."""
        found = flat(values)
        self.parameters(run, found)
        keys = {names.key(name): name for name in found}
        cut = {key: name for key, name in keys.items() if names.name_of(key) != name}
        if cut:
            self.json_file(run, cut, "names.json")

    def inputs(self, run: str, inputs: Sequence[Any]) -> None:
        """Send MLflow's `DatasetInput` entities."""
        if inputs:
            self._one(run, "the data sets", lambda: self.client.log_inputs(run, list(inputs)))

    def tag(self, run: str, name: str, value: str) -> None:
        """Collect a tag; a later value replaces an earlier one."""
        from mlflow.entities import RunTag

        self._of(run).tags[name] = RunTag(name, names.value(value, names.MOST_TAG))

    def end(self, run: str, status: str, time_ms: int) -> None:
        """Collect the final status of a run, which is sent after all else of it."""
        self._of(run).end = status, time_ms

    def flush(self) -> None:
        """Send what was collected."""
        while self._unsent:
            run = next(iter(self._unsent))
            for batch in _batches(self._unsent[run]):
                self._batch(run, batch)
                self._answered()
            if end := self._unsent[run].end:
                self.client.set_terminated(run, *end)
            del self._unsent[run]
            self._sent += 1
            self._answered()

    def forget(self) -> None:
        """Drop what was collected; after a failure it is read from the journal again."""
        self._unsent = {}

    def file(self, run: str, path: Path, folder: str | None = None) -> None:
        """Send a file if it exists."""
        if path.is_file():
            self._one(run, path.name, lambda: self.client.log_artifact(run, str(path), folder))
        else:
            self._leave_out(path.name, "is not in the run directory any more")

    def json_file(self, run: str, values: Mapping[str, Any], name: str) -> None:
        """Send values as a JSON file."""
        self._one(run, name, lambda: self.client.log_dict(run, dict(values), name))

    def _answered(self) -> None:
        self._on_sent(self._sent, self._sent + len(self._unsent))

    def _of(self, run: str) -> _Unsent:
        return self._unsent.setdefault(run, _Unsent())

    def _one(self, run: str, what: str, send: Callable[[], object]) -> None:
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
        self._answered()

    def _batch(self, run: str, items: Sequence[_Item]) -> None:
        """Send items together; of those that are refused, each half by itself."""
        kinds: dict[str, list[Any]] = {}
        for kind, item in items:
            kinds.setdefault(kind, []).append(item)
        try:
            self.client.log_batch(run, **kinds)
        except Exception as error:
            if not is_refusal(error):
                raise
            self._require_active(run)
            if len(items) == 1:
                kind, item = items[0]
                self._leave_out(f"{_WORDS[kind]} {names.name_of(item.key)}", reason_of(error))
                return
            middle = len(items) // 2
            self._batch(run, items[:middle])
            self._batch(run, items[middle:])

    def _require_active(self, run: str) -> None:
        if self.client.get_run(run).info.lifecycle_stage != "active":
            raise InputError(
                f"the run {run} is deleted in MLflow; `mlflow runs restore --run-id {run}` brings "
                "it back"
            )


def _batches(unsent: _Unsent) -> list[list[_Item]]:
    """Return what was collected for a run in as few calls as MLflow's limits allow."""
    parts = [
        ("params", unsent.params, OTHERS_PER_CALL),
        ("metrics", unsent.metrics, METRICS_PER_CALL),
        ("tags", list(unsent.tags.values()), OTHERS_PER_CALL),
    ]
    calls = max(-(-len(items) // most) for _, items, most in parts)
    return [
        [
            (kind, item)
            for kind, items, most in parts
            for item in items[call * most : (call + 1) * most]
        ]
        for call in range(calls)
    ]
