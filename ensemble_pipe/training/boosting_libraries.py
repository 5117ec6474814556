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
from ensemble_pipe.training.reports import Report
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
    """
    load_library(settings.strategy)
    train, stop, classes = read_both(inputs, task, train, stop)
    if classes:
        train, stop = (
            replace(rows, targets=np.searchsorted(classes, rows.targets)) for rows in (train, stop)
        )
    fit: Callable[..., str] = _fit_lightgbm if isinstance(settings, LightGbm) else _fit_catboost
    models = []
    for place in range(train.target_count):
        told = _shifted(report, place, train.target_count)
        rows = train.of_target(place), stop.of_target(place)
        models.append(fit(settings, seed, len(inputs.groups), len(classes), *rows, told))
    groups = tuple(join_groups(inputs.groups).tolist())
    return LibraryModels(facts, classes, groups, tuple(models))


def _shifted(report: Report, place: int, count: int) -> Report:
    """Return a report of one of several models: its rounds follow those of the models before."""
    return lambda step, total, loss: report(place * total + step, count * total, loss)


def _fit_lightgbm(
    settings: LightGbm,
    seed: int,
    categories: int,
    classes: int,
    train: LearnerRows,
    stop: LearnerRows,
    report: Report,
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
        loss = state.evaluation_result_list[0][2] if state.evaluation_result_list else 0.0
        report(state.iteration + 1, settings.rounds, float(loss))

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
    return str(model.model_to_string(num_iteration=model.best_iteration if stops else None))


class _Told:
    """A callback of CatBoost."""

    def __init__(self, report: Report, rounds: int) -> None:
        self.report, self.rounds = report, rounds

    def after_iteration(self, info: Any) -> bool:
        losses = list(info.metrics.get("validation", info.metrics["learn"]).values())
        self.report(info.iteration, self.rounds, float(losses[0][-1]))
        return True


def _fit_catboost(
    settings: CatBoost,
    seed: int,
    categories: int,
    classes: int,
    train: LearnerRows,
    stop: LearnerRows,
    report: Report,
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
        model.fit(own, callbacks=[_Told(report, settings.rounds)], **early)
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
