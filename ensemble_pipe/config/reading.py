"""How a pipeline file is read: YAML, overrides, the plan of every learner, all errors at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ensemble_pipe.config import yaml_documents, yaml_errors
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document, KeyPath
from ensemble_pipe.core.addresses import masked
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.data.tables.scaling import SCALES
from ensemble_pipe.ensemble.combiners import fits_for
from ensemble_pipe.ensemble.strategies import (
    ExternalPlan,
    ExternalPredictions,
    Group,
    Learners,
    varied_values,
)
from ensemble_pipe.nn.losses import LOSSES, CrossEntropy, Loss, SquaredError
from ensemble_pipe.nn.networks import NETWORKS
from ensemble_pipe.optim import AVERAGES, RULES, SCHEDULES, Constant, FastGeometric
from ensemble_pipe.training.boosting import Boosting
from ensemble_pipe.training.conflicts import Conflict, conflicts
from ensemble_pipe.training.estimators import EstimatorPlan, EstimatorSettings
from ensemble_pipe.training.plan import LearnerPlan

__all__ = [
    "ExternalPlan",
    "Pipeline",
    "estimator_plans",
    "given_plans",
    "learner_plans",
    "load_pipeline",
    "resolved",
]


# Keys whose values are addresses.
_ADDRESSES = {"uri", "path", "test_path"}


def load_pipeline(path: Path, overrides: dict[str, Any] | None = None) -> Pipeline:
    """Read a pipeline file.

    Args:
        path: a YAML file.
        overrides: values by path, such as {"training.epochs": 3}; each replaces or adds one key.

    Raises:
        ConfigError: lists every mistake with its key, the right choices, file and line.
    """
    document, overrides = yaml_documents.read_document(path), overrides or {}
    try:
        return read_pipeline(document.overridden(overrides))
    except ConfigError as error:
        if not error.mistakes:
            raise
        raise _blamed(error, document, overrides) from None


def read_pipeline(document: Document) -> Pipeline:
    """Return the pipeline that a document says; see `load_pipeline` for what it raises."""
    pipeline = _validate(document)
    learner_plans(pipeline, document)
    return pipeline


def resolved(pipeline: Pipeline) -> dict[str, Any]:
    """Return a pipeline with every default filled in, as plain values without secrets."""
    values: dict[str, Any] = _without_secrets(pipeline.model_dump(mode="json"))
    return values


def _without_secrets(value: Any, name: str = "") -> Any:
    """Return nested values without the passwords and tokens of addresses."""
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    if isinstance(value, dict):
        return {key: _without_secrets(one, key) for key, one in value.items()}
    return masked(value) if name in _ADDRESSES and isinstance(value, str) else value


def learner_plans(pipeline: Pipeline, document: Document | None = None) -> list[LearnerPlan]:
    """Return the plan of every network, with its own values of what its group sets and varies.

    Args:
        pipeline: the pipeline.
        document: what it was read from, for the lines in messages.

    Raises:
        ConfigError: `vary` or `set` names no hyperparameter, a value does not fit it, or choices
            do not go together.
    """
    document = document or Document("pipeline", resolved(pipeline))
    plans, problems = [], []
    method = pipeline.ensemble.combine.method
    if method != "choose" and method not in fits_for(pipeline.task):
        text = f"{method} is for classification, but task is regression; take mean_probability"
        problems.append(_problem((("ensemble", "combine", "method"), text), document))
    for place in _places(pipeline):
        if isinstance(place.group, Learners):
            own, config = _own(place, place.group, pipeline, document)
            plan = _plan(config, place.learner, place.group)
            found = list(conflicts(plan, pipeline.task, pipeline.augment))
            if place.group.leaves_folds_out and config.view.folds is not None:
                text = "cross_validation has as many folds as learners; leave it out"
                found.append((("view", "folds"), text))
            problems += [_problem(conflict, own) for conflict in found]
            plans.append(plan)
    if problems:
        raise ConfigError(mistakes=problems)
    return plans


def estimator_plans(pipeline: Pipeline) -> list[EstimatorPlan]:
    """Return the plan of every learner that is a scikit-learn estimator."""
    return [
        EstimatorPlan(place.learner, pipeline.seed, place.group)
        for place in _places(pipeline)
        if isinstance(place.group, EstimatorSettings)
    ]


def other_facts(pipeline: Pipeline) -> dict[int, dict[str, Any]]:
    """Return what the journal tells of every learner that is no network, by learner."""
    facts = {plan.learner: plan.facts() for plan in estimator_plans(pipeline)}
    return facts | {plan.learner: plan.facts() for plan in given_plans(pipeline)}


def given_plans(pipeline: Pipeline) -> list[ExternalPlan]:
    """Return the plan of every member whose predictions are read from a file."""
    return [
        ExternalPlan(place.learner, place.group)
        for place in _places(pipeline)
        if isinstance(place.group, ExternalPredictions)
    ]


def fold_groups(pipeline: Pipeline) -> list[tuple[int, ...]]:
    """Return the learners of each group whose learners left out a fold each."""
    groups: dict[tuple[str | int, ...], list[int]] = {}
    for place in _places(pipeline):
        if place.group.leaves_folds_out:
            groups.setdefault(place.path, []).append(place.learner)
    return [tuple(learners) for learners in groups.values()]


def fold_counts(pipeline: Pipeline, plans: list[LearnerPlan]) -> list[int]:
    """Return into how many folds the training part is divided, for any of the learners."""
    of_groups = {len(group) for group in fold_groups(pipeline)}
    return sorted(of_groups | {plan.view.folds for plan in plans if plan.view.folds is not None})


@dataclass(frozen=True)
class _Place:
    """Where a learner stands.

    Attributes:
        learner: its id, counted from 0 over all groups.
        group: that it belongs to.
        path: of the group, in the pipeline.
        index: within its group, counted from 0.
    """

    learner: int
    group: Group
    path: tuple[str | int, ...]
    index: int


def _places(pipeline: Pipeline) -> Iterator[_Place]:
    ensemble, learner = pipeline.ensemble, 0
    for number, group in enumerate(ensemble.groups):
        path = ("ensemble",) if ensemble.pool is None else ("ensemble", "pool", number)
        for index in range(group.learners):
            yield _Place(learner, group, path, index)
            learner += 1


def _own(
    place: _Place, group: Learners, pipeline: Pipeline, document: Document
) -> tuple[Document, Pipeline]:
    """Return the document and the pipeline of one learner."""
    fixed, vary = group.set or {}, group.vary or {}
    if not (fixed or vary):
        return document, pipeline
    for key, paths in (("set", fixed), ("vary", vary)):
        _check_paths(key, paths, place.path, document)
    varied = varied_values(vary, place.learner, place.index, pipeline.seed)
    own = _with_values(document, fixed, (*place.path, "set"))
    own = _with_values(own, varied, (*place.path, "vary"))
    return own, _validate(own)


_KINDS: dict[str, Registry[Any]] = {
    "network": NETWORKS,
    "scale": SCALES,
    "training.optimizer": RULES,
    "training.schedule": SCHEDULES,
    "training.loss": LOSSES,
    "training.averaging": AVERAGES,
}
_DEFAULT_LOSS: dict[str, Loss] = {"classification": CrossEntropy(), "regression": SquaredError()}


def _with_values(document: Document, values: dict[str, Any], origin: KeyPath) -> Document:
    """Return a document with values from `origin`; where a kind changes, the old one's keys go."""
    own = document.with_values(values, origin)
    for path, kinds in _KINDS.items():
        name = values.get(f"{path}.name")
        kind = kinds.find(name) if isinstance(name, str) else None
        if kind is not None:
            known = {field.name for field in fields(kind)}
            *above, last = path.split(".")
            section = own.data
            for step in above:
                section = section[step]
            section[last] = {
                key: value
                for key, value in section[last].items()
                if key in known or f"{path}.{key}" in values
            }
    return own


