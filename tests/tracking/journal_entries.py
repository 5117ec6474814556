"""An entry of each kind, of a run with two learners."""

from typing import Any

from ensemble_pipe.core.timeline import Stage
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.kinds import KnownEntry
from ensemble_pipe.tracking.schemas import CandidateScores

PIPELINE: dict[str, Any] = {
    "name": "x",
    "task": "classification",
    "seed": 1,
    "data": {},
    "augment": {"policy": []},
    "network": {"name": "mlp"},
    "training": {
        "epochs": 3,
        "batch_size": 32,
        "optimizer": {"name": "adam"},
        "schedule": {"name": "constant"},
    },
    "ensemble": {
        "strategy": "independent",
        "learners": 2,
        "pool": None,
        "combine": {"method": "choose"},
    },
    "view": {"bootstrap": False, "folds": None, "balance_classes": False, "features": 1.0},
}
ROWS = {"train": 6, "stop": 2, "validation": 2, "test": 2}
STARTED = kinds.StartedEntry("x", PIPELINE, ROWS, {})
PLAN = {"network": {"name": "mlp"}}

# In the order of a run.
EXAMPLES: list[KnownEntry] = [
    STARTED,
    kinds.LearnerEntry(0, PLAN),
    kinds.GrownEntry(2, PIPELINE["ensemble"]),
    kinds.ResumedEntry(),
    kinds.EpochEntry(0, 1, 10, {"train/loss": 0.5}, 0.125),
    kinds.CostEntry(0, 0, 0.25),
    kinds.MemberEntry(0, 0, 1, {"nll": 0.5}),
    kinds.EnsembleEntry(1, {"nll": 0.5}),
    kinds.FailedEntry(0, "why"),
    kinds.SparedEntry(0, "why"),
    kinds.FinishedEntry(0),
    kinds.CombinedEntry(
        Weighted(weights=(1.0,)),
        [(0, 0)],
        [CandidateScores("equal", False, 0.5, None, 0.0, 0.0)],
        [],
    ),
    kinds.MemberTestEntry(0, 0, {"test/nll": 0.5}),
    kinds.ResultEntry({"test/nll": 0.5}, 1, True),
    kinds.PicturesEntry(["curves.png"]),
    kinds.ModelEntry({"model.json": "0" * 64}),
    kinds.TimelineEntry([Stage("data", 0.5, 1.25)]),
    kinds.EndedEntry("FINISHED"),
]
