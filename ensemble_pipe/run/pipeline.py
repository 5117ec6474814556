"""The functions `run`, `resume`, `grow` and `sync`, behind the commands of these names."""

import math
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.reading import load_pipeline, load_tracking, require_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError, RunDirectoryError
from ensemble_pipe.core.interruption import handle_signals
from ensemble_pipe.core.storage import RunPaths, read_manifest
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.run.accepting import record, require_accepted, require_bearable
from ensemble_pipe.run.courses import CourseOf, EveryLearner
from ensemble_pipe.run.display import Display, Silent
from ensemble_pipe.run.executors import make_executor
from ensemble_pipe.run.growth import add_learners, finish_growth, write_growth
from ensemble_pipe.run.lifecycle import (
    RunResult,
    drive,
    lock_run,
    report,
    to_be_resumed,
    tracker_of,
)
from ensemble_pipe.run.starting import Watch, start
from ensemble_pipe.run.time_limit import (
    LEAVING_S,
    MLFLOW_S,
    PICTURES_S,
    WRITING_S,
    TimeLimit,
    seconds_of,
)
from ensemble_pipe.run.unchanged import find_differences
from ensemble_pipe.tracking.completeness import complete_entries
from ensemble_pipe.tracking.endings import endings, nothing_to_train
from ensemble_pipe.tracking.journal import Journal, read_entries
from ensemble_pipe.tracking.kinds import EndedEntry, Entry, ResumedEntry
from ensemble_pipe.tracking.rewinding import rewind
from ensemble_pipe.tracking.tracker import Patience, Tracker
from ensemble_pipe.training.checkpoints import list_checkpoints, remove_leftovers, set_aside_damaged
from ensemble_pipe.training.components import takes_components

__all__ = ["RunResult", "changes_since", "grow", "resume", "run", "sync"]


@handle_signals()
@takes_components
def run(
    pipeline: str | Path | Pipeline,
    *,
    output: str | Path = "runs",
    address: str | None = None,
    inline: bool = False,
    display: Display | None = None,
    components: Sequence[type[Any]] = (),
    timeline: Timeline | None = None,
    time_limit: float | str | None = None,
    watch: Watch | None = None,
    **overrides: Any,
) -> RunResult:
    """Run a pipeline: see `ensemble_pipe.run`, which is this function for users.

    `timeline` is where the stages of the run are recorded, by default a new one. `watch` looks at
    the data before anything is written, and returns the display from then on.
    """
    timeline = timeline or Timeline()
    with timeline.stage("pipeline"):
        config, plans = _read(pipeline, overrides)
    if config.search is not None:
        raise ConfigError(
            "search: is for `ensemble-pipe search`; `run` trains without one, so leave it out"
        )
    limit = limit_of(config, time_limit, config.time_limit, timeline)
    display = display or Silent()
    return start(
        config, plans, EveryLearner, output, address, inline, display, timeline, limit, watch
    )


def limit_of(
    config: Pipeline, time_limit: float | str | None, default: float | None, timeline: Timeline
) -> TimeLimit:
    """Return the time limit of a command, which began when its timeline did."""
    seconds = seconds_of(time_limit, default, "time_limit")
    return TimeLimit(
        seconds,
        lambda: timeline.now_s,
        writing_s=WRITING_S + LEAVING_S,
        showing_s=PICTURES_S + (MLFLOW_S if config.tracking.mlflow else 0.0),
    )


def _read(pipeline: str | Path | Pipeline, overrides: dict[str, Any]) -> tuple[Pipeline, Plans]:
    require_pipeline(pipeline, overrides)
    if isinstance(pipeline, Pipeline):
        return pipeline, make_plans(pipeline)
    return load_pipeline(Path(pipeline), overrides)


