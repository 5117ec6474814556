"""Whether a journal is that of its run, and says all that was said before the run's checkpoints.

An epoch's entry reaches the disk before the checkpoint of that epoch is written, so a journal that
lacks one has lost it; what it measured stands nowhere else.
"""

from collections.abc import Sequence

from ensemble_pipe.core.documents import validated
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.tracking.entries import Ensemble
from ensemble_pipe.tracking.journal import Entry, read_entries
from ensemble_pipe.training.checkpoints import list_checkpoints


def complete_entries(paths: RunPaths) -> list[Entry]:
    """Return the entries of a run that no other process drives.

    Raises:
        CorruptFileError: the journal is damaged, is another run's, has lost its start or its end.
    """
    entries = [entry for entry, _ in read_entries(paths.journal)]
    require_start(paths, entries)
    lost = lost_epochs(paths, entries)
    if lost is not None:
        raise CorruptFileError(
            f"{lost}; restore it from a copy, or remove the folders of these learners to have them "
            "trained anew, to the same result"
        )
    return entries


def require_start(paths: RunPaths, entries: Sequence[Entry]) -> None:
    """Check that entries begin as those of a run do, and speak of the learners that it has.

    Raises:
        CorruptFileError: they do not.
    """
    where = paths.journal
    if not entries or entries[0]["kind"] != "started":
        raise CorruptFileError(
            f"{where}: does not say how the run began: it has lost its start; restore it from a "
            "copy, or begin a new run"
        )
    run_id, known = read_manifest(paths).run_id, set()
    if entries[0]["run_id"] != run_id:
        raise CorruptFileError(f"{where}: is that of run {entries[0]['run_id']}, not of {run_id}")
    ensemble = entries[0]["pipeline"]["ensemble"]
    for entry in entries:
        if entry["kind"] == "learner":
            known.add(entry["learner"])
        elif "learner" in entry and entry["learner"] not in known:
            raise CorruptFileError(
                f"{where}: speaks of learner {entry['learner']}, whose plan it does not have; "
                "restore it from a copy"
            )
        elif entry["kind"] == "grown":
            ensemble = entry["ensemble"]
        elif entry["kind"] == "combined" and not {place[0] for place in entry["members"]} <= known:
            raise CorruptFileError(f"{where}: combines members of learners that the run has not")
    count = validated(ensemble, Ensemble, str(where)).count
    if known != set(range(count)):
        raise CorruptFileError(
            f"{where}: has the plans of {len(known)} of the run's {count} learners; restore it "
            "from a copy"
        )


def lost_epochs(paths: RunPaths, entries: Sequence[Entry]) -> str | None:
    """Return which epochs checkpoints are known to follow that no entry tells of; None for none.

    Args:
        paths: of a run that no other process drives.
        entries: of its journal, begun as `require_start` wants it.

    Raises:
        CorruptFileError: a checkpoint is damaged.
    """
    told: dict[int, set[int]] = {}
    for entry in entries:
        if entry["kind"] == "epoch":
            told.setdefault(entry["learner"], set()).add(entry["epoch"])
    lost = {}
    for learner in sorted(entry["learner"] for entry in entries if entry["kind"] == "learner"):
        saved = list_checkpoints(paths, learner, entries[0]["run_id"])
        done = set(range(1, saved[-1].epoch + 1)) if saved else set()
        if done - told.get(learner, set()):
            lost[learner] = len(done - told.get(learner, set())), len(done)
    if not lost:
        return None
    shown = ", ".join(f"{count} of {done} of {learner}" for learner, (count, done) in lost.items())
    return f"{paths.journal}: has lost epochs that its learners have trained: {shown}"
