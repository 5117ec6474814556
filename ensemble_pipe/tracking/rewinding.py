"""Rewinding: removes the journal's entries that a resumed run will write again."""

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from ensemble_pipe.core.storage import atomic_write
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.journal import line_of, read_lines
from ensemble_pipe.tracking.kinds import Entry


def rewind(path: Path, steps: Mapping[int, int], *, train: bool) -> None:
    """Drop what lies past the checkpoints, and what is derived from them.

    Args:
        path: the journal of a run that is about to go on.
        steps: of each learner's checkpoint; a learner without one starts anew.
        train: whether learners go on, so that those that failed are tried again.
    """
    kept = [line for line in read_lines(path) if stays(line.entry, steps, train=train)]
    atomic_write(path, b"".join(line_of(line.values) for line in kept))


def stays(entry: Entry, steps: Mapping[int, int], *, train: bool) -> bool:
    """Return whether an entry stays true when its run goes on from its checkpoints."""
    match entry:
        case (
            kinds.StartedEntry() | kinds.LearnerEntry() | kinds.GrownEntry()
            | kinds.ResumedEntry() | kinds.AcceptedEntry() | kinds.CostEntry()
            | kinds.TimelineEntry() | kinds.CheckedEntry()
        ):  # fmt: skip
            return True
        case kinds.EpochEntry():
            return entry.step <= steps.get(entry.learner, 0)
        case kinds.FailedEntry():
            return not train
        case (
            kinds.FinishedEntry() | kinds.SparedEntry() | kinds.PrunedEntry()
            | kinds.MemberEntry() | kinds.MemberTestEntry() | kinds.EnsembleEntry()
            | kinds.CombinedEntry() | kinds.RefittedEntry() | kinds.ResultEntry()
            | kinds.TrialEntry() | kinds.ImportanceEntry()
            | kinds.PicturesEntry() | kinds.ModelEntry() | kinds.EndedEntry() | kinds.UnknownEntry()
        ):  # fmt: skip
            return False  # the run will write it again
        case _:
            assert_never(entry)
