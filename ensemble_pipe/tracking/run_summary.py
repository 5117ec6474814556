"""The summary of a run's journal: plans, curves, members, failures and status."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from filelock import FileLock, Timeout

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.timeline import Stage
from ensemble_pipe.tracking import kinds
from ensemble_pipe.tracking.completeness import lost_epochs, require_start
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import Entry, Numbers

# Paths in a plan that give the kind of a learner, see `kind_of`.
_KINDS = ("network.name", "estimator.strategy", "predictions.strategy", "predictions.name")


@dataclass
class MemberSummary:
    """One member.

    Attributes:
        validation, test: its own metrics; `test` is empty until the run has measured it.
    """

    learner: int
    number: int
    step: int
    validation: Numbers
    test: Numbers = field(default_factory=dict)


@dataclass
class RunSummary:
    """One run, finished or not.

    Attributes:
        status: FINISHED, FAILED or KILLED; RUNNING where a process drives it now.
        began_ms, last_ms: of the first and the last entry, in milliseconds since 1970.
        pipeline: resolved.
        rows: of each part.
        lost: a message on epochs that the journal has lost; None for none.
        plans: by learner, as plain values.
        epochs: entries of each learner's epochs.
        by_place: members by learner and number.
        ensembles: validation metrics by the number of members.
        metrics: of the result, flat; empty until there is one.
        combined: how the members are combined; None until they are.
        refitted: by learner, those that were trained again on all rows but the test part's.
        importance: of the source columns; None where it was not measured.
        failed: reasons by learner.
        unfinished: learners whose training had not ended at the result.
        left_undone: one line on what more time would have been for.
        spared: why learners were not trained, by learner.
        pruned: why those of a search were trained no further, by learner.
        trials: of a search, by number, in order: the chosen one, then the best.
        pictures: file names.
        stages: of the process that drove the run last, as far as it has journalled them.
        combined_from: the run whose members this one combines anew; None where it trains its own.
        checked: steps of the check that the run itself took.
        accepted: changes that it went on with.
    """

    run_id: str
    status: str
    began_ms: int
    last_ms: int
    pipeline: dict[str, Any]
    rows: dict[str, int]
    lost: str | None = None
    resumed_ms: list[int] = field(default_factory=list)
    plans: dict[int, dict[str, Any]] = field(default_factory=dict)
    epochs: dict[int, list[kinds.EpochEntry]] = field(default_factory=dict)
    finished: list[int] = field(default_factory=list)
    by_place: dict[tuple[int, int], MemberSummary] = field(default_factory=dict)
    ensembles: dict[int, Numbers] = field(default_factory=dict)
    metrics: Numbers = field(default_factory=dict)
    combined: kinds.CombinedEntry | None = None
    refitted: dict[int, kinds.RefittedEntry] = field(default_factory=dict)
    importance: kinds.ImportanceEntry | None = None
    failed: dict[int, str] = field(default_factory=dict)
    unfinished: list[int] = field(default_factory=list)
    left_undone: str = ""
    spared: dict[int, str] = field(default_factory=dict)
    pruned: dict[int, str] = field(default_factory=dict)
    trials: dict[int, kinds.TrialEntry] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    combined_from: str | None = None
    checked: list[kinds.CheckedEntry] = field(default_factory=list)
    accepted: list[kinds.AcceptedEntry] = field(default_factory=list)

    @property
    def members(self) -> list[MemberSummary]:
        """The members, in order of learner and number."""
        return [member for _, member in sorted(self.by_place.items())]

    @property
    def given(self) -> list[str]:
        """Return the names of the ensemble's members whose predictions were read from a file."""
        places = self.combined.members if self.combined is not None else []
        plans = [self.plans[learner] for learner, _ in places]
        return [plan["predictions"]["name"] for plan in plans if plan.get("predictions")]

    @property
    def differing(self) -> list[str]:
        """Return the hyperparameters that learners differ in, such as "network.hidden".

        Learners that have no such hyperparameter, being of another kind, do not count.
        """
        flats = [flat(plan) for plan in self.plans.values()]
        names = dict.fromkeys(name for one in flats for name in one if name not in _KINDS)
        return [n for n in names if len({repr(one[n]) for one in flats if n in one}) > 1]


def read_run_summary(paths: RunPaths, status: str | None = None) -> RunSummary:
    """Summarize the journal of a run.

    Args:
        paths: of the run.
        status: of a run that is about to end; None reads it from the journal and the driver's lock.

    Raises:
        CorruptFileError: the journal is damaged, or has lost its start.
    """
    entries = list(read_entries(paths.journal))
    run = summarize(paths, entries, status)
    # Another process that drives the run may have saved a checkpoint since.
    if run.status != "RUNNING":
        run.lost = lost_epochs(paths, run.run_id, entries)
    return run