@handle_signals()
@takes_components
def resume(
    run_dir: str | Path,
    *,
    address: str | None = None,
    inline: bool = False,
    display: Display | None = None,
    accept_changes: bool = False,
    train: bool = True,
    components: Sequence[type[Any]] = (),
    timeline: Timeline | None = None,
    search_of: CourseOf | None = None,
    time_limit: float | str | None = None,
) -> RunResult:
    """Continue an interrupted run, with bitwise the same result.

    Args:
        run_dir: a run directory, finished or not.
        accept_changes: continue although the pipeline, library versions or the processor differ,
            where what the run keeps can bear it.
        train: whether learners that are not finished go on; without them the run ends with the
            ensemble of those that are.
        address, inline, display: as for `run`; they need not be those of the first start.
        components, timeline, time_limit: as for `run`; the pipeline's own limit is that of its
            first start alone.
        search_of: makes the course of a search; see `search.pipeline.resume`.

    Raises:
        RunDirectoryError: it is no run directory, is in use, or something differs from when it
            began, and is not accepted, or cannot be.
        CorruptFileError: a file does not match its sum.
        TrainingError: no learner is finished, and none is to be trained.
    """
    started, timeline = time.monotonic(), timeline or Timeline()
    display = display or Silent()
    paths = RunPaths.open(Path(run_dir))
    with lock_run(paths), to_be_resumed(paths):
        with timeline.stage("rewinding"):
            is_damaged = _accept(paths, accept_changes, display)
            config, plans, is_done = _rewind(paths, train, is_damaged)
        course_of = EveryLearner if config.search is None else search_of
        if course_of is None:
            raise ConfigError(f"{run_dir}: is a search; ensemble_pipe.search.pipeline resumes it")
        limit = limit_of(config, time_limit, None, timeline)
        limit.require_start()
        if is_done:
            display.message("finished already; combining and reporting anew")
        # Without training nothing is to be started.
        inline = inline or is_done or not train
        executor = make_executor(config, plans, address, inline, display.message, timeline)
        with closing(executor):
            course = course_of(paths, config, plans)
            return drive(
                paths, config, plans, executor, display, started, timeline, course, train, limit
            )


@handle_signals()
@takes_components
def grow(
    run_dir: str | Path,
    learners: int,
    *,
    address: str | None = None,
    inline: bool = False,
    display: Display | None = None,
    accept_changes: bool = False,
    components: Sequence[type[Any]] = (),
    timeline: Timeline | None = None,
    time_limit: float | str | None = None,
) -> RunResult:
    """Add learners to a run, and combine all again; trained ones stay unchanged.

    The result is, bit for bit, that of a run which had so many learners from its start.

    Args:
        run_dir: a run directory; where it is not finished, its own learners are trained too.
        learners: how many more.
        accept_changes, address, inline, display, components, timeline, time_limit: as for
            `resume`, which goes on where the limit ended it.

    Raises:
        RunDirectoryError, CorruptFileError: as for `resume`.
        ConfigError: the strategy does not allow it, the run was ended by stop_below_gain, or the
            time limit is too short.
    """
    started, timeline = time.monotonic(), timeline or Timeline()
    display = display or Silent()
    paths = RunPaths.open(Path(run_dir))
    with lock_run(paths), to_be_resumed(paths):
        with timeline.stage("rewinding"):
            is_damaged = _accept(paths, accept_changes, display)
            config, _ = load_pipeline(paths.pipeline)
            if config.search is not None:
                raise ConfigError(
                    f"{run_dir}: is a search, whose trials are its learners; search "
                    "with a larger search.trials"
                )
            limit = limit_of(config, time_limit, None, timeline)
            limit.require_start()
            write_growth(paths, add_learners(config, learners))
            config, plans, _ = _rewind(paths, True, is_damaged)
        executor = make_executor(config, plans, address, inline, display.message, timeline)
        with closing(executor):
            course = EveryLearner(paths, config, plans)
            return drive(
                paths, config, plans, executor, display, started, timeline, course, limit=limit
            )


