"""A finished run as a comparison reads it: settings, metrics, each test row, and cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import CorruptFileError, RunDirectoryError
from ensemble_pipe.core.messages import printable, shell_word, truncate
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.measures import covered_rows, row_values
from ensemble_pipe.ensemble.metrics.row_values import RowValues
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.serving.predictions import read_predictions
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import (
    AcceptedEntry,
    CombinedEntry,
    EndedEntry,
    Entry,
    EpochEntry,
    GrownEntry,
    LearnerEntry,
    Numbers,
    RefittedEntry,
    ResumedEntry,
    StartedEntry,
)
from ensemble_pipe.tracking.run_summary import flat, read_run_summary

# The share of rows whose set or interval holds the truth.
COVERED = "conformal/coverage"
# Keys that change no result, and the seed, which repetitions differ in.
NO_SETTINGS = ("seed", "name", "tracking", "cluster")


@dataclass(frozen=True)
class Cost:
    """The cost of a run.

    Attributes:
        learner_steps, learner_epochs: of all networks together, refits too; other learners have
            none.
        seconds: from the run's first entry in the journal to its last, without the time between a
            stop and its resumption.
    """

    learner_steps: int
    learner_epochs: int
    seconds: float


@dataclass(frozen=True)
class FinishedRun:
    """One finished run.

    Attributes:
        root: its folder.
        name: of its pipeline.
        task: classification or regression.
        seed: of the run.
        settings: the resolved pipeline by path, without `NO_SETTINGS`.
        members: of its ensemble.
        metrics: of the journal's result, flat.
        rows: (R,) indices of the test rows in their source.
        truth: (R,) or (R, D) true classes or numbers of these rows.
        values: metrics of the test rows, row by row; whether they are covered among them, where the
            ensemble has sets or intervals of a stated coverage.
        cost: of its training, combination and measurement.
        combined_from: the run whose members this one combines anew, with whose training its cost
            is; None where it trained its own.
    """

    root: Path
    name: str
    task: str
    seed: int
    settings: dict[str, Any]
    members: int
    metrics: Numbers
    rows: Array
    truth: Array
    values: dict[str, RowValues]
    cost: Cost
    combined_from: str | None = None

    @property
    def short_name(self) -> str:
        """The end of its folder's name, which tells it from other runs of a pipeline."""
        return short_name(self.root.name)

    def same_rows(self, other: "FinishedRun") -> bool:
        """Return whether both were tested on the same rows, in the same order."""
        return np.array_equal(self.rows, other.rows) and np.array_equal(self.truth, other.truth)

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain values, for JSON: its place, seed, test metrics and cost."""
        return {
            "run_dir": str(self.root),
            "seed": self.seed,
            "members": self.members,
            "metrics": {name: v for name, v in self.metrics.items() if "test/" in name},
            **asdict(self.cost),
            "combined_from": self.combined_from,
        }


def short_name(name: str) -> str:
    """Return the end of a run's name.

    >>> short_name("digits-20261201-230125-76bc"), short_name("mine")
    ('76bc', 'mine')
    """
    return truncate(printable(name.rpartition("-")[2] or name), 24)


def read_run(root: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        RunDirectoryError: it is no run directory, or has no result yet.
        CorruptFileError: a file is damaged.
    """
    paths = RunPaths.open(root)
    summary = read_run_summary(paths)
    if not summary.metrics or not paths.predictions("test").is_file():
        raise RunDirectoryError(
            f"{root}: this run has no result yet; finish it with "
            f"`ensemble-pipe resume {shell_word(root)}`"
        )
    if summary.lost is not None:  # what it cost is not known
        raise CorruptFileError(f"{summary.lost}; restore it from a copy")
    schema = read_schema(paths)
    rows, truth, values = _test_rows(paths.predictions("test"), schema, summary.combined)
    return FinishedRun(
        root=paths.root,
        name=str(summary.pipeline["name"]),
        task=schema.task,
        seed=int(summary.pipeline["seed"]),
        settings=settings_of(summary.pipeline),
        members=len(summary.members if summary.combined is None else summary.combined.members),
        metrics=summary.metrics,
        rows=rows,
        truth=truth,
        values=values,
        cost=cost_of(list(read_entries(paths.journal))),
        combined_from=summary.combined_from,
    )


