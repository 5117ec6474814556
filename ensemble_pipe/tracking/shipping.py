"""What each journal entry becomes in MLflow.

Everything can be sent twice: runs are found again by a tag of their own, metrics of a step that was
sent are not sent again, and the rest says the same thing the second time.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from ensemble_pipe.documents import Count, read_json
from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.storage import RunPaths, write_json
from ensemble_pipe.tracking.combination import combiner_text
from ensemble_pipe.tracking.journal import Entry
from ensemble_pipe.tracking.store import KEY_TAG, find_run, open_store, sweep_orphans
from ensemble_pipe.tracking.story import flat, kind_of

# (tracking URI, experiment id, MLflow run id, run paths) -> URI of the logged model
LogModel = Callable[[str, str, str, RunPaths], str]

METRICS_PER_CALL = 1000


@dataclass
class Cursor:
    """What MLflow has received of one run.

    Attributes:
        uri: the store; a run stays with the one it began in.
        offset: bytes of the journal.
        parent, children: MLflow run ids; children by learner.
        epochs: last epoch sent, by learner.
        members: size of the largest ensemble sent.
        once: entries that are sent only once, by name.
        ended: children whose final status is sent.
        model_uri, model_sums: of the model that was logged.
    """

    uri: str | None = None
    offset: Count = 0
    parent: str | None = None
    children: dict[str, str] = field(default_factory=dict)
    epochs: dict[str, Count] = field(default_factory=dict)
    members: Count = 0
    once: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    model_uri: str | None = None
    model_sums: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Cursor":
        if not path.exists():
            return cls()
        try:
            return read_json(path, cls)
        except CorruptFileError as error:
            raise CorruptFileError(f"{error}, or remove it to send all anew") from None

    def save(self, path: Path) -> None:
        write_json(path, asdict(self))


class Shipper:
    """Turns entries into MLflow calls, in order; metrics of neighbouring entries go together.

    Attributes:
        cursor: what was sent. It is saved only when all that it speaks of has been sent, and read
            again from disk after a failure.
    """

    def __init__(self, paths: RunPaths, uri: str, experiment: str, log_model: LogModel) -> None:
        self._paths = paths
        self._experiment = experiment
        self._log_model = log_model
        self.cursor = Cursor.load(paths.cursor)
        self._uri = self.cursor.uri or uri
        self._client: Any = None
        self._metrics: dict[str, list[Any]] = {}
        self._handlers: dict[str, Callable[[Entry], None]] = {
            "started": self._started,
            "learner": self._learner,
            "grown": self._grown,
            "resumed": self._resumed,
            "epoch": self._epoch,
            "member": self._member,
            "member_test": self._member_test,
            "ensemble": self._ensemble,
            "finished": self._finished,
            "failed": self._failed,
            "spared": self._spared,
            "combined": self._combined,
            "result": self._result,
            "pictures": self._pictures,
            "model": self._model,
            "ended": self._ended,
        }

    def ship(self, entries: Sequence[Entry], offset: int) -> None:
        """Send entries, and note that the journal is sent up to `offset`.

        An exception of MLflow's leaves the cursor where it was.
        """
        try:
            self._ship(entries)
            self.cursor.offset = offset
            self._save()
        except BaseException:
            self.cursor = Cursor.load(self._paths.cursor)
            raise

    def ship_again(self) -> None:
        """Begin at the start of the journal; what was sent stays single."""
        self.cursor.offset = 0
        self._save()

    def _ship(self, entries: Sequence[Entry]) -> None:
        if self._client is None:
            self._client, self._experiment_id = open_store(self._uri, self._experiment)
            sweep_orphans(self._client, self._experiment_id, self._paths.root)
        self._metrics = {}
        for entry in entries:
            self._handlers[entry["kind"]](entry)

    def _add(self, run: str, entry: Entry, metrics: dict[str, float | None], step: int) -> None:
        from mlflow.entities import Metric

        self._metrics.setdefault(run, []).extend(
            Metric(name, float("nan") if value is None else value, entry["time_ms"], step)
            for name, value in metrics.items()
        )

    def _send_metrics(self) -> None:
        for run, metrics in self._metrics.items():
            for start in range(0, len(metrics), METRICS_PER_CALL):
                part = metrics[start : start + METRICS_PER_CALL]
                self._client.log_batch(run, metrics=part)
        self._metrics = {}

    def _make_run(self, key: str, name: str, tags: dict[str, str], time_ms: int) -> str:
        found = find_run(self._client, self._experiment_id, key)
        if found is None:
            created = self._client.create_run(
                self._experiment_id,
                start_time=time_ms,
                run_name=name,
                tags={KEY_TAG: key, "mlflow.source.name": "ensemble-pipe", **tags},
            )
            found = created.info.run_id
        return str(found)

    def _started(self, entry: Entry) -> None:
        cursor, root = self.cursor, self._paths.root
        if cursor.parent is None:
            tags = {"ensemble_pipe.run_dir": str(root)}
            tags.update({f"data.sha256.{k}": v for k, v in entry["data_sums"].items()})
            cursor.parent = self._make_run(entry["run_id"], entry["run_id"], tags, entry["time_ms"])
        params = _params({**entry["pipeline"], "rows": entry["rows"]})
        self._log_params(cursor.parent, params)
        self._client.log_artifact(cursor.parent, str(self._paths.pipeline))
        self._save()

    def _learner(self, entry: Entry) -> None:
        cursor, learner = self.cursor, str(entry["learner"])
        if learner not in cursor.children:
            key = f"{self._paths.root.name}/{learner}"
            tags = {"mlflow.parentRunId": str(cursor.parent)}
            name = f"learner {learner}"
            cursor.children[learner] = self._make_run(key, name, tags, entry["time_ms"])
        self._client.set_tag(cursor.children[learner], "kind", kind_of(entry["plan"]))
        self._log_params(cursor.children[learner], _params(entry["plan"]))
        self._save()

    def _grown(self, entry: Entry) -> None:
        # Parameters of a run cannot change in MLflow; a tag can.
        self._client.set_tag(self.cursor.parent, "ensemble_pipe.learners", str(entry["learners"]))

    def _resumed(self, entry: Entry) -> None:
        open_children = [c for k, c in self.cursor.children.items() if k not in self.cursor.ended]
        for run in [self.cursor.parent, *open_children]:
            self._client.update_run(run, status="RUNNING")

    def _epoch(self, entry: Entry) -> None:
        learner, epoch = str(entry["learner"]), entry["epoch"]
        if epoch > self.cursor.epochs.get(learner, 0):
            self._add(self.cursor.children[learner], entry, entry["metrics"], epoch)
            self.cursor.epochs[learner] = epoch

    def _member(self, entry: Entry) -> None:
        self._member_metrics(entry, "member", "validation/")

    def _member_test(self, entry: Entry) -> None:
        self._member_metrics(entry, "member_test", "")

    def _member_metrics(self, entry: Entry, kind: str, prefix: str) -> None:
        learner = str(entry["learner"])
        if self._first_time(f"{kind}/{learner}/{entry['number']}"):
            metrics = {prefix + name: value for name, value in entry["metrics"].items()}
            self._add(self.cursor.children[learner], entry, metrics, entry["number"])

    def _ensemble(self, entry: Entry) -> None:
        members = entry["members"]
        if members > self.cursor.members:
            metrics = {f"validation/{name}": value for name, value in entry["metrics"].items()}
            self._add(str(self.cursor.parent), entry, metrics, members)
            self.cursor.members = members

    def _finished(self, entry: Entry) -> None:
        self._end_child(str(entry["learner"]), "FINISHED", entry)

    def _failed(self, entry: Entry) -> None:
        learner = str(entry["learner"])
        self._client.set_tag(self.cursor.children[learner], "failure", entry["reason"])
        self._end_child(learner, "FAILED", entry)

    def _spared(self, entry: Entry) -> None:
        learner = str(entry["learner"])
        self._client.set_tag(self.cursor.children[learner], "spared", entry["reason"])
        self._end_child(learner, "KILLED", entry)

    def _combined(self, entry: Entry) -> None:
        facts = {k: v for k, v in entry.items() if k not in ("kind", "time_ms")}
        self._client.log_dict(self.cursor.parent, facts, "combined.json")
        self._client.set_tag(self.cursor.parent, "combiner", combiner_text(entry["combiner"]))

    def _result(self, entry: Entry) -> None:
        unfinished = ", ".join(str(learner) for learner in entry.get("unfinished", []))
        self._client.set_tag(self.cursor.parent, "unfinished", unfinished or "none")
        # A run that was interrupted and resumed has two results.
        if self._first_time(f"result/{crc32(json.dumps(entry['metrics']).encode())}"):
            metrics = entry["metrics"]
            if entry["equal"]:  # its validation metrics stand there, by number of members
                metrics = {k: v for k, v in metrics.items() if not k.startswith("validation/")}
            self._add(str(self.cursor.parent), entry, metrics, entry["members"])

    def _pictures(self, entry: Entry) -> None:
        for name in entry["names"]:
            path = self._paths.pictures / name
            self._client.log_artifact(self.cursor.parent, str(path), "pictures")

    def _model(self, entry: Entry) -> None:
        if entry["sums"] == self.cursor.model_sums:
            return
        self._send_metrics()
        self.cursor.model_uri = self._log_model(
            self._uri, self._experiment_id, str(self.cursor.parent), self._paths
        )
        self.cursor.model_sums = entry["sums"]
        self._save()

    def _ended(self, entry: Entry) -> None:
        self._send_metrics()
        for learner in self.cursor.children:
            self._end_child(learner, entry["status"], entry)
        if self._paths.report.is_file():
            self._client.log_artifact(self.cursor.parent, str(self._paths.report))
        self._client.set_terminated(
            self.cursor.parent, status=entry["status"], end_time=entry["time_ms"]
        )

    def _end_child(self, learner: str, status: str, entry: Entry) -> None:
        if learner in self.cursor.ended:
            return
        self._send_metrics()
        run = self.cursor.children[learner]
        self._client.set_terminated(run, status=status, end_time=entry["time_ms"])
        if entry["kind"] != "ended":  # a resume may open again what the ending of the run closed
            self.cursor.ended.append(learner)

    def _log_params(self, run: str, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        items = [Param(name, value) for name, value in params.items()]
        for start in range(0, len(items), 100):
            self._client.log_batch(run, params=items[start : start + 100])

    def _first_time(self, name: str) -> bool:
        first = name not in self.cursor.once
        if first:
            self.cursor.once.append(name)
        return first

    def _save(self) -> None:
        self._send_metrics()
        self.cursor.uri = self._uri
        self.cursor.save(self._paths.cursor)


def _params(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value)[:6000] for name, value in flat(values).items()}
