"""Sends the numbers of a run to MLflow, each of them once.

The cursor has what was sent: a journal may say it again, after a resume or when it is read anew.
"""

import json
from collections.abc import Sequence
from zlib import crc32

from ensemble_pipe.tracking import kinds, names
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.entry import OfLearner
from ensemble_pipe.tracking.kinds import Numbers
from ensemble_pipe.tracking.sending import Sender
from ensemble_pipe.tracking.system_metrics import Sample

MemberMetrics = kinds.CostEntry | kinds.MemberEntry | kinds.MemberTestEntry


def send_numbers(to: Sender, run: str, time_ms: int, metrics: Numbers, step: int) -> None:
    """Collect metrics by name, measured at a time in ms; None is not a number."""
    from mlflow.entities import Metric

    sent = {name: float("nan") if value is None else value for name, value in metrics.items()}
    to.metrics(run, [Metric(names.key(name), v, time_ms, step) for name, v in sent.items()])


def send_epoch(to: Sender, cursor: Cursor, entry: kinds.EpochEntry) -> None:
    learner = str(entry.learner)
    if entry.epoch > cursor.epochs.get(learner, 0):
        send_numbers(to, _child(cursor, entry), entry.time_ms, entry.metrics, entry.epoch)
        cursor.epochs[learner] = entry.epoch


def send_member(to: Sender, cursor: Cursor, entry: MemberMetrics) -> None:
    metrics = _of_member(entry)
    # A learner that was halted and resumed has two members of one number.
    sum_ = crc32(json.dumps(metrics).encode())
    if cursor.take(f"{entry.kind}/{entry.learner}/{entry.number}/{sum_}"):
        send_numbers(to, _child(cursor, entry), entry.time_ms, metrics, entry.number)


def send_ensemble(to: Sender, cursor: Cursor, entry: kinds.EnsembleEntry) -> None:
    if entry.members > cursor.members:
        send_numbers(
            to, str(cursor.parent), entry.time_ms, _on_validation(entry.metrics), entry.members
        )
        cursor.members = entry.members


def send_trial(to: Sender, cursor: Cursor, entry: kinds.TrialEntry) -> None:
    """Collect what a trial of a search had in the runs of its learners."""
    sum_ = crc32(json.dumps(entry.metrics).encode())
    is_new = cursor.take(f"trial/{entry.trial}/{sum_}")
    for child in (cursor.children[str(learner)] for learner in entry.learners):
        to.tag(child, "trial", entry.text)
        if is_new:
            send_numbers(to, child, entry.time_ms, entry.metrics, 0)


def send_samples(to: Sender, cursor: Cursor, samples: Sequence[Sample]) -> None:
    """Collect what was sampled of the machine; the first sample has step 1."""
    for sample in samples:
        # Step 0 is that of the model, to which MLflow copies all metrics of its step.
        cursor.samples += 1
        send_numbers(to, str(cursor.parent), sample.time_ms, sample.metrics, cursor.samples)


def _of_member(entry: MemberMetrics) -> Numbers:
    match entry:
        case kinds.CostEntry():
            return {"milliseconds_per_row": entry.ms}
        case kinds.MemberEntry():
            return _on_validation(entry.metrics)
        case kinds.MemberTestEntry():
            return entry.metrics


def _on_validation(metrics: Numbers) -> Numbers:
    return {f"validation/{name}": value for name, value in metrics.items()}


def _child(cursor: Cursor, entry: OfLearner) -> str:
    return cursor.children[str(entry.learner)]
