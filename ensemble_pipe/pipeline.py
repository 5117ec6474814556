"""The stages of a run, in order, and what happens around them: locks, endings, resumption."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ensemble_pipe import provenance, stages
from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.config import Pipeline, learner_plans, load_pipeline
from ensemble_pipe.display import Display, Silent
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.errors import EnsemblePipeError, InputError, RunDirectoryError
from ensemble_pipe.preparation import prepare, write_run
from ensemble_pipe.sections import Cluster
from ensemble_pipe.serving.mlflow_logging import log_model
from ensemble_pipe.stages import Outcome
from ensemble_pipe.storage import RunPaths, check_sums, read_json
from ensemble_pipe.tracking.journal import Journal, read_entries, rewind
from ensemble_pipe.tracking.report import write_report
from ensemble_pipe.tracking.tracker import Tracker, make_tracker
from ensemble_pipe.training.checkpoints import list_checkpoints, remove_leftovers
from ensemble_pipe.transfer import settled

# How long a run that has ended waits for MLflow; the rest can be sent later.
SHIPPING_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        run_id, run_dir: its name and its folder.
        model_uri: of the model in MLflow; None where MLflow has not received it (yet).
        mlflow_run_id: of the parent run, likewise.
        metrics: flat, such as "test/nll" or "member_best/test/accuracy".
        seconds: wall time of this process's part of the run.
        members: K.
        failed: reasons of the learners that failed, by learner.
    """

    run_id: str
    run_dir: str
    model_uri: str | None
    mlflow_run_id: str | None
    metrics: Metrics
    seconds: float
    members: int
    failed: dict[int, str] = field(default_factory=dict)


def run(
    pipeline: str | Path | Pipeline,
    *,
    output: str | Path = "runs",
    address: str = "local",
    inline: bool = False,
    display: Display | None = None,
    **overrides: Any,
) -> RunResult:
    """Run a pipeline.

    Args:
        pipeline: a YAML file, or a `config.Pipeline`.
        output: folder that the run directory is made in.
        address: of a Ray cluster: "local" starts one, "auto" finds one, or HOST:PORT.
        inline: train in this process, without Ray.
        display: what to show meanwhile.
        overrides: values by path, such as **{"training.epochs": 3}; for a file only.

    Raises:
        InputError: the pipeline or the data is wrong; nothing was started.
        TrainingError, ClusterError: training could not go on; `resume` may finish it.
    """
    started = time.monotonic()
    if isinstance(pipeline, Pipeline):
        if overrides:
            raise InputError("overrides go with a pipeline file, not with a Pipeline object")
        config = pipeline
    else:
        config = load_pipeline(Path(pipeline), overrides)
    config = settled(config)
    plans = learner_plans(config)
    prepared = prepare(config, plans)
    display = display or Silent()
    display.message(prepared.warning or "")
    folder = Path(output).resolve()
    made = [above for above in (folder, *folder.parents) if not above.exists()]
    paths = _new_run(folder, config)
    with _driving(paths):
        with _nothing_left(paths, made):
            write_run(paths, config, plans, prepared)
        return _drive(paths, config, address, inline, display, started)


def resume(
    run_dir: str | Path,
    *,
    address: str = "local",
    inline: bool = False,
    display: Display | None = None,
    accept_changes: bool = False,
) -> RunResult:
    """Go on where a run stopped, to the same result bit for bit.

    Args:
        run_dir: a run directory, finished or not.
        accept_changes: go on although library versions or the processor differ.
        address, inline, display: as for `run`; they need not be those of the first start.

    Raises:
        RunDirectoryError: it is no run directory, is in use, or was made elsewhere.
        CorruptFileError: a file does not match its sum.
    """
    started = time.monotonic()
    paths = RunPaths.open(Path(run_dir))
    config = load_pipeline(paths.pipeline)
    changes = changes_since(run_dir)
    if changes and not accept_changes:
        raise RunDirectoryError(
            f"{run_dir}: was started under other conditions, so the last bits may differ:\n  "
            + "\n  ".join(changes)
            + "\nto go on all the same, resume with --accept-changes"
        )
    with _driving(paths):
        check_sums(paths.root, read_json(paths.manifest, "sums")["sums"])
        remove_leftovers(paths)
        steps = {}
        for plan in learner_plans(config):
            saved = list_checkpoints(paths, plan.learner)
            steps[plan.learner] = saved[-1].step if saved else 0
        # Before the journal changes: an offset into its old text would point anywhere.
        _make_tracker(paths, config).ship_again()
        rewind(paths.journal, steps)
        journal = Journal(paths.journal)
        journal.append("resumed")
        journal.close()
        return _drive(paths, config, address, inline, display or Silent(), started)


def changes_since(run_dir: str | Path) -> list[str]:
    """Return what has changed since a run began that may change the last bits of its result."""
    manifest = read_json(RunPaths.open(Path(run_dir)).manifest, "environment")
    return provenance.differences(manifest["environment"], provenance.environment())


