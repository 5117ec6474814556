"""The life cycle of a run, around its training: its lock, its tracking, its ending."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

from filelock import FileLock, Timeout

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline, Tracking
from ensemble_pipe.core import interruption
from ensemble_pipe.core.compilation import report_compilation
from ensemble_pipe.core.errors import EnsemblePipeError, RunDirectoryError, StorageError
from ensemble_pipe.core.interruption import Interruption
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.ensemble.members import external_members
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.report.writing import write_report
from ensemble_pipe.run import stages
from ensemble_pipe.run.courses import Course
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.news import Stage
from ensemble_pipe.run.notes import Notes
from ensemble_pipe.run.result_table import result_table
from ensemble_pipe.run.results import SessionResult
from ensemble_pipe.run.time_limit import NO_LIMIT, TimeLimit
from ensemble_pipe.tracking.journal import Journal
from ensemble_pipe.tracking.kinds import EndedEntry, Status, TimelineEntry
from ensemble_pipe.tracking.lacking import what_mlflow_lacks
from ensemble_pipe.tracking.names import model_name
from ensemble_pipe.tracking.tracker import Patience, Tracker, make_tracker

# How long a run that has ended waits for MLflow; the rest can be sent later.
FINISHED = Patience(most_s=120.0, each_s=1.0)
UNFINISHED = Patience(most_s=30.0)
HURRIED = Patience(most_s=10.0)


@dataclass(frozen=True, repr=False)
class RunResult:
    """The result of a run; its `repr` is a table of the test metrics that matter.

    Attributes:
        run_id, run_dir: its name and its folder.
        model_uri: of the model in MLflow; None where MLflow has not received it (yet).
        mlflow_run_id: of the parent run, likewise.
        metrics: flat, such as "test/nll" or "member_best/test/accuracy".
        seconds: wall time of this process's part of the run.
        members: K.
        failed: reasons of the learners that failed, by learner.
        unfinished: learners whose training was ended early; `left_undone` says which of them are
            in the ensemble as they were.
        given: names of members whose predictions were read from a file; `predict` asks for theirs.
        mlflow_lacks: one line on what MLflow has not received, with the command that sends it; ""
            for nothing.
        left_undone: one line on what more time would have been for; "" for nothing.
    """

    run_id: str
    run_dir: str
    model_uri: str | None
    mlflow_run_id: str | None
    metrics: Metrics
    seconds: float
    members: int
    failed: dict[int, str] = field(default_factory=dict)
    unfinished: tuple[int, ...] = ()
    given: tuple[str, ...] = ()
    mlflow_lacks: str = ""
    left_undone: str = ""

    def __repr__(self) -> str:
        lines = [f"RunResult of {self.run_dir}, {self.seconds:.0f} s"]
        lines += [f"{len(self.failed)} learners failed: see failed"] if self.failed else []
        lines += [self.left_undone] if self.left_undone else []
        return "\n".join([*lines, result_table(self.metrics, self.members)])


@contextmanager
def lock_run(paths: RunPaths) -> Iterator[None]:
    """Hold the lock of a run: one process at a time drives it.

    Raises:
        RunDirectoryError: another process holds it, or the file cannot be locked.
    """
    lock = FileLock(paths.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunDirectoryError(
            f"{paths.root}: another process is driving this run; wait until it ends or stop it"
        ) from None
    except OSError as error:
        raise RunDirectoryError(
            f"{paths.lock}: cannot be locked ({error.strerror}); a run goes on in a folder "
            "that can be written to, so copy it to one"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def to_be_resumed(paths: RunPaths) -> Iterator[None]:
    """Say how a run goes on whose disk takes no more."""
    try:
        yield
    except StorageError as error:
        resume = f"`ensemble-pipe resume {shell_word(paths.root)}`"
        raise StorageError(f"{error}; what is finished is kept, and {resume} goes on") from error


def drive(
    paths: RunPaths,
    config: Pipeline,
    plans: Plans,
    executor: Executor,
    display: Display,
    started: float,
    timeline: Timeline,
    course: Course,
    train: bool = True,
    limit: TimeLimit = NO_LIMIT,
    notes: Notes | None = None,
) -> RunResult:
    """Train, combine and report a run whose directory is ready, and journal how it ended.

    Args:
        started: when this process began with it, of `time.monotonic`.
        timeline: where its stages are recorded.
        course: how its learners are trained.
        train: whether learners that are not finished go on.
        paths, config, plans: of the run.
        executor: where to train; it is closed.
        display: as for `pipeline.run`.
        limit: by when it returns.
        notes: what else its journal is to hold.

    Raises:
        KeyboardInterrupt: a signal ended it; the text says how to continue.
        StorageError: the disk of the run directory takes no more.
    """
    journal = Journal(paths.journal)
    if notes is not None:
        notes.open(journal)
    tracker = tracker_of(paths, config.tracking)
    status: Status = "FAILED"
    searches = config.search is not None
    with display, closing(tracker), interruption.handle_signals() as signals:
        signals.last_words = partial(_last_words, paths, journal, searches)
        try:
            signals.check()
            # Signals wait from the end of the last of these on, until MLflow is waited for.
            with (
                report_compilation(display.message),
                closing(executor),
                signals.interruptible(),
            ):
                display.message(f"run directory {paths.root}")
                result = stages.train_and_measure(
                    paths, config, plans, executor, journal, display, timeline, tracker.start,
                    course, train, limit,
                )  # fmt: skip
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            display.message("stopping in order; a second Ctrl-C makes it faster")
            raise KeyboardInterrupt(_stop_message(paths, status, searches)) from None
        finally:
            tracker.start()  # if nothing was trained
            journal.append(TimelineEntry(timeline.stages))
            display.note(Stage("reporting", after_training=True))
            report(paths, status, display, limit)
            journal.append(EndedEntry(status))
            message = _stop_message(paths, status, searches)
            signals.last_words = partial(_say_at_once, message)
            journal.close()
            display.note(Stage("shipping", after_training=True))
            lacks = _ship_rest(paths, tracker, display, signals, status, limit)
            signals.last_words = None
    return _result(paths, result, tracker, lacks, started)


def report(paths: RunPaths, status: str, display: Display, limit: TimeLimit = NO_LIMIT) -> None:
    """Write the report of a run about to end; MLflow receives it with the final status."""
    try:
        write_report(paths, status, limit.allows_picture)
    except (EnsemblePipeError, OSError) as error:
        again = f"`ensemble-pipe report {shell_word(paths.root)}` writes it again"
        display.warn(f"the report could not be written ({error}); {again}")


def tracker_of(paths: RunPaths, settings: Tracking) -> Tracker:
    return make_tracker(
        paths,
        settings.mlflow,
        settings.uri,
        settings.experiment,
        settings.register_as and model_name(settings.register_as),
        settings.system_metrics,
        program="ensemble_pipe.run.companion",
    )


def _stop_message(paths: RunPaths, status: str, searches: bool = False) -> str:
    root = shell_word(paths.root)
    if status == "FINISHED":
        return (
            "stopped before MLflow had received all of this run; "
            f"`ensemble-pipe sync {root}` ships the rest"
        )
    goes_on = "goes on with the trials that are left" if searches else "goes on"
    what = "search stopped" if searches else "stopped"
    text = f"{what}; `ensemble-pipe resume {root}` {goes_on}"
    if (paths.model / "manifest.json").is_file():
        so_far = "of the best trials so far" if searches else "so far"
        text += f"; `ensemble-pipe predict {root} ...` takes the ensemble {so_far}"
    return text


def _last_words(paths: RunPaths, journal: Journal, searches: bool) -> None:
    """Journal the end of a run that ends at once; callable at any point of the program."""
    journal.append(EndedEntry("KILLED"))
    _say_at_once(_stop_message(paths, "KILLED", searches))


def _say_at_once(text: str) -> None:
    os.write(2, f"{text}\n".encode(errors="backslashreplace"))


def _ship_rest(
    paths: RunPaths,
    tracker: Tracker,
    display: Display,
    signals: Interruption,
    status: Status,
    limit: TimeLimit,
) -> str:
    """Ship what MLflow has not received yet; return one line on what it lacks then, "" for nothing.

    A run that did not finish yields no result, so the line is shown.
    """
    try:
        with signals.interruptible():
            patience = FINISHED if status == "FINISHED" else UNFINISHED
            tracker.finish(patience.within(limit.shipping_s), display.message)
    except KeyboardInterrupt:
        if status == "FINISHED":
            raise KeyboardInterrupt(_stop_message(paths, status)) from None
        tracker.finish(HURRIED, display.message)
    lacks = what_mlflow_lacks(paths, tracker)
    if status != "FINISHED":
        display.warn(lacks)
    return lacks


def _result(
    paths: RunPaths, result: SessionResult, tracker: Tracker, lacks: str, started: float
) -> RunResult:
    members = result.model.members
    return RunResult(
        run_id=paths.root.name,
        run_dir=str(paths.root),
        model_uri=tracker.model_uri,
        mlflow_run_id=tracker.mlflow_run_id,
        metrics=result.metrics,
        seconds=round(time.monotonic() - started, 3),
        members=len(members),
        failed=result.failed,
        unfinished=result.unfinished,
        given=tuple(external_members(members)),
        mlflow_lacks=lacks,
        left_undone=result.left_undone,
    )