def _plan(pipeline: Pipeline, learner: int, group: Learners) -> LearnerPlan:
    training, boosting = pipeline.training, None
    if group.strategy == "boosting":
        boosting = Boosting(rounds=group.rounds, shrinkage=group.shrinkage)
    view, schedule = pipeline.view, training.schedule
    if group.strategy == "bagging":
        view = replace(view, bootstrap=True)
    elif group.strategy == "cross_validation":
        view = replace(view, folds=group.learners)
    elif group.strategy == "fast_geometric" and isinstance(schedule, Constant):
        schedule = FastGeometric()
    return LearnerPlan(
        learner=learner,
        seed=pipeline.seed,
        network=pipeline.network,
        loss=training.loss or _DEFAULT_LOSS[pipeline.task],
        rule=training.optimizer,
        schedule=schedule,
        epochs=training.epochs * (boosting.rounds if boosting else 1),
        batch_rows=None if training.batch_size == "all" else training.batch_size,
        order=training.order,
        snapshots=group.strategy in ("snapshot", "fast_geometric"),
        dropout_passes=group.passes if group.strategy == "mc_dropout" else None,
        averaging=training.averaging,
        early_stopping=training.early_stopping,
        rate_factors=pipeline.transfer.factors if pipeline.transfer else (),
        view=view,
        boosting=boosting,
    )


def _validate(document: Document) -> Pipeline:
    try:
        return Pipeline.model_validate(document.data)
    except ValidationError as error:
        mistakes = yaml_errors.describe(error, document, Pipeline.model_json_schema())
    raise ConfigError(mistakes=mistakes)


def _blamed(error: ConfigError, document: Document, overrides: dict[str, Any]) -> ConfigError:
    """Return the error with those overrides as the places of mistakes that would not be without."""
    without = {}
    for key in overrides:
        others = {other: value for other, value in overrides.items() if other != key}
        without[f"--set {key}"] = _mistakes(document, others)
    mistakes = []
    for text, where in error.mistakes:
        causes = [name for name, others in without.items() if _rule(text) not in others]
        mistakes.append((text, f" ({', '.join(causes)})" if causes else where))
    return ConfigError(mistakes=mistakes)


def _mistakes(document: Document, overrides: dict[str, Any]) -> set[str]:
    try:
        read_pipeline(document.overridden(overrides))
    except ConfigError as error:
        return {_rule(text) for text, _ in error.mistakes}
    return set()


def _rule(text: str) -> str:
    """Return what a message says without the value, which may be a whole section."""
    return text.rsplit(", got ", 1)[0]


def _check_paths(key: str, values: Mapping[str, Any], path: KeyPath, document: Document) -> None:
    """Raise ConfigError where `vary` or `set` names what cannot differ between learners."""
    wrong = [name for name in values if name.split(".")[0] not in ("network", "training", "view")]
    if wrong:
        raise ConfigError(
            mistakes=(
                (
                    f"{'.'.join(map(str, path))}.{key}: {name!r} cannot differ between learners; "
                    "name keys below network, training or view, such as "
                    "training.optimizer.learning_rate",
                    document.at((*path, key, name)),
                )
                for name in wrong
            )
        )


def _problem(conflict: Conflict, document: Document) -> tuple[str, str]:
    path, text = conflict
    return f"{'.'.join(path)}: {text}", document.at(path)
