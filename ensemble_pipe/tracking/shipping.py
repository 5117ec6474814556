"""Sends journal entries to MLflow as runs, parameters, metrics, tags and files.

Everything can be sent twice: runs are found again by a tag of their own, metrics of a step that was
sent are not sent again, and all else is the same the second time.
"""

import json
from collections.abc import Callable, Sequence
from time import gmtime, strftime
from typing import Any, Literal, assert_never
from zlib import crc32

from ensemble_pipe.core.addresses import mask_secrets
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.timeline import seconds_of
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.datasets import dataset_inputs
from ensemble_pipe.tracking.documents import send_documents
from ensemble_pipe.tracking.endings import LearnerEnd, learner_status, open_status
from ensemble_pipe.tracking.entry import OfLearner, without_time
from ensemble_pipe.tracking.kinds import Entry
from ensemble_pipe.tracking.labels import learner_name, run_tags
from ensemble_pipe.tracking.measurements import (
    send_ensemble,
    send_epoch,
    send_member,
    send_numbers,
    send_samples,
    send_trial,
)
from ensemble_pipe.tracking.model_metrics import model_metrics
from ensemble_pipe.tracking.refusals import is_refusal, reason_of
from ensemble_pipe.tracking.result_metrics import result_metrics, time_metrics
from ensemble_pipe.tracking.run_summary import kind_of
from ensemble_pipe.tracking.sending import Sender
from ensemble_pipe.tracking.sendings import count_sending, cursor_anew, has_lost
from ensemble_pipe.tracking.store import (
    KEY_TAG,
    child_runs,
    find_run,
    open_store,
    require_address,
    sweep_orphans,
)
from ensemble_pipe.tracking.system_metrics import Sample

# (tracking URI, experiment id, MLflow run id, run paths) -> URI of the logged model
LogModel = Callable[[str, str, str, RunPaths], str]
# Called before a step with its kind, and after each answer of MLflow with the numbers of runs that
# all was sent of and that there are to send.
OnStep = Callable[[Literal["open", "model"]], None]
OnSent = Callable[[int, int], None]

BETWEEN_MS = 10
# Tags of a learner with the reason why it has no member; removed when it is trained after all.
_WHY = {"failed": "failure", "spared": "spared", "pruned": "pruned", "ended": "unfinished"}


