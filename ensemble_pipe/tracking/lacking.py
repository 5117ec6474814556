"""What MLflow lacks of a run, in one line with the command that sends it."""

from ensemble_pipe.core.messages import list_names, shell_word
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.entry import OfLearner
from ensemble_pipe.tracking.journal import read_lines
from ensemble_pipe.tracking.tracker import Tracker


def what_mlflow_lacks(paths: RunPaths, tracker: Tracker) -> str:
    """Return what MLflow has not received of a run, why, and what to do; "" if it has all."""
    if tracker.problem:
        return (
            f"MLflow lacks {_unsent(paths)} ({tracker.problem}); {tracker.problem.advice} with "
            f"`ensemble-pipe sync {shell_word(paths.root)}`"
        )
    if tracker.left_out:
        return f"MLflow has this run, but for what cannot be sent ({tracker.left_out})"
    return ""


def _unsent(paths: RunPaths) -> str:
    """Return what stands in the journal behind the cursor, such as "2 of 8 learners"."""
    cursor = Cursor.load(paths.cursor)
    if cursor.parent is None:
        return "this run"
    learners, unsent, model = set[int](), set[int](), False
    for line in read_lines(paths.journal):
        is_unsent = line.end > cursor.offset
        if isinstance(line.entry, OfLearner):
            learners.add(line.entry.learner)
            if is_unsent:
                unsent.add(line.entry.learner)
        model |= is_unsent and isinstance(line.entry, kinds.ModelEntry)
    found = [f"entries of {len(unsent)} of {len(learners)} learners"] if unsent else []
    found += ["the model"] if model and not cursor.model_sums else []
    return list_names(found) if found else "the end of this run"