def settings_of(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that affect the result, but for the seed, by path."""
    return flat({key: value for key, value in pipeline.items() if key not in NO_SETTINGS})


def cost_of(entries: Sequence[Entry]) -> Cost:
    """Return the cost of a run, from its journal."""
    steps: dict[int, int] = {}
    epochs: dict[int, int] = {}
    for entry in entries:
        if isinstance(entry, EpochEntry):
            steps[entry.learner] = max(entry.step, steps.get(entry.learner, 0))
            epochs[entry.learner] = max(entry.epoch, epochs.get(entry.learner, 0))
    refits = {one.learner: one for one in entries if isinstance(one, RefittedEntry)}.values()
    all_steps = sum(steps.values()) + sum(one.steps for one in refits)
    all_epochs = sum(epochs.values()) + sum(one.epochs for one in refits)
    return Cost(all_steps, all_epochs, driven_seconds(entries))


def driven_seconds(entries: Sequence[Entry]) -> float:
    """Return the seconds in which a process drove a run, from its journal.

    What a run found before its journal began stands after its start with an earlier time, and a
    clock may be set back: neither takes time away.
    """
    milliseconds = sum(
        max(0, following.time_ms - entry.time_ms)
        for entry, following in pairwise(entries)
        if not _is_pause(entry, following)
    )
    return milliseconds / 1000


def own_entries(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return a journal from where its run itself begins.

    That of a combined run begins with what the journal of its source says of the members.
    """
    first = entries[0]
    if not isinstance(first, StartedEntry) or first.combined_from is None:
        return entries
    begins = (
        place
        for place, entry in enumerate(entries)
        if isinstance(entry, ResumedEntry) and entry.time_ms == first.time_ms
    )
    return entries[next(begins, 0) :]


def _is_pause(entry: Entry, following: Entry) -> bool:
    """Return whether no process drove the run between two entries that follow each other."""
    begins = isinstance(following, LearnerEntry | GrownEntry | AcceptedEntry | ResumedEntry)
    return begins or isinstance(entry, EndedEntry)


def _test_rows(
    path: Path, schema: Schema, combined: CombinedEntry | None
) -> tuple[Array, Array, dict[str, RowValues]]:
    """Return rows, truth and values by row, from a file of predictions.

    The members' outputs are combined once more: a mean and a deviation do not say what density a
    transformed target has.
    """
    try:
        table = read_predictions(path)
        truth, targets = _targets(table, schema)
        outputs = _outputs(table, schema)
        combiner = Weighted.equal(len(outputs)) if combined is None else combined.combiner
        combiner.check(schema.task, len(outputs), len(schema.classes) or schema.target_count)
        conformal = () if combined is None else tuple(combined.conformal)
        decision = None if combined is None else combined.decision
        prediction = Prediction(outputs, combiner, schema, conformal, decision)
        values = row_values(prediction, targets)
        if conformal:
            values[COVERED] = RowValues(covered_rows(prediction, targets).astype(np.float64))
        return np.array(table.column("row")), truth, values
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"{path}: no predictions of this run ({error})") from None


def _outputs(table: pa.Table, schema: Schema) -> Floats:
    """Return the members' outputs (K, R, O) in a file of predictions."""
    column = table.column("outputs")
    width = len(schema.classes) or 2 * schema.target_count
    if not isinstance(column.type, pa.FixedShapeTensorType) or column.type.shape[1:] != [width]:
        raise ValueError(f"outputs are of type {column.type}")
    found: Floats = column.combine_chunks().to_numpy_ndarray().transpose(1, 0, 2)
    return found


def _targets(table: pa.Table, schema: Schema) -> tuple[Array, Array]:
    """Return the truth of the rows in a file of predictions, and the same as base files hold it."""
    if schema.task == "classification":
        truth = np.array(table.column("target"))
        places = {str(name): place for place, name in enumerate(schema.classes)}
        return truth, np.array([places[str(name)] for name in truth.tolist()], np.int64)
    names = schema.target_names
    columns = [f"target_{name}" for name in names] if len(names) > 1 else ["target"]
    truth = np.stack([np.array(table.column(name), np.float64) for name in columns], axis=1)
    pairs = zip(schema.fitted_targets, truth.T, strict=True)
    return truth, np.stack([one.encode(own) for one, own in pairs], axis=1)