def sync(run_dir: str | Path, timeout_s: float) -> Tracker:
    """Ship to MLflow what it has not yet received of a run; return the tracker when done.

    Raises:
        RunDirectoryError: it is no run directory, or the run is still being driven.
    """
    paths = RunPaths.open(Path(run_dir))
    with _driving(paths):
        config = load_pipeline(paths.pipeline)
        if not config.tracking.mlflow:
            raise RunDirectoryError(f"{run_dir}: tracking.mlflow is false in this run's pipeline")
        _end_if_killed(paths)
        tracker = _make_tracker(paths, config)
        tracker.start()
        tracker.finish(timeout_s, keep_trying=True)
        return tracker


def _end_if_killed(paths: RunPaths) -> None:
    """Journal the end of a run whose driver died without a word; its lock is ours, so it did."""
    kinds = [entry["kind"] for entry, _ in read_entries(paths.journal)]
    if kinds[-1:] != ["ended"]:
        _report(paths, "KILLED", Silent())
        journal = Journal(paths.journal)
        journal.append("ended", status="KILLED")
        journal.close()


def _drive(
    paths: RunPaths,
    config: Pipeline,
    address: str,
    inline: bool,
    display: Display,
    started: float,
) -> RunResult:
    """Train, combine and report a run whose directory is ready, and journal how it ended."""
    journal = Journal(paths.journal)
    tracker = _make_tracker(paths, config)
    tracker.start()
    status = "FAILED"
    try:
        with display:
            display.message(f"run directory {paths.root}")
            display.message("" if inline else "starting Ray and its trainers")
            executor = make_executor(config.cluster, inline, address)
            try:
                outcome = stages.train_and_measure(paths, config, executor, journal, display)
            finally:
                executor.close()
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        display.message(f"stopped; `ensemble-pipe resume {paths.root}` goes on")
        raise
    finally:
        _report(paths, status, display)
        journal.append("ended", status=status)
        journal.close()
        _ship_rest(paths, tracker, display)
    return _result(paths, outcome, tracker, started)


def _report(paths: RunPaths, status: str, display: Display) -> None:
    """Write the report of a run that is about to end; MLflow receives it with the ending."""
    try:
        write_report(paths, status)
    except (EnsemblePipeError, OSError) as error:
        display.message(f"the report could not be written ({error})")


def make_executor(cluster: Cluster, inline: bool, address: str) -> Executor:
    """Return an executor that trains in this process, or on the Ray cluster at an address.

    Raises:
        ClusterError: as `cluster.ray.RayExecutor`.
    """
    if inline:
        return InlineExecutor()
    from ensemble_pipe.cluster.ray import RayExecutor

    return RayExecutor(
        address,
        trainers=cluster.trainers,
        cpus_per_trainer=cluster.cpus_per_trainer,
        retries=cluster.retries,
    )


def _make_tracker(paths: RunPaths, config: Pipeline) -> Tracker:
    settings = config.tracking
    return make_tracker(
        paths,
        settings.mlflow,
        settings.uri,
        settings.experiment,
        partial(log_model, register_as=settings.register_as),
    )


def _ship_rest(paths: RunPaths, tracker: Tracker, display: Display) -> None:
    """Ship what MLflow has not received yet, and say what to do where that fails."""
    later = f"ship the rest with `ensemble-pipe sync {paths.root}`"
    try:
        tracker.finish(SHIPPING_TIMEOUT_S)
    except KeyboardInterrupt:
        display.message(f"stopped before MLflow had received all of this run; {later}")
        raise
    if tracker.problem:
        display.message(f"MLflow has not received all of this run ({tracker.problem}); {later}")


def _result(paths: RunPaths, outcome: Outcome, tracker: Tracker, started: float) -> RunResult:
    return RunResult(
        run_id=paths.root.name,
        run_dir=str(paths.root),
        model_uri=tracker.model_uri,
        mlflow_run_id=tracker.mlflow_run_id,
        metrics=outcome.metrics,
        seconds=round(time.monotonic() - started, 3),
        members=outcome.members,
        failed=outcome.failed,
    )


def _new_run(output: Path, config: Pipeline) -> RunPaths:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    root = output / f"{config.name}-{stamp}-{secrets.token_hex(2)}"
    try:
        root.mkdir(parents=True)
    except OSError as error:
        raise RunDirectoryError(f"{root}: cannot be made ({error.strerror})") from None
    return RunPaths(root)


@contextmanager
def _nothing_left(paths: RunPaths, made: list[Path]) -> Iterator[None]:
    """Remove a run directory that could not be made whole, and the folders made for it."""
    try:
        yield
    except BaseException:
        shutil.rmtree(paths.root)
        with suppress(OSError):  # another run may have begun beside it
            for folder in made:
                folder.rmdir()
        raise


@contextmanager
def _driving(paths: RunPaths) -> Iterator[None]:
    """Hold the lock of the process that drives a run."""
    lock = FileLock(paths.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunDirectoryError(
            f"{paths.root}: another process is driving this run; wait until it ends or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()
