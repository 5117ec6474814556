"""An entry of each kind, of a run with two learners; and the journal of a run of several."""

from pathlib import Path
from typing import Any

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.timeline import Stage
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.journal import Journal
from ensemble_pipe.tracking.kinds import KnownEntry
from ensemble_pipe.tracking.schemas import CandidateScores, ColumnRises

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
    kinds.AcceptedEntry(["training.epochs: 2 -> 3"], PIPELINE, {"0": PLAN}),
    kinds.EpochEntry(0, 1, 10, {"train/loss": 0.5}, 0.125),
    kinds.CostEntry(0, 0, 0.25),
    kinds.MemberEntry(0, 0, 1, {"nll": 0.5}),
    kinds.EnsembleEntry(1, {"nll": 0.5}),
    kinds.FailedEntry(0, "why"),
    kinds.SparedEntry(0, "why"),
    kinds.PrunedEntry(0, "why"),
    kinds.FinishedEntry(0),
    kinds.TrialEntry(0, [0], "nll", 0.5, 0.125, 90, True),
    kinds.CombinedEntry(
        Weighted(weights=(1.0,)),
        [(0, 0)],
        [CandidateScores("equal", False, 0.5, None, 0.0, 0.0)],
        [],
    ),
    kinds.RefittedEntry(0, 10, 2, 20),
    kinds.MemberTestEntry(0, 0, {"test/nll": 0.5}),
    kinds.ResultEntry({"test/nll": 0.5}, 1, True),
    kinds.ImportanceEntry(
        20, 3, "accuracy", [ColumnRises("age", (0.25, 0.125, 0.5), (0.1, 0.0, 0.25))]
    ),
    kinds.CheckedEntry("data", "2 warnings", [("one-class", "a class")], [("x", "y")]),
    kinds.PicturesEntry(["curves.png"]),
    kinds.ModelEntry({"model.json": "0" * 64}),
    kinds.TimelineEntry([Stage("data", 0.5, 1.25)]),
    kinds.EndedEntry("FINISHED"),
]


def write_journal(folder: Path, learners: int) -> RunPaths:
    """Write the journal of a finished run without a model; its learner 3 has failed."""
    folder.mkdir(parents=True)
    paths = RunPaths(folder)
    paths.pipeline.write_text("seed: 1\n")
    journal = Journal(paths.journal)
    for entry in _entries(folder.name, learners):
        journal.append(entry)
    journal.close()
    return paths


def _entries(run_id: str, learners: int) -> list[KnownEntry]:
    every = range(learners)
    tests = [kinds.MemberTestEntry(k, 0, {"test/nll": 0.1 * k, "test/ece": 0.0}) for k in every]
    return [
        kinds.StartedEntry(run_id, PIPELINE, ROWS, {"train": "0" * 64}),
        *(kinds.LearnerEntry(learner, PLAN) for learner in every),
        *(entry for learner in every for entry in _of_learner(learner)),
        *tests,
        kinds.ResultEntry({"test/nll": 0.25, "test/auroc": None}, learners, True),
        kinds.EndedEntry("FINISHED"),
    ]


def _of_learner(learner: int) -> list[KnownEntry]:
    epochs = [
        kinds.EpochEntry(learner, n, n, {"train/loss": 1 / n, "stop/nll": None}) for n in (1, 2)
    ]
    return [
        *epochs,
        kinds.MemberEntry(learner, 0, 2, {"nll": 0.5}),
        kinds.EnsembleEntry(learner + 1, {"nll": 0.5 - learner / 1000}),
        kinds.FailedEntry(learner, "no memory") if learner == 3 else kinds.FinishedEntry(learner),
    ]
