"""The stages of a prepared run: train the learners, combine and measure them."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.interruption import check_interruption, interruptible
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.report.contact_sheet import draw_contact_sheet
from ensemble_pipe.report.drawing import load_drawing
from ensemble_pipe.run.courses import Course
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.external_predictions import load_external
from ensemble_pipe.run.preparation import recipe_of
from ensemble_pipe.run.refit import Refit
from ensemble_pipe.run.results import SessionResult
from ensemble_pipe.run.resuming import Remaining, restore
from ensemble_pipe.run.run_sink import RunSink
from ensemble_pipe.run.session import Session
from ensemble_pipe.run.time_limit import NO_LIMIT, TimeLimit
from ensemble_pipe.tracking.journal import Journal, failures
from ensemble_pipe.tracking.kinds import PicturesEntry
from ensemble_pipe.training.events import Checkpoint, Event

# A training that takes longer shows its augmented rows meanwhile, else at its end.
SHEET_AFTER_S = 10.0


def train_and_measure(
    paths: RunPaths,
    config: Pipeline,
    plans: Plans,
    executor: Executor,
    journal: Journal,
    display: Display,
    timeline: Timeline,
    begin_shipping: Callable[[], None],
    course: Course,
    train: bool = True,
    limit: TimeLimit = NO_LIMIT,
) -> SessionResult:
    """Train the unfinished learners, then combine and measure all members.

    Where training is interrupted, the ensemble of the members so far, and of what learners under
    way yield, is written before the interruption goes on, if there are any.

    Args:
        paths: of the run.
        config: its pipeline.
        plans: of its learners.
        executor: where to train.
        journal: of the run.
        display: of the progress.
        timeline: where the stages of the run are recorded.
        begin_shipping: called when training has begun, since MLflow takes seconds of the
            processor to load, which would delay the first step.
        course: how the learners are trained.
        train: whether learners that are not finished go on; else the members so far make the
            ensemble.
        limit: when training ends though learners are open.

    Raises:
        TrainingError: there is no member.
        ConfigError: there is none, since the time limit is too short.
        ClusterError: the executor lost a stack too often.
    """
    schema = read_schema(paths)
    data = TrainingData(recipe_of(paths, config, schema), schema)
    sink = RunSink(
        paths,
        journal,
        timeline,
        folds=plans.folds is not None,
        by_time=config.ensemble.combine.milliseconds is not None,
        draw_sheet=_contact_sheet(paths, plans, data.recipe, schema),
        limit=limit,
    )
    if limit.is_set:
        with timeline.stage("loading"), limit.rehearsal():
            load_drawing()
    external = partial(load_external, paths, plans.external)
    session = Session(
        config, plans, data, schema, sink, display, timeline, external=external, limit=limit
    )
    try:
        remaining = restore(paths, plans, data.rows, session.registry)
        if not train:  # those that failed before are not tried again
            session.failed.update(failures(paths.journal))
        events = course.events(session, executor if train else None, remaining)
        _train(events, sink, begin_shipping)
        is_whole = not session.open
        if train and not is_whole:  # nothing is trained after a time limit
            executor.release()
        if config.splits.refit:
            course.select(session)
            session.refit(executor if train else None, partial(_restore_refit, paths))
        if train and is_whole:
            executor.release()
    except KeyboardInterrupt:
        if session.yields:
            display.message(
                "stopping: writing the ensemble of what is trained so far; a second Ctrl-C goes "
                "without it"
            )
            with interruptible():
                display.message(_finish(session, course, display).left_undone)
        else:
            display.message("stopping: no learner has a first checkpoint, so there is no ensemble")
        raise
    finally:
        sink.flush()
    result = _finish(session, course, display)
    drawn = course.draw(session, limit)
    if drawn:
        journal.append(PicturesEntry([path.name for path in drawn]))
    return result


def _contact_sheet(
    paths: RunPaths, plans: Plans, recipe: Recipe, schema: Schema
) -> Callable[[], Path] | None:
    """Return what draws the contact sheet, where networks are trained on augmented rows."""
    if not (recipe.augment.policy and plans.networks):
        return None
    epochs = max(plan.epochs for plan in plans.networks)
    return partial(draw_contact_sheet, paths, recipe, schema, epochs)


def _train(events: Iterator[Event], sink: RunSink, begin_shipping: Callable[[], None]) -> None:
    """Train; draw the contact sheet meanwhile where training takes long, so that it is seen."""
    began = time.monotonic()
    for event in events:
        check_interruption()
        begin_shipping()
        if isinstance(event, Checkpoint) and time.monotonic() - began > SHEET_AFTER_S:
            sink.draw_augmentation()


def _restore_refit(paths: RunPaths, refit: Refit) -> Remaining:
    """Add the stored members that were trained again; return the learners that are still to be."""
    return restore(paths.refitted, refit.plans, refit.data.rows, refit)


def _finish(session: Session, course: Course, display: Display) -> SessionResult:
    course.select(session)
    result = session.finish()
    for warning in result.warnings:
        display.warn(warning)
    return result
