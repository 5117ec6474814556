"""Sends journal entries to MLflow as runs, parameters, metrics, tags and files.

Everything can be sent twice: runs are found again by a tag of their own, metrics of a step that was
sent are not sent again, and all else is the same the second time.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, assert_never
from zlib import crc32

from ensemble_pipe.core.addresses import mask_secrets, restore_secrets
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking import kinds, names
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.endings import LearnerEnd, learner_status, open_status
from ensemble_pipe.tracking.kinds import Entry, Numbers
from ensemble_pipe.tracking.refusals import is_refusal, reason_of
from ensemble_pipe.tracking.run_summary import flat, kind_of
from ensemble_pipe.tracking.sending import Sender
from ensemble_pipe.tracking.store import KEY_TAG, find_run, open_store, sweep_orphans

# (tracking URI, experiment id, MLflow run id, run paths) -> URI of the logged model
LogModel = Callable[[str, str, str, RunPaths], str]


MemberMetrics = kinds.CostEntry | kinds.MemberEntry | kinds.MemberTestEntry
# Tags of a learner with the reason why it has no member; removed when it is trained after all.
_WHY = {"failure", "spared", "unfinished"}


class Shipper:
    """Turns entries into MLflow calls, in order; metrics of neighbouring entries go together.

    Attributes:
        cursor: what was sent. It is saved only when all that it records has been sent, and read
            again from disk after a failure.
    """

    def __init__(self, paths: RunPaths, uri: str, experiment: str, log_model: LogModel) -> None:
        self._paths = paths
        self._experiment = experiment
        self._log_model = log_model
        self.cursor = Cursor.load(paths.cursor)
        self.uri = self.cursor.uri or uri
        if self.uri == mask_secrets(uri):
            self.uri = uri  # with what is hidden in the cursor
        self._sender: Sender | None = None
        self._metrics: dict[str, list[Any]] = {}

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
        """Start again at the beginning of the journal; nothing is duplicated.

        Learners that failed or were spared may be trained now; if not, they are journalled again.
        """
        self.cursor.offset = 0
        self.cursor.ended = {k: s for k, s in self.cursor.ended.items() if s == "FINISHED"}
        self._save()

    def _ship(self, entries: Sequence[Entry]) -> None:
        if self._sender is None:
            self._sender = self._open()
        self._metrics = {}
        for entry in entries:
            self.take(entry)

    def take(self, entry: Entry) -> None:
        """Send an entry, or keep its metrics until they are sent in a batch."""
        match entry:
            case kinds.StartedEntry():
                self._started(entry)
            case kinds.LearnerEntry():
                self._learner(entry)
            case kinds.GrownEntry():
                # Parameters of a run cannot change in MLflow; a tag can.
                self._to.tag(self._parent, "ensemble_pipe.learners", str(entry.learners))
            case kinds.ResumedEntry():
                self._resumed()
            case kinds.EpochEntry():
                self._epoch(entry)
            case kinds.CostEntry():
                self._member_metrics(entry, {"milliseconds_per_row": entry.ms})
            case kinds.MemberEntry():
                metrics = {f"validation/{name}": value for name, value in entry.metrics.items()}
                self._member_metrics(entry, metrics)
            case kinds.MemberTestEntry():
                self._member_metrics(entry, entry.metrics)
            case kinds.EnsembleEntry():
                self._ensemble(entry)
            case kinds.FinishedEntry():
                self._end_learner(entry)
            case kinds.FailedEntry():
                self._to.tag(self._child(entry), "failure", entry.reason)
                self._end_learner(entry)
            case kinds.SparedEntry():
                self._to.tag(self._child(entry), "spared", entry.reason)
                self._end_learner(entry)
            case kinds.CombinedEntry():
                self._combined(entry)
            case kinds.ResultEntry():
                self._result(entry)
            case kinds.PicturesEntry():
                for name in entry.names:
                    self._to.file(self._parent, self._paths.picture(name), "pictures")
            case kinds.ModelEntry():
                self._model(entry)
            case kinds.TimelineEntry():
                seconds = {f"seconds/{stage.name}": stage.seconds for stage in entry.stages}
                self._add(self._parent, entry, seconds, 0)
            case kinds.EndedEntry():
                self._ended(entry)
            case kinds.UnknownEntry():
                self._leave_out(f"entries {entry.kind}", "are unknown to this version")
            case _:
                assert_never(entry)

    def _open(self) -> Sender:
        address = restore_secrets(self.uri)
        if address is None:
            raise InputError(
                f"{self.uri}: has a password or token, which is kept in no file; set "
                "MLFLOW_TRACKING_PASSWORD to the password, or MLFLOW_TRACKING_URI to the whole "
                "address"
            )
        self._address = address
        client, self._experiment_id = open_store(address, self._experiment)
        sweep_orphans(client, self._experiment_id, self._paths.root)
        return Sender(client, self._leave_out)

    @property
    def _to(self) -> Sender:
        if self._sender is None:
            raise RuntimeError("nothing has been shipped yet")
        return self._sender

    @property
    def _parent(self) -> str:
        return str(self.cursor.parent)

    def _child(self, entry: kinds.OfLearner) -> str:
        return self.cursor.children[str(entry.learner)]

    def _leave_out(self, what: str, why: str) -> None:
        self.cursor.left_out[what] = why

    def _add(self, run: str, entry: Entry, metrics: Numbers, step: int) -> None:
        from mlflow.entities import Metric

        sent = {name: float("nan") if value is None else value for name, value in metrics.items()}
        self._metrics.setdefault(run, []).extend(
            Metric(names.key(name), value, entry.time_ms, step) for name, value in sent.items()
        )

    def _send_metrics(self) -> None:
        for run, metrics in self._metrics.items():
            self._to.metrics(run, metrics)
        self._metrics = {}

    def _make_run(self, key: str, name: str, tags: dict[str, str], time_ms: int) -> str:
        found = find_run(self._to.client, self._experiment_id, key)
        if found is None:
            created = self._to.client.create_run(
                self._experiment_id,
                start_time=time_ms,
                run_name=name,
                tags={KEY_TAG: key, "mlflow.source.name": "ensemble-pipe", **tags},
            )
            found = created.info.run_id
        return str(found)

    def _started(self, entry: kinds.StartedEntry) -> None:
        cursor, root = self.cursor, self._paths.root
        if cursor.parent is None:
            tags = {"ensemble_pipe.run_dir": names.value(root, names.MOST_TAG)}
            tags.update({f"data.sha256.{k}": v for k, v in entry.data_sums.items()})
            cursor.parent = self._make_run(entry.run_id, entry.run_id, tags, entry.time_ms)
        self._send_parameters(self._parent, {**entry.pipeline, "rows": entry.rows})
        self._to.file(self._parent, self._paths.pipeline)
        self._save()

    def _learner(self, entry: kinds.LearnerEntry) -> None:
        cursor, learner = self.cursor, str(entry.learner)
        if learner not in cursor.children:
            key = f"{self._paths.root.name}/{learner}"
            tags = {"mlflow.parentRunId": str(cursor.parent)}
            cursor.children[learner] = self._make_run(
                key, f"learner {learner}", tags, entry.time_ms
            )
        self._to.tag(cursor.children[learner], "kind", kind_of(entry.plan))
        self._send_parameters(cursor.children[learner], entry.plan)
        self._save()

    def _resumed(self) -> None:
        """Open again the run, and the learners whose training has not ended."""
        self._to.client.update_run(self.cursor.parent, status="RUNNING")
        for learner, run in self.cursor.children.items():
            if learner not in self.cursor.ended:
                self._to.client.update_run(run, status="RUNNING")
                for tag in _WHY & self._to.client.get_run(run).data.tags.keys():
                    self._to.client.delete_tag(run, tag)

    def _epoch(self, entry: kinds.EpochEntry) -> None:
        learner = str(entry.learner)
        if entry.epoch > self.cursor.epochs.get(learner, 0):
            self._add(self._child(entry), entry, entry.metrics, entry.epoch)
            self.cursor.epochs[learner] = entry.epoch

    def _member_metrics(self, entry: MemberMetrics, metrics: Numbers) -> None:
        if self._first_time(f"{entry.kind}/{entry.learner}/{entry.number}"):
            self._add(self._child(entry), entry, metrics, entry.number)

    def _ensemble(self, entry: kinds.EnsembleEntry) -> None:
        if entry.members > self.cursor.members:
            metrics = {f"validation/{name}": value for name, value in entry.metrics.items()}
            self._add(self._parent, entry, metrics, entry.members)
            self.cursor.members = entry.members

    def _end_learner(self, entry: LearnerEnd) -> None:
        learner = str(entry.learner)
        if self.cursor.ended.get(learner) != "FINISHED":
            self.cursor.ended[learner] = learner_status(entry)
            self._terminate(self._child(entry), self.cursor.ended[learner], entry)

    def _combined(self, entry: kinds.CombinedEntry) -> None:
        values = {name: value for name, value in asdict(entry).items() if name != "time_ms"}
        self._to.json_file(self._parent, values, "combined.json")
        self._to.tag(self._parent, "combiner", entry.combiner.describe())

    def _result(self, entry: kinds.ResultEntry) -> None:
        unfinished = ", ".join(str(learner) for learner in entry.unfinished)
        self._to.tag(self._parent, "unfinished", unfinished or "none")
        # A run that was interrupted and resumed has two results.
        if self._first_time(f"result/{crc32(json.dumps(entry.metrics).encode())}"):
            metrics = entry.metrics
            if entry.equal:  # its validation metrics stand there, by number of members
                metrics = {k: v for k, v in metrics.items() if not k.startswith("validation/")}
            self._add(self._parent, entry, metrics, entry.members)

    def _model(self, entry: kinds.ModelEntry) -> None:
        if entry.sums == self.cursor.model_sums:
            return
        self._send_metrics()
        try:
            self.cursor.model_uri = self._log_model(
                self._address, self._experiment_id, self._parent, self._paths
            )
        except Exception as error:
            if not is_refusal(error):
                raise
            self._leave_out("the model", reason_of(error))
            return
        self.cursor.model_sums = entry.sums
        self.cursor.left_out.pop("the model", None)
        self._save()

    def _ended(self, entry: kinds.EndedEntry) -> None:
        for learner, run in self.cursor.children.items():
            if learner not in self.cursor.ended:
                if entry.status == "FINISHED":
                    epochs = self.cursor.epochs.get(learner, 0)
                    self._to.tag(run, "unfinished", f"not trained beyond epoch {epochs}")
                self._terminate(run, open_status(entry.status), entry)
        if self._paths.report.is_file():
            self._to.file(self._parent, self._paths.report)
        self._terminate(self._parent, entry.status, entry)

    def _terminate(self, run: str, status: str, entry: Entry) -> None:
        self._send_metrics()
        self._to.client.set_terminated(run, status=status, end_time=entry.time_ms)

    def _send_parameters(self, run: str, values: dict[str, Any]) -> None:
        """Send nested values by path, and a file of the full names of those that were cut."""
        found = flat(values)
        self._to.parameters(run, found)
        keys = {names.key(name): name for name in found}
        cut = {key: name for key, name in keys.items() if names.name_of(key) != name}
        if cut:
            self._to.json_file(run, cut, "names.json")

    def _first_time(self, name: str) -> bool:
        first = name not in self.cursor.once
        if first:
            self.cursor.once.append(name)
        return first

    def _save(self) -> None:
        self._send_metrics()
        self.cursor.uri = mask_secrets(self.uri)
        self.cursor.save(self._paths.cursor)
