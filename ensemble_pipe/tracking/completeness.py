"""Checks that a journal belongs to its run and covers every epoch up to its checkpoints.

An epoch's entry reaches the disk before the checkpoint of that epoch is written, so a journal that
lacks one has lost it; the measurements of an epoch are recorded nowhere else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from ensemble_pipe.core.documents import validate_as
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import Entry, StartedEntry
from ensemble_pipe.tracking.schemas import EnsembleSchema
from ensemble_pipe.training.checkpoints import list_checkpoints


def complete_entries(paths: RunPaths) -> list[Entry]:
    """Return the entries of a run that no other process drives.

    Raises:
        CorruptFileError: the journal is damaged, is another run's, has lost its start or its end.
    """
    entries = list(read_entries(paths.journal))
    lost = lost_epochs(paths, require_start(paths, entries).run_id, entries)
    if lost is not None:
        raise CorruptFileError(
            f"{lost}; restore it from a copy, or remove the folders of these learners to have them "
            "trained anew, to the same result"
        )
    return entries


def require_start(paths: RunPaths, entries: Sequence[Entry]) -> StartedEntry:
    """Return the first entry of a run; check that all others are about learners that it has.

    Raises:
        CorruptFileError: the journal has lost its start, or is another run's.
    """
    where = paths.journal
    if not entries or not isinstance(entries[0], StartedEntry):
        raise CorruptFileError(
            f"{where}: does not say how the run began: it has lost its start; restore it from a "
            "copy, or begin a new run"
        )
    started, run_id = entries[0], read_manifest(paths).run_id
    if started.run_id != run_id:
        raise CorruptFileError(f"{where}: is that of run {started.run_id}, not of {run_id}")
    known: set[int] = set()
    for entry in entries:
        take_learner(entry, known, where)
    grown = [entry.ensemble for entry in entries if isinstance(entry, kinds.GrownEntry)]
    ensemble = [started.pipeline["ensemble"], *grown][-1]
    count = validate_as(ensemble, EnsembleSchema, str(where)).size
    if known != set(range(count)):
        raise CorruptFileError(
            f"{where}: has the plans of {len(known)} of the run's {count} learners; restore it "
            "from a copy"
        )
    return started


def take_learner(entry: Entry, known: set[int], where: Path) -> None:
    """Add the learner that an entry plans to those known; check that other entries are about these.

    Raises:
        CorruptFileError: one is not; `where` is the path of the journal.
    """
    match entry:
        case kinds.LearnerEntry():
            known.add(entry.learner)
        case (
            kinds.EpochEntry() | kinds.FinishedEntry() | kinds.FailedEntry() | kinds.SparedEntry()
            | kinds.PrunedEntry() | kinds.CostEntry() | kinds.MemberEntry()
            | kinds.MemberTestEntry() | kinds.RefittedEntry()
        ):  # fmt: skip
            if entry.learner not in known:
                raise CorruptFileError(
                    f"{where}: has an entry of learner {entry.learner} but not its plan; "
                    "restore it from a copy"
                )
        case kinds.TrialEntry():
            if not known.issuperset(entry.learners):
                raise CorruptFileError(f"{where}: has a trial of learners that are not in the run")
        case kinds.CombinedEntry():
            if not {learner for learner, _ in entry.members} <= known:
                raise CorruptFileError(
                    f"{where}: combines members of learners that are not in the run"
                )
        case (
            kinds.StartedEntry() | kinds.GrownEntry() | kinds.ResumedEntry()
            | kinds.EnsembleEntry() | kinds.ResultEntry() | kinds.ImportanceEntry()
            | kinds.PicturesEntry() | kinds.ModelEntry() | kinds.TimelineEntry()
            | kinds.CheckedEntry() | kinds.AcceptedEntry() | kinds.EndedEntry()
            | kinds.UnknownEntry()
        ):  # fmt: skip
            pass  # of no single learner
        case _:
            assert_never(entry)


def lost_epochs(paths: RunPaths, run_id: str, entries: Sequence[Entry]) -> str | None:
    """Return a message on epochs that checkpoints follow and no entry holds; None for none.

    Args:
        paths: of a run that no other process drives.
        run_id: of the run.
        entries: of its journal.

    Raises:
        CorruptFileError: a checkpoint is damaged.
    """
    found: dict[int, set[int]] = {}
    for entry in entries:
        if isinstance(entry, kinds.LearnerEntry):
            found.setdefault(entry.learner, set())
        elif isinstance(entry, kinds.EpochEntry):
            found[entry.learner].add(entry.epoch)
    lost = {}
    for learner, epochs in sorted(found.items()):
        saved = list_checkpoints(paths, learner, run_id)
        done = set(range(1, saved[-1].epoch + 1)) if saved else set()
        if done - epochs:
            lost[learner] = len(done - epochs), len(done)
    if not lost:
        return None
    shown = ", ".join(f"{count} of {done} of {learner}" for learner, (count, done) in lost.items())
    return f"{paths.journal}: has lost epochs that its learners have trained: {shown}"
