"""Promotion: a run's model becomes the champion of a registered model where it is better.

It is better where the paired bootstrap interval of the difference in NLL, over the test rows that
both runs were measured on, lies below 0.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ensemble_pipe.comparison.compare import Estimate, differences_by_row
from ensemble_pipe.comparison.runs import FinishedRun, read_run
from ensemble_pipe.core.errors import EnsemblePipeError, InputError, RunDirectoryError
from ensemble_pipe.core.messages import align_columns, quote, shell_word
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.serving import registered
from ensemble_pipe.serving.mlflow_logging import sums_of
from ensemble_pipe.tracking import names
from ensemble_pipe.tracking.completeness import require_start
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.refusals import problem_of
from ensemble_pipe.tracking.run_summary import pipeline_of
from ensemble_pipe.tracking.store import client_of, require_address

METRIC = "nll"


@dataclass(frozen=True)
class Promotion:
    """A decision on the champion of a registered model.

    Attributes:
        name: of the registered model.
        version: of the run's model.
        before: the version that was the champion; None where there was none.
        champion: the version that is it now.
        before_metrics, metrics: of the test part, of these two models.
        differences: the run's minus the champion's, by metric; empty where nothing was compared,
            since the run's model is the champion already, or the first.
        rows: how many test rows they are over.
    """

    name: str
    version: str
    before: str | None
    champion: str
    before_metrics: dict[str, float]
    metrics: dict[str, float]
    differences: dict[str, Estimate]
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values, for JSON."""
        return {**asdict(self), "promoted": self.champion != self.before}


def promote(root: Path, name: str | None = None, against: Path | None = None) -> Promotion:
    """Make a run's model the champion of a registered model, if it is better than the present one.

    Args:
        root: of the run.
        name: of the registered model, which the run's becomes a version of; None for the run's own
            `tracking.register_as`.
        against: the champion's run, where it lies elsewhere than it was made.

    Raises:
        InputError: the run has no model in MLflow, or the champion's cannot be compared with it.
        EnsemblePipeError: MLflow refuses, or cannot be reached.
    """
    run, paths = read_run(root), RunPaths.open(root)
    if against is not None:
        RunPaths.open(against)
    run_id = read_manifest(paths).run_id  # the folder may have another name by now
    cursor = Cursor.load(paths.cursor)
    if cursor.model_uri is None or cursor.uri is None or cursor.parent is None:
        raise RunDirectoryError(
            f"{root}: MLflow lacks the model of this run; `ensemble-pipe sync {shell_word(root)}` "
            "sends it, unless the run has `tracking.mlflow: false`"
        )
    name = names.model_name(name or _registered_as(paths, root))
    uri, sums, own = require_address(cursor.uri), sums_of(paths), _metrics(run)
    with _problems(uri):
        client = client_of(uri)
        present = registered.champion(client, name)
    other, differences = None, dict[str, Estimate]()
    if present is not None and (present.run, present.sums) != (run_id, sums):
        other = _run_of(present, name, against)
        differences = _differences(other, run)
    with _problems(uri):
        version = registered.register(client, name, cursor.model_uri, cursor.parent, sums)
        if present is None or other is None:
            before = None if present is None else version
            return Promotion(name, version, before, version, own, own, {}, len(run.rows))
        found, champion = differences[METRIC], present.number
        if found.high is not None and found.high < 0:
            champion = version
            reason = f"{METRIC} {interval_text(found)} against version {present.number}"
            registered.promote(client, name, version, reason)
    theirs = _metrics(other)
    return Promotion(
        name, version, present.number, champion, theirs, own, differences, len(run.rows)
    )