def _accept(paths: RunPaths, accept_changes: bool, display: Display) -> bool:
    """Go on with what differs from when a run began; return whether a checkpoint was damaged."""
    finish_growth(paths)
    found = require_accepted(paths, accept_changes)
    remove_leftovers(paths)
    run_id, is_damaged = found.manifest.run_id, False
    for plan in load_pipeline(paths.pipeline)[1].networks:
        for stage in (paths, paths.refitted):
            damage = set_aside_damaged(stage, plan.learner, run_id)
            if damage is not None:
                display.warn(damage)
                is_damaged = True
    if found.lines:
        complete_entries(paths)  # nothing is recorded of a run that cannot go on
        record(paths, found)
    return is_damaged


def _rewind(paths: RunPaths, train: bool, is_damaged: bool) -> tuple[Pipeline, Plans, bool]:
    """Rewind a run to its checkpoints; return its learners, and whether all of them are trained."""
    (config, plans), run_id = load_pipeline(paths.pipeline), read_manifest(paths).run_id
    is_done = nothing_to_train(complete_entries(paths)) and not is_damaged
    steps = {}
    for plan in plans.networks:
        saved = list_checkpoints(paths, plan.learner, run_id)
        steps[plan.learner] = saved[-1].step if saved else 0
    # Before the journal changes: an offset into its old text would point anywhere.
    tracker_of(paths, config.tracking).ship_again()
    rewind(paths.journal, steps, train=train)
    journal = Journal(paths.journal)
    journal.append(ResumedEntry())
    journal.close()
    return config, plans, is_done


def changes_since(run_dir: str | Path) -> list[str]:
    """Return what differs from when a run began, such as "training.epochs: 20 -> 40".

    Raises:
        RunDirectoryError: it is no run directory, or what it keeps cannot bear what differs.
        CorruptFileError: a file of the run is damaged.
        ConfigError: the changed pipeline does not fit the data.
    """
    paths = RunPaths.open(Path(run_dir))
    found = find_differences(paths)
    require_bearable(paths, found)
    return found.lines


def sync(run_dir: str | Path, timeout_s: float, display: Display | None = None) -> Tracker:
    """Ship to MLflow what it has not yet received of a run; return the tracker when done.

    Args:
        run_dir: a run directory.
        timeout_s: seconds to try for where MLflow does not answer; while it does, all is sent.
        display: of the progress; by default nothing is shown.

    Raises:
        RunDirectoryError: it is no run directory, or the run is still in progress.
        CorruptFileError: the journal or the shipping cursor is damaged or incomplete.
    """
    paths = RunPaths.open(Path(run_dir))
    with lock_run(paths):
        tracking = load_tracking(paths.pipeline)
        if not tracking.mlflow:
            raise RunDirectoryError(
                f"{run_dir}: tracking.mlflow is false in this run's pipeline; only a run that "
                "began with it true is shipped to MLflow"
            )
        entries = complete_entries(paths)
        tracker = tracker_of(paths, tracking.model_copy(update={"system_metrics": False}))
        tracker.check_cursor()
        _end_if_killed(paths, entries)
        tracker.start()
        try:
            patience = Patience(most_s=math.inf, retry_s=timeout_s)
            tracker.finish(patience, (display or Silent()).message)
        finally:
            tracker.close()
        return tracker


def status_of(run_dir: str | Path) -> str:
    """Return the status of a run that no process executes, in MLflow's terms.

    Raises:
        RunDirectoryError: it is no run directory.
        CorruptFileError: the journal is damaged.
    """
    return endings(read_entries(RunPaths.open(Path(run_dir)).journal))[0]


def _end_if_killed(paths: RunPaths, entries: Sequence[Entry]) -> None:
    """Journal the end of a run whose driver was killed; its lock is free, so none is left."""
    if not isinstance(entries[-1], EndedEntry):
        report(paths, "KILLED", Silent())
        journal = Journal(paths.journal)
        journal.append(EndedEntry("KILLED"))
        journal.close()