def summarize(paths: RunPaths, entries: Sequence[Entry], status: str | None = None) -> RunSummary:
    """Summarize the entries of a run's journal; arguments and errors as for `read_run_summary`.

    Epochs that the journal has lost are not looked for.
    """
    started = require_start(paths, entries)
    run = RunSummary(
        run_id=started.run_id,
        status=status or _status(paths, entries[-1]),
        began_ms=started.time_ms,
        last_ms=entries[-1].time_ms,
        pipeline=started.pipeline,
        rows=started.rows,
        combined_from=started.combined_from,
    )
    for entry in entries:
        add(run, entry)
    return run


def add(run: RunSummary, entry: Entry) -> None:
    """Add an entry to the summary of its run."""
    match entry:
        case kinds.LearnerEntry():
            run.plans[entry.learner] = entry.plan
        case kinds.GrownEntry():
            run.pipeline = {**run.pipeline, "ensemble": entry.ensemble}
        case kinds.AcceptedEntry():
            run.accepted.append(entry)
            run.pipeline = entry.pipeline or run.pipeline
            run.plans |= {int(learner): plan for learner, plan in entry.plans.items()}
        case kinds.SparedEntry():
            run.spared[entry.learner] = entry.reason
        case kinds.PrunedEntry():
            run.pruned[entry.learner] = entry.reason
        case kinds.TrialEntry():
            run.trials[entry.trial] = entry
        case kinds.ResumedEntry():
            run.resumed_ms.append(entry.time_ms)
            run.stages = []
        case kinds.TimelineEntry():
            run.stages = entry.stages
        case kinds.EpochEntry():
            run.epochs.setdefault(entry.learner, []).append(entry)
        case kinds.FinishedEntry():
            run.finished.append(entry.learner)
        case kinds.FailedEntry():
            run.failed[entry.learner] = entry.reason
        case kinds.MemberEntry():
            place = entry.learner, entry.number
            run.by_place[place] = MemberSummary(*place, entry.step, entry.metrics)
        case kinds.MemberTestEntry():
            if member := run.by_place.get((entry.learner, entry.number)):
                own = entry.metrics.items()
                member.test = {name.removeprefix("test/"): value for name, value in own}
        case kinds.EnsembleEntry():
            run.ensembles[entry.members] = entry.metrics
        case kinds.CombinedEntry():
            run.combined = entry
        case kinds.RefittedEntry():
            run.refitted[entry.learner] = entry
        case kinds.ResultEntry():
            run.metrics, run.unfinished = entry.metrics, entry.unfinished
            run.left_undone = entry.left_undone
        case kinds.ImportanceEntry():
            run.importance = entry
        case kinds.CheckedEntry():
            run.checked.append(entry)
        case kinds.PicturesEntry():
            run.pictures += [name for name in entry.names if name not in run.pictures]
        case (
            kinds.StartedEntry() | kinds.CostEntry() | kinds.ModelEntry() | kinds.EndedEntry()
            | kinds.UnknownEntry()
        ):  # fmt: skip
            pass  # read before, or not part of the summary
        case _:
            assert_never(entry)


def pipeline_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """Return the resolved pipeline of a run as it is now; empty where it has not started."""
    found: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, kinds.StartedEntry | kinds.AcceptedEntry):
            found = entry.pipeline or found
        elif isinstance(entry, kinds.GrownEntry):
            found = {**found, "ensemble": entry.ensemble}
    return found


def kind_of(plan: dict[str, Any]) -> str:
    """Return the kind of learner that a plan describes, such as "mlp" or "random_forest"."""
    if plan.get("predictions"):
        return f"predictions {plan['predictions']['name']}"
    if plan.get("estimator"):
        return str(plan["estimator"]["strategy"])
    return str(plan["network"]["name"])


def folds_text(folds: Any) -> str | None:
    """Return what the section `splits` says of folds, in words; None where there are none."""
    if not isinstance(folds, dict):
        return None if folds is None else str(folds)
    if folds.get("column") is not None:
        return f"{folds['count']}, named by column {folds['column']}"
    if folds.get("forward") is not None:
        return f"{folds['count']} forward in time, {folds['forward']}, gap {folds['gap']}"
    return f"{folds['count']}, in {folds['repeats']} partitions"


def _status(paths: RunPaths, last: Entry) -> str:
    """Return how a run ended; one without an end is running only while its lock is held.

    Args:
        paths: of the run.
        last: entry of its journal.
    """
    if isinstance(last, kinds.EndedEntry):
        return last.status
    return "RUNNING" if is_driven(paths) else "KILLED"


def is_driven(paths: RunPaths) -> bool:
    """Return whether a process drives a run now, whose lock it holds."""
    if not paths.lock.is_file():
        return False
    try:
        with FileLock(paths.lock, timeout=0):
            return False
    except Timeout:
        return True


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by path, such as {"network.hidden": [16]}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found