class Shipper:
    """Turns entries into MLflow calls; what the entries say of one run is sent together.

    Attributes:
        cursor: what was sent. It is saved only when all that it records has been sent, and read
            again from disk after a failure.
    """

    def __init__(
        self,
        paths: RunPaths,
        uri: str,
        experiment: str,
        log_model: LogModel,
        on_step: OnStep = lambda kind: None,
        on_sent: OnSent = lambda sent, planned: None,
    ) -> None:
        self._paths = paths
        self._on_step, self._on_sent = on_step, on_sent
        self._experiment = experiment
        self._log_model = log_model
        self.cursor = Cursor.load(paths.cursor)
        self.uri = self.cursor.uri or uri
        if self.uri == mask_secrets(uri):
            self.uri = uri  # with what is hidden in the cursor
        self._sender: Sender | None = None
        # The learners' runs that MLflow has and the cursor may lack; None before a look-up.
        self._found: dict[str, Any] | None = None

    def ship(self, entries: Sequence[Entry], offset: int, samples: Sequence[Sample] = ()) -> None:
        """Send entries and samples, and note that the journal is sent up to `offset`.

        An exception of MLflow's leaves the cursor where it was.
        """
        try:
            self.open()
            for entry in entries:
                self.take(entry)
            send_samples(self._to, self.cursor, samples)
            self._to.flush()
            count_sending(self._to.client, self.cursor)
            self.cursor.offset = offset
            self.cursor.uri = mask_secrets(self.uri)
            self.cursor.save(self._paths.cursor)
        except BaseException:
            self.cursor = Cursor.load(self._paths.cursor)
            self._found = None
            if self._sender is not None:
                self._sender.forget()
            raise

    def send_anew_if_lost(self) -> None:
        """Begin again with all where MLflow has lost something, as a store restored from a copy."""
        if has_lost(self._to.client, self.cursor):
            self.cursor, self._found, self._sender = cursor_anew(self.cursor), None, None
            self.open()

    def take(self, entry: Entry) -> None:
        """Collect what MLflow is to have of an entry, or send it."""
        match entry:
            case kinds.StartedEntry():
                self._started(entry)
            case kinds.LearnerEntry():
                self._learner(entry)
            case kinds.GrownEntry():
                # Parameters of a run cannot change in MLflow; a tag can.
                self._to.tag(self._parent, "ensemble_pipe.learners", str(entry.learners))
            case kinds.AcceptedEntry():
                self._accepted(entry)
            case kinds.ResumedEntry():
                self._resumed()
            case kinds.EpochEntry():
                send_epoch(self._to, self.cursor, entry)
            case kinds.CostEntry() | kinds.MemberEntry() | kinds.MemberTestEntry():
                send_member(self._to, self.cursor, entry)
            case kinds.EnsembleEntry():
                send_ensemble(self._to, self.cursor, entry)
            case kinds.FinishedEntry():
                self._end_learner(entry)
            case kinds.FailedEntry() | kinds.SparedEntry() | kinds.PrunedEntry():
                self._to.tag(self._child(entry), _WHY[entry.kind], entry.reason)
                self._end_learner(entry)
            case kinds.TrialEntry():
                send_trial(self._to, self.cursor, entry)
            case kinds.CombinedEntry():
                self._combined(entry)
            case kinds.RefittedEntry():
                self._to.tag(self._child(entry), "refitted", entry.text)
            case kinds.ResultEntry():
                self._result(entry)
            case kinds.ImportanceEntry():
                self._to.json_file(self._parent, without_time(entry), "importance.json")
            case kinds.CheckedEntry():
                self._to.tag(self._parent, f"check/{entry.title}", entry.text)
            case kinds.PicturesEntry():
                for name in entry.names:
                    self._to.file(self._parent, self._paths.picture(name), "pictures")
            case kinds.ModelEntry():
                self._model(entry)
            case kinds.TimelineEntry():
                times = time_metrics(seconds_of(entry.stages))
                send_numbers(self._to, self._parent, entry.time_ms, times, 0)
            case kinds.EndedEntry():
                self._ended(entry)
            case kinds.UnknownEntry():
                self._leave_out(f"entries {entry.kind}", "are unknown to this version")
            case _:
                assert_never(entry)

    def open(self) -> None:
        """Open the store, unless it is open."""
        if self._sender is not None:
            return
        self._on_step("open")
        self._address = require_address(self.uri)
        client, self._experiment_id = open_store(self._address, self._experiment)
        sweep_orphans(client, self._experiment_id, self._paths.root)
        self._sender = Sender(client, self._leave_out, self._on_sent)

    @property
    def _to(self) -> Sender:
        if self._sender is None:
            raise RuntimeError("nothing has been shipped yet")
        return self._sender

    @property
    def _parent(self) -> str:
        return str(self.cursor.parent)

    def _child(self, entry: OfLearner) -> str:
        return self.cursor.children[str(entry.learner)]

    def _leave_out(self, what: str, why: str) -> None:
        self.cursor.left_out[what] = why

    def _make_run(self, key: str, name: str, tags: dict[str, str], time_ms: int) -> str:
        tags = {KEY_TAG: key, "mlflow.source.name": "ensemble-pipe", **tags}
        return self._to.create_run(self._experiment_id, name, tags, time_ms)

    def _started(self, entry: kinds.StartedEntry) -> None:
        cursor, root = self.cursor, self._paths.root
        if cursor.parent is None:
            cursor.parent = find_run(self._to.client, self._experiment_id, entry.run_id)
        if cursor.parent is None:
            tags = run_tags(entry, root)
            cursor.parent = self._make_run(entry.run_id, entry.run_id, tags, entry.time_ms)
            self._found = {}
        self._to.nested_parameters(self._parent, {**entry.pipeline, "rows": entry.rows})
        self._to.inputs(self._parent, dataset_inputs(entry, self._paths))
        self._to.file(self._parent, self._paths.pipeline)
        self._to.flush()  # MLflow copies the parameters that the run has to its model

    def _learner(self, entry: kinds.LearnerEntry) -> None:
        children, learner = self.cursor.children, str(entry.learner)
        kind = kind_of(entry.plan)
        if learner not in children:
            key = f"{self._paths.root.name}/{learner}"
            if key in self._children():
                children[learner] = self._children()[key].info.run_id
            else:
                tags = {"mlflow.parentRunId": self._parent, "kind": kind}
                # MLflow's UI lists the newest first: by these times learners are in their order.
                began_ms = entry.time_ms - BETWEEN_MS * entry.learner
                children[learner] = self._make_run(
                    key, learner_name(entry.learner, kind), tags, began_ms
                )
        self._to.nested_parameters(children[learner], entry.plan)

    def _children(self) -> dict[str, Any]:
        """Return the learners' runs as MLflow had them when they were first asked for, by key."""
        if self._found is None:
            self._found = child_runs(self._to.client, self._experiment_id, self._parent)
        return self._found

    def _accepted(self, entry: kinds.AcceptedEntry) -> None:
        """Tag the run with what it goes on with; its parameters stay those that it began with."""
        when = strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(entry.time_ms / 1000))
        self._to.tag(self._parent, f"accepted/{when}", "; ".join(entry.changes))
        self._to.file(self._parent, self._paths.pipeline)
        for learner in entry.plans:  # one that had ended may go on
            self.cursor.ended.pop(learner, None)

    def _resumed(self) -> None:
        """Open again the run, and the learners whose training has not ended."""
        self._to.flush()
        client, self._found = self._to.client, None
        client.update_run(self.cursor.parent, status="RUNNING")
        known = {run.info.run_id: run for run in self._children().values()}
        for learner, run in self.cursor.children.items():
            if learner not in self.cursor.ended and run in known:
                client.update_run(run, status="RUNNING")
                for tag in known[run].data.tags.keys() & _WHY.values():
                    client.delete_tag(run, tag)

    def _end_learner(self, entry: LearnerEnd) -> None:
        learner = str(entry.learner)
        if self.cursor.ended.get(learner) != "FINISHED":
            self.cursor.ended[learner] = learner_status(entry)
            self._to.end(self._child(entry), self.cursor.ended[learner], entry.time_ms)

    def _combined(self, entry: kinds.CombinedEntry) -> None:
        self._to.json_file(self._parent, without_time(entry), "combined.json")
        self._to.tag(self._parent, "combiner", entry.combiner.describe())

    def _result(self, entry: kinds.ResultEntry) -> None:
        unfinished = ", ".join(str(learner) for learner in entry.unfinished)
        self._to.tag(self._parent, "unfinished", unfinished or "none")
        self._to.tag(self._parent, "left_undone", entry.left_undone or "nothing")
        # A run that was interrupted and resumed has two results.
        if self.cursor.take(f"result/{crc32(json.dumps(entry.metrics).encode())}"):
            for step, shown in result_metrics(entry.metrics, entry.equal, entry.members).items():
                send_numbers(self._to, self._parent, entry.time_ms, shown, step)
            self._to.json_file(self._parent, entry.metrics, "metrics.json")

    def _model(self, entry: kinds.ModelEntry) -> None:
        if entry.sums == self.cursor.model_sums:
            return
        # Before the metrics of this run are sent: MLflow reads the history of each that it has.
        self._on_step("model")
        try:
            self.cursor.model_uri = self._log_model(
                self._address, self._experiment_id, self._parent, self._paths
            )
        except Exception as error:
            if not is_refusal(error):
                self._to.flush()  # a model that cannot be logged now holds up nothing else
                raise
            self._leave_out("the model", reason_of(error))
            return
        self.cursor.model_sums = entry.sums
        self.cursor.left_out.pop("the model", None)
        self._to.flush()
        self._to.metrics(self._parent, model_metrics(self._paths, self.cursor.model_uri))

    def _ended(self, entry: kinds.EndedEntry) -> None:
        for learner, run in self.cursor.children.items():
            if learner not in self.cursor.ended:
                if entry.status == "FINISHED":
                    epochs = self.cursor.epochs.get(learner, 0)
                    self._to.tag(run, _WHY[entry.kind], f"not trained beyond epoch {epochs}")
                self._to.end(run, open_status(entry.status), entry.time_ms)
        send_documents(self._to, self._parent, self._paths, self._leave_out)
        self._to.flush()  # the run itself is the last to end
        self._to.end(self._parent, entry.status, entry.time_ms)
