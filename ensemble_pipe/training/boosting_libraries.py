"""Fits of LightGBM (Ke et al. 2017) and CatBoost (Prokhorenkova et al. 2018), in one thread each.

Both see the source columns of a table, categories as categories, stop by the stop part and keep the
rounds up to the least loss there.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.schema import Task
from ensemble_pipe.training.estimator_settings import CatBoost, LightGbm
from ensemble_pipe.training.learner_rows import LearnerRows
from ensemble_pipe.training.library_models import LibraryModels, load_library
from ensemble_pipe.training.reports import NothingFittedError, Report
from ensemble_pipe.training.tree_inputs import TreeInputs, join_groups, read_both

PATIENCE = 30  # rounds without a gain on the stop part


def fit_library(
    settings: LightGbm | CatBoost,
    facts: dict[str, Any],
    task: Task,
    seed: int,
    inputs: TreeInputs,
    train: LearnerRows,
    stop: LearnerRows,
    report: Report,
) -> LibraryModels:
    """Fit a learner; arguments as for `histogram_boosting.fit_histogram_boosting`.

    Raises:
        ConfigError: the library is not installed.
        ValueError: it refuses the rows.
        NothingFittedError: it was to end before each target had a model.
    """
    load_library(settings.strategy)
    train, stop, classes = read_both(inputs, task, train, stop)
    if classes:
        train, stop = (
            replace(rows, targets=np.searchsorted(classes, rows.targets)) for rows in (train, stop)
        )
    fit: Callable[..., str] = _fit_lightgbm if isinstance(settings, LightGbm) else _fit_catboost
    models: list[str] = []
    for place in range(train.target_count):
        told = _Rounds(report, place, train.target_count)
        rows = train.of_target(place), stop.of_target(place)
        models.append(fit(settings, seed, len(inputs.groups), len(classes), *rows, told))
        if told.halted and len(models) < train.target_count:
            raise NothingFittedError
    groups = tuple(join_groups(inputs.groups).tolist())
    return LibraryModels(facts, classes, groups, tuple(models))


class _Rounds:
    """The rounds of one of several models, which follow those of the models before.

    Attributes:
        halted: whether the fit is to end.
        best: the number of rounds up to the least loss so far.
    """

    def __init__(self, report: Report, place: int, count: int) -> None:
        self._report, self._place, self._count = report, place, count
        self._least = float("inf")
        self.halted = False
        self.best = 1

    def report(self, step: int, total: int, loss: float) -> bool:
        """Report a round, and its loss on the stop part; return whether the fit is to end."""
        if loss < self._least:
            self._least, self.best = loss, step
        self.halted = self._report(self._place * total + step, self._count * total, loss)
        return self.halted


def _fit_lightgbm(
    settings: LightGbm,
    seed: int,
    categories: int,
    classes: int,
    train: LearnerRows,
    stop: LearnerRows,
    rounds: _Rounds,
) -> str:
    lightgbm = load_library("lightgbm")
    objective = {0: "regression", 2: "binary"}.get(classes, "multiclass")
    parameters: dict[str, Any] = {
        "objective": objective,
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": settings.leaf_rows,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    if objective == "multiclass":
        parameters["num_class"] = classes

    def made(rows: LearnerRows, reference: Any = None) -> Any:
        columns = list(range(categories))
        return lightgbm.Dataset(
            rows.inputs, rows.targets, reference=reference, weight=rows.weights,
            categorical_feature=columns, params=parameters,
        )  # fmt: skip

    def tell(state: Any) -> None:
        losses = state.evaluation_result_list
        loss = float(losses[0][2]) if losses else 0.0
        if rounds.report(state.iteration + 1, settings.rounds, loss):
            best = rounds.best if losses else state.iteration + 1
            raise lightgbm.callback.EarlyStopException(best - 1, losses)

    own = made(train)
    stops = stop.count > 0
    early = [lightgbm.early_stopping(PATIENCE, verbose=False)] if stops else []
    try:
        model = lightgbm.train(
            parameters, own, settings.rounds,
            valid_sets=[made(stop, own)] if stops else None, callbacks=[tell, *early],
        )  # fmt: skip
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(str(error)) from None
    early_end = stops or rounds.halted
    return str(model.model_to_string(num_iteration=model.best_iteration if early_end else None))


class _Told:
    """A callback of CatBoost."""

    def __init__(self, rounds: _Rounds, total: int) -> None:
        self.rounds, self.total = rounds, total

    def after_iteration(self, info: Any) -> bool:
        """Return whether the fit goes on."""
        losses = list(info.metrics.get("validation", info.metrics["learn"]).values())
        return not self.rounds.report(info.iteration, self.total, float(losses[0][-1]))


def _fit_catboost(
    settings: CatBoost,
    seed: int,
    categories: int,
    classes: int,
    train: LearnerRows,
    stop: LearnerRows,
    rounds: _Rounds,
) -> str:
    catboost = load_library("catboost")
    stops = stop.count > 0
    model = catboost.CatBoost({
        "loss_function": {0: "RMSE", 2: "Logloss"}.get(classes, "MultiClass"),
        "iterations": settings.rounds,
        "learning_rate": settings.learning_rate,
        "depth": settings.depth,
        "random_seed": seed,
        "thread_count": 1,
        "allow_writing_files": False,
        "logging_level": "Silent",
        "use_best_model": stops,
    })  # fmt: skip

    def made(rows: LearnerRows) -> Any:
        data = catboost_rows(catboost, rows.inputs, categories)
        return catboost.Pool(data, rows.targets, weight=rows.weights)

    own = made(train)
    early = {"eval_set": made(stop), "early_stopping_rounds": PATIENCE} if stops else {}
    try:
        model.fit(own, callbacks=[_Told(rounds, settings.rounds)], **early)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save_model(str(path), format="json", pool=own)
            return path.read_text()
    except catboost.CatBoostError as error:
        raise ValueError(str(error)) from None


def catboost_rows(catboost: Any, inputs: Floats, categories: int) -> Any:
    """Return rows (R, C) as CatBoost takes them: categories are text, the unknown "nan"."""
    names = inputs[:, :categories].astype(str).astype(bytes).astype(object)
    numbers = np.ascontiguousarray(inputs[:, categories:])
    return catboost.FeaturesData(
        num_feature_data=numbers if numbers.shape[1] else None,
        cat_feature_data=names if categories else None,
    )
