"""Names and tags of a run and of its learners in MLflow."""

from pathlib import Path
from typing import Any

from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.datasets import data_name
from ensemble_pipe.tracking.kinds import StartedEntry

DESCRIPTION_TAG = "mlflow.note.content"


def learner_name(learner: int, kind: str) -> str:
    """Return the name of a learner's run; names are in order of the learners.

    >>> learner_name(7, "mlp")
    'learner 007 mlp'
    """
    return names.value(f"learner {learner:03d} {kind}", names.MOST_KEY)


def run_tags(entry: StartedEntry, root: Path) -> dict[str, str]:
    """Return the tags of a run when it begins: the user's, what it is, and where it lies."""
    pipeline = entry.pipeline
    own = pipeline.get("tracking", {}).get("tags", {})
    tags = {
        "data": data_name(pipeline),
        "task": pipeline["task"],
        "strategy": ", ".join(_strategies(pipeline["ensemble"])),
        **{names.key(name): value for name, value in own.items()},
        "ensemble_pipe.run_dir": root,
    }
    if parent := pipeline.get("tracking", {}).get("parent_run"):
        tags["mlflow.parentRunId"] = parent
    if entry.combined_from is not None:
        tags["ensemble_pipe.combined_from"] = entry.combined_from
    return {name: names.value(value, names.MOST_TAG) for name, value in tags.items()}


def _strategies(ensemble: dict[str, Any]) -> list[str]:
    """Return the strategies of an ensemble's learners, each once."""
    groups = ensemble.get("pool") or [ensemble]
    return list(dict.fromkeys(str(group["strategy"]) for group in groups))