def promotion_text(found: Promotion) -> str:
    """Return the decision as text, with the intervals that it was made by."""
    if not found.differences:
        return f"{found.name}: version {found.version}, this run's model, is the champion"
    head = ("test part", f"version {found.before}", f"version {found.version}", "difference (95%)")
    rows = [
        (metric, f"{found.before_metrics[metric]:.4f}", f"{found.metrics[metric]:.4f}",
         interval_text(one))
        for metric, one in found.differences.items()
    ]  # fmt: skip
    return f"{align_columns([head, *rows])}\n(paired over {found.rows:,} rows)\n{_decision(found)}"


def interval_text(one: Estimate) -> str:
    """Return a difference with its interval."""
    return f"{one.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f})"


def _decision(found: Promotion) -> str:
    low = found.differences[METRIC].low
    by = f"by the interval of its {METRIC.upper()} against version {found.before}"
    if found.champion == found.version:
        return f"{found.name}: version {found.version} is the champion now: it is better, {by}"
    verdict = "is worse" if low is not None and low > 0 else "is not surely better"
    return (
        f"{found.name}: version {found.before} stays the champion: version {found.version} "
        f"{verdict}, {by}"
    )


def _metrics(run: FinishedRun) -> dict[str, float]:
    return {name: values.over() for name, values in run.values.items()}


def _registered_as(paths: RunPaths, root: Path) -> str:
    entries = list(read_entries(paths.journal))
    require_start(paths, entries)
    pipeline = pipeline_of(entries)
    name = pipeline["tracking"].get("register_as")
    if not name:
        raise InputError(
            f"{root}: its tracking.register_as names no registered model; name one with --as NAME"
        )
    return str(name)


def _run_of(present: registered.Version, name: str, against: Path | None) -> FinishedRun:
    """Return the run of the champion, which must be as it was when its model was logged."""
    which = f"version {present.number} of {quote(name)}, the champion,"
    if present.run is None or present.run_dir is None:
        raise InputError(
            f"{which} is of no run that MLflow knows of, so nothing can be compared; set the alias "
            f"{registered.CHAMPION!r} yourself, on MLflow's page of the model"
        )
    root = against or Path(present.run_dir)
    if not RunPaths(root).journal.is_file():
        raise RunDirectoryError(
            f"{which} is of run {present.run}, which is not at {root} any more; name its folder "
            "with --against RUN_DIR"
        )
    if (own := read_manifest(RunPaths.open(root)).run_id) != present.run:
        raise InputError(f"{root}: is run {own}; {which} is of run {present.run}")
    if sums_of(RunPaths(root)) != present.sums:
        raise InputError(
            f"{root}: has another model by now than {which} which was measured before it grew; set "
            f"the alias {registered.CHAMPION!r} yourself, on MLflow's page of the model"
        )
    return read_run(root)


def _differences(champion: FinishedRun, run: FinishedRun) -> dict[str, Estimate]:
    """Return the paired differences of the run from the champion.

    Raises:
        InputError: they were not measured on the same rows.
    """
    if champion.task != run.task:
        raise InputError(f"{run.root} is of {run.task}, the champion's run of {champion.task}")
    if not run.same_rows(champion):
        raise InputError(
            f"{run.root} was tested on other rows ({_test_part(run)}) than the champion's run "
            f"{champion.root} ({_test_part(champion)}); train it with the same data, splits, "
            "classes and seed"
        )
    if len(run.rows) < 2:
        raise InputError(f"{run.root}: an interval needs at least 2 test rows")
    return differences_by_row(champion, run)


def _test_part(run: FinishedRun) -> str:
    """Return how many test rows a run has, and the beginning of their fingerprint."""
    paths = RunPaths(run.root)
    sum_ = require_start(paths, list(read_entries(paths.journal))).data_sums["test"]
    return f"{len(run.rows):,} rows, digest {sum_[:8]}"


@contextmanager
def _problems(uri: str) -> Iterator[None]:
    """Raise what MLflow raises as an error of this package."""
    try:
        yield
    except EnsemblePipeError:
        raise
    except Exception as error:
        problem = problem_of(error, uri)
        raise EnsemblePipeError(f"MLflow: {problem.reason}; {problem.advice}") from error
