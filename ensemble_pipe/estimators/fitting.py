"""Trains an ensemble on rows that are in memory, and leaves no file behind."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.config.defaults import DataFacts, settle
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.folding import FoldColumns, Folding, most_folds, require_folding
from ensemble_pipe.data.learner_view import require_folds
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.data.tables.decisions import decision_lines
from ensemble_pipe.estimators.examples import (
    LEAST_HELD,
    Examples,
    fit_schema,
    merge_equal_rows,
    split_examples,
    write_examples,
)
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.refit import refit_part
from ensemble_pipe.run.requirements import require_fit
from ensemble_pipe.run.results import SessionResult
from ensemble_pipe.run.resuming import Remaining
from ensemble_pipe.run.session import Session
from ensemble_pipe.run.sinks import MemorySink
from ensemble_pipe.run.time_limit import TimeLimit
from ensemble_pipe.search.course import SearchCourse
from ensemble_pipe.search.planning import require_space_fits
from ensemble_pipe.search.trials import Trial, ranked
from ensemble_pipe.serving.artifact import Model
from ensemble_pipe.training.plan import LearnerPlan

# Of more rows equal ones are merged only where a batch is asked to hold all of them.
MOST_MERGED = 4096
# Nothing is written but the model, in memory.
WRITING_S = 0.05


@dataclass(frozen=True)
class FitResult:
    """The result of training.

    Attributes:
        model: the ensemble.
        warnings: of learners that failed or were halted, and of groups that are left out.
        trials: of a search, the best first.
    """

    model: Model
    warnings: list[str]
    trials: list[Trial]


def plan_fit(config: Pipeline, examples: Examples) -> tuple[Pipeline, Plans, Examples]:
    """Return the pipeline with the defaults for the rows, its plans, and the rows to learn from.

    Where every learner sees all distinct rows in one batch, these are the rows, but that rows in
    the order of a column that counts them stay in it, so that it is recognised as in a file.

    Raises:
        ConfigError: what the pipeline asks for cannot be.
    """
    if examples.count <= MOST_MERGED or config.training.batch_size == "all":
        merged = merge_equal_rows(examples)
        if _order_tells(config, examples, merged):
            merged = examples
        settled, plans = _settled(config, merged)
        networks_alone = bool(plans.networks) and not plans.estimators
        if networks_alone and all(_sees_all_at_once(p, merged.count) for p in plans.networks):
            return settled, plans, merged
    return *_settled(config, examples), examples


def _order_tells(config: Pipeline, examples: Examples, merged: Examples) -> bool:
    """Return whether columns are recognised by the order of rows, such as one that counts them.

    No two rows of such a column are equal, so nothing is merged.
    """
    if merged.count < examples.count:
        return False
    return examples.left_out(config) != merged.left_out(config)


def _settled(config: Pipeline, examples: Examples) -> tuple[Pipeline, Plans]:
    strata = examples.targets.values if examples.classes else None
    most = most_folds(strata, None, examples.count)
    settled = settle(config, DataFacts(examples.count, most_folds=most))
    return settled, make_plans(settled)


def fit_examples(
    config: Pipeline,
    plans: Plans,
    examples: Examples,
    executor: Executor,
    display: Display,
    timeline: Timeline,
) -> FitResult:
    """Train the ensemble of a pipeline on rows in memory.

    Args:
        config: all but its data, which are the examples.
        plans: of its learners.
        examples: to learn from; they are divided by `split_examples`.
        executor: where to train.
        display: shows how training goes on.
        timeline: of the fit; a time limit counts from its beginning.

    Raises:
        DataError: a value cannot be used.
        ConfigError: what the pipeline asks for does not fit the rows.
        TrainingError: every learner failed, or so many that nothing is left to combine others by.
        ClusterError: the executor lost a stack too often.
    """
    _require_plain(config, plans)
    seconds = math.inf if config.time_limit is None else config.time_limit
    limit = TimeLimit(seconds, lambda: timeline.now_s, writing_s=WRITING_S)
    limit.require_start()
    parts = split_examples(config, plans.networks, examples)
    held_out = plans.folds is not None or parts["validation"] is not parts["train"]
    how = config.ensemble.combine
    if not held_out and config.search is not None:
        raise ConfigError(
            f"search: compares trials on held-out rows, but of {examples.count} rows "
            f"`validation_fraction` holds out fewer than {LEAST_HELD}, so none; raise it"
        )
    if not held_out and how.evidence == "validation":
        _require_nothing_fitted(config, examples.count)
    if plans.folds is not None:
        codes = np.unique(examples.targets.values, return_inverse=True)[1]
        columns = FoldColumns(parts["train"], codes)
        require_folding(plans.folds, columns, "X", examples.classes)
    for count in plans.fold_counts:
        require_folds(count, len(parts["train"]), None, "X")
    schema = fit_schema(config, examples, parts["train"])
    display.message("\n".join(decision_lines(schema.decisions)))
    require_fit(config, plans.networks, schema, len(parts["train"]))
    if config.search is not None:
        require_space_fits(config, schema, len(parts["train"]))
    refits = config.splits.refit and held_out
    if refits:
        parts |= refit_part(parts, plans.folds)
    with tempfile.TemporaryDirectory(prefix="ensemble_pipe-") as folder:
        recipe = write_examples(Path(folder), config, schema, examples, parts)
        session = Session(
            config,
            plans,
            TrainingData(recipe, schema),
            schema,
            MemorySink(),
            display,
            timeline,
            held_out=held_out,
            # In this process kernels compile when they are first needed.
            compile_first=not isinstance(executor, InlineExecutor),
            limit=limit,
        )
        trials = _train(session, config, plans, executor)
        if refits:
            session.refit(executor)
        executor.release()
        result = session.finish()
    return FitResult(result.model, _warnings_of(result), trials)


def _train(session: Session, config: Pipeline, plans: Plans, executor: Executor) -> list[Trial]:
    """Train the learners, or the trials of a search, which are returned."""
    if config.search is None:
        session.train(executor)
        return []
    course = SearchCourse(None, config, plans)
    for _ in course.events(session, executor, Remaining(plans.networks, ())):
        pass
    course.select(session)
    return ranked(course.trials(session), config.search)


def _warnings_of(result: SessionResult) -> list[str]:
    failed = result.failed.items()
    return [
        *(f"learner {learner} failed and is no member: {reason}" for learner, reason in failed),
        *([result.left_undone] if result.left_undone else []),
        *result.warnings,
    ]


def _require_plain(config: Pipeline, plans: Plans) -> None:
    """Raise ConfigError for what needs a run directory."""
    if plans.external:
        raise ConfigError("ensemble.pool: predictions from a file are for pipeline files")
    if isinstance(plans.folds, Folding) and plans.folds.column is not None:
        raise ConfigError("folds.column: is for pipeline files; give count, repeats or forward")
    if config.search is not None and config.search.nested is not None:
        raise ConfigError("search.nested: is for pipeline files; cross-validate the estimator")
    if config.ensemble.stop_below_gain is not None:
        raise ConfigError("ensemble.stop_below_gain: is for pipeline files; choose `learners`")


def _require_nothing_fitted(config: Pipeline, rows: int) -> None:
    """Raise ConfigError where something would be fitted to rows that learners were trained on."""
    how, decide = config.ensemble.combine, config.ensemble.decide
    decides = decide is not None and decide.fits
    if how.fits or decides:
        key = "combine" if how.fits else "decide"
        raise ConfigError(
            f"ensemble.{key}: what is fitted or selected needs held-out rows, but of {rows} rows "
            f"`validation_fraction` holds out fewer than {LEAST_HELD}, so none; raise it, or take "
            "all members by the method mean_probability, without temperature and coverage"
        )


def _sees_all_at_once(plan: LearnerPlan, rows: int) -> bool:
    return plan.view.is_whole and (plan.batch_rows is None or plan.batch_rows >= rows)
