"""How a run and each of its learners ended, in MLflow's words."""

from collections.abc import Iterable, Sequence
from typing import assert_never

from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.kinds import Entry

LearnerEnd = kinds.FinishedEntry | kinds.FailedEntry | kinds.SparedEntry | kinds.PrunedEntry


def open_status(run_status: str) -> str:
    """Return the status of a learner whose training had not ended when its run did."""
    return "KILLED" if run_status == "FINISHED" else run_status


def learner_status(entry: LearnerEnd) -> str:
    """Return the status of a learner by the entry of its end."""
    match entry:
        case kinds.FinishedEntry():
            return "FINISHED"
        case kinds.FailedEntry():
            return "FAILED"
        case kinds.SparedEntry() | kinds.PrunedEntry():
            return "KILLED"


def nothing_to_train(entries: Sequence[Entry]) -> bool:
    """Return whether a run has finished, and left no learner to train, by its journal.

    Changes that were accepted since do not count where they leave the learners as they were.
    """
    entries = [e for e in entries if not (isinstance(e, kinds.AcceptedEntry) and not e.plans)]
    status, learners = endings(entries)
    results = [entry for entry in entries if isinstance(entry, kinds.ResultEntry)]
    if status != "FINISHED" or not results or "FAILED" in learners.values():
        return False
    return not (results[-1].unfinished or results[-1].left_undone)


def endings(entries: Iterable[Entry]) -> tuple[str, dict[int, str]]:
    """Return the status of a run whose driver is gone, and of its learners that ended.

    A run whose last entry is no end was killed. A learner that is finished stays so.
    """
    status, learners = "KILLED", dict[int, str]()
    for entry in entries:
        status = "KILLED"
        match entry:
            case kinds.EndedEntry():
                status = entry.status
            case (
                kinds.FinishedEntry() | kinds.FailedEntry() | kinds.SparedEntry()
                | kinds.PrunedEntry()
            ):  # fmt: skip
                if learners.get(entry.learner) != "FINISHED":
                    learners[entry.learner] = learner_status(entry)
            case (
                kinds.StartedEntry() | kinds.LearnerEntry() | kinds.GrownEntry()
                | kinds.ResumedEntry() | kinds.EpochEntry() | kinds.CostEntry() | kinds.TrialEntry()
                | kinds.MemberEntry() | kinds.MemberTestEntry() | kinds.EnsembleEntry()
                | kinds.CombinedEntry() | kinds.RefittedEntry() | kinds.ResultEntry()
                | kinds.ImportanceEntry() | kinds.PicturesEntry() | kinds.ModelEntry()
                | kinds.CheckedEntry() | kinds.TimelineEntry() | kinds.AcceptedEntry()
                | kinds.UnknownEntry()
            ):  # fmt: skip
                pass  # no end
            case _:
                assert_never(entry)
    return status, learners
