"""The plan of every learner of a pipeline, made once when the pipeline is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any, get_args, get_type_hints

from ensemble_pipe.config.conversion import resolve, validate
from ensemble_pipe.config.defaults import DataFacts, preset_conflicts, settle
from ensemble_pipe.config.fold_conflicts import fold_conflicts
from ensemble_pipe.config.own_scales import stored_scale
from ensemble_pipe.config.own_values import own_group, require_own, shared_values
from ensemble_pipe.config.refit_conflicts import refit_conflicts
from ensemble_pipe.config.sections import Pipeline, Transfer
from ensemble_pipe.config.yaml_documents import Document, KeyPath
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.metrics import metrics_for
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.data.folding import AnyFolds, Folding
from ensemble_pipe.data.tables.scaling import SCALES, Scale
from ensemble_pipe.ensemble.combiners import fits_for
from ensemble_pipe.ensemble.out_of_fold import FoldGroup
from ensemble_pipe.ensemble.strategies import (
    ExternalPlan,
    ExternalPredictions,
    Group,
    Learners,
    varied_values,
)
from ensemble_pipe.nn.layers import NUMBER_EMBEDDINGS
from ensemble_pipe.nn.losses import LOSSES
from ensemble_pipe.nn.networks import NETWORKS
from ensemble_pipe.optim import AVERAGES, RULES, SCHEDULES, ConstantRate, FastGeometric
from ensemble_pipe.training.boosting import Boosting
from ensemble_pipe.training.conflicts import conflicts
from ensemble_pipe.training.estimator_settings import EstimatorSettings
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.plan import EveryEpochs, LearnerPlan

# A message, and its place in the file.
Mistake = tuple[str, str]


@dataclass(frozen=True)
class Plans:
    """The training plans of a pipeline. Learners are numbered from 0 over all of its groups.

    Attributes:
        networks: plans of the networks, by ascending learner.
        estimators: plans of the scikit-learn estimators, likewise.
        external: plans of the members with predictions of another program, likewise.
        fold_groups: the learners of each cross-validated group, each of which leaves out one fold.
        folds: of the whole run, one of which each learner leaves out and stops by; then every group
            is cross-validated. None where there are a validation and a stop part.
        transfers: where the weights of a network come from, by learner, of those that begin with
            weights of an earlier run.
    """

    networks: tuple[LearnerPlan, ...] = ()
    estimators: tuple[EstimatorPlan, ...] = ()
    external: tuple[ExternalPlan, ...] = ()
    fold_groups: tuple[FoldGroup, ...] = ()
    folds: AnyFolds | None = None
    transfers: Mapping[int, Transfer] = field(default_factory=dict)

    @property
    def trained(self) -> frozenset[int]:
        """The learners that are trained: networks and estimators."""
        networks = {plan.learner for plan in self.networks}
        return frozenset(networks | {plan.learner for plan in self.estimators})

    @property
    def fold_counts(self) -> list[int]:
        """The distinct numbers of folds where nothing else is said of them, ascending."""
        views = {plan.view.folds for plan in self.networks}
        estimators = {plan.folds for plan in self.estimators}
        return sorted(folds for folds in views | estimators if isinstance(folds, int))

    def to_dict(self) -> dict[int, dict[str, Any]]:
        """Return each learner's plan as plain values, by learner, for the journal and MLflow."""
        plans: tuple[LearnerPlan | EstimatorPlan | ExternalPlan, ...]
        plans = (*self.networks, *self.estimators, *self.external)
        return {plan.learner: plan.to_dict() for plan in plans}


def make_plans(pipeline: Pipeline, document: Document | None = None) -> Plans:
    """Plan every learner, with its own values of what its group sets and varies.

    Args:
        pipeline: the pipeline; where it is not settled yet, the plans are those for `DataFacts()`.
        document: its source, for the lines in messages.

    Raises:
        ConfigError: `vary` or `set` names no hyperparameter, a value is invalid for it, or settings
            contradict each other.
    """
    origin = document or Document("pipeline", resolve(pipeline))
    if wrong := [_mistake(conflict, origin) for conflict in preset_conflicts(pipeline)]:
        raise ConfigError(mistakes=wrong)
    pipeline = settle(pipeline, DataFacts())
    # A learner's own values replace those of the resolved pipeline, whatever the file leaves out;
    # what is about all learners is not validated again for each.
    values = {k: v for k, v in resolve(pipeline).items() if k not in ("ensemble", "search")}
    document = replace(document, data=values) if document else Document("pipeline", values)
    mistakes = list(_mistakes_of(pipeline, document))
    networks: list[LearnerPlan] = []
    estimators: list[EstimatorPlan] = []
    external: list[ExternalPlan] = []
    fold_groups: dict[KeyPath, list[int]] = {}
    transfers: dict[int, Transfer] = {}
    stored = stored_scale(pipeline)
    for place in _places(pipeline):
        group = place.group
        if isinstance(group, Learners):
            plan, transfer, found = _plan_network(place, group, pipeline, document, stored)
            networks.append(plan)
            if transfer is not None:
                transfers[place.learner] = transfer
            mistakes += found
        elif isinstance(group, EstimatorSettings):
            own_folds = group.learners if group.leaves_folds_out else None
            folds = pipeline.splits.folds or own_folds
            estimators.append(EstimatorPlan(place.learner, pipeline.seed, group, folds))
        else:
            external.append(ExternalPlan(place.learner, group))
        is_trained = not isinstance(group, ExternalPredictions)
        if group.leaves_folds_out or (pipeline.splits.folds is not None and is_trained):
            fold_groups.setdefault(place.path, []).append(place.learner)
    if mistakes:
        raise ConfigError(mistakes=mistakes)
    groups = tuple(tuple(learners) for learners in fold_groups.values())
    folds = pipeline.splits.folds
    return Plans(tuple(networks), tuple(estimators), tuple(external), groups, folds, transfers)


@dataclass(frozen=True)
class _Place:
    """The position of a learner in its pipeline.

    Attributes:
        learner: its id, counted from 0 over all groups.
        group: that it belongs to.
        path: of the group, in the pipeline.
        index: within its group, counted from 0.
    """

    learner: int
    group: Group
    path: KeyPath
    index: int


def _places(pipeline: Pipeline) -> Iterator[_Place]:
    ensemble, learner = pipeline.ensemble, 0
    for number, group in enumerate(ensemble.groups):
        path = ("ensemble",) if ensemble.pool is None else ("ensemble", "pool", number)
        for index in range(group.learners):
            yield _Place(learner, group, path, index)
            learner += 1


def _mistakes_of(pipeline: Pipeline, document: Document) -> Iterator[Mistake]:
    """Yield the contradictions in the pipeline as a whole."""
    how = pipeline.ensemble.combine
    method = how.method
    if how.metric not in metrics_for(pipeline.task):
        choices = ", ".join(metrics_for(pipeline.task))
        text = f"{how.metric} is not for {pipeline.task}; take one of {choices}"
        yield _mistake((("ensemble", "combine", "metric"), text), document)
    elif how.metric != "nll" and not how.aims:
        text = (
            f"nothing aims at {how.metric}: {method} fits no weights to a metric; take weights, "
            "greedy or choose, or select members by keep, most_members or milliseconds"
        )
        yield _mistake((("ensemble", "combine", "metric"), text), document)
    if method != "choose" and method not in fits_for(pipeline.task):
        text = f"{method} is for classification, but task is regression; take mean_probability"
        yield _mistake((("ensemble", "combine", "method"), text), document)
    if pipeline.task == "regression" and pipeline.ensemble.decide is not None:
        text = "is for classification, but task is regression; leave it out"
        yield _mistake((("ensemble", "decide"), text), document)
    if pipeline.task == "classification" and pipeline.target.scale != "auto":
        text = (
            f"{pipeline.target.scale} is for regression, but task is classification; leave it out"
        )
        yield _mistake((("target", "scale"), text), document)
    if pipeline.splits.folds is not None:
        trials = pipeline.search is not None
        folds = pipeline.splits.folds
        for conflict in fold_conflicts(pipeline.ensemble, folds, counts_trials=trials):
            yield _mistake(conflict, document)


def _plan_network(
    place: _Place, group: Learners, pipeline: Pipeline, document: Document, stored: Scale
) -> tuple[LearnerPlan, Transfer | None, list[Mistake]]:
    """Return the plan of one network, what it begins with, and the contradictions in both."""
    own, config = _own(place, group, pipeline, document)
    plan = replace(
        _plan_of(config, place.learner, own_group(group, config)),
        augment=None if config.augment == pipeline.augment else config.augment,
        scale=None if config.scale == stored else config.scale,
    )
    found = list(conflicts(plan, pipeline.task, pipeline.augment))
    if group.leaves_folds_out and config.view.folds is not None:
        text = "cross_validation has as many folds as learners; leave it out"
        found.append((("view", "folds"), text))
    if pipeline.splits.folds is not None and config.view.folds is not None:
        text = "splits.folds lets every learner leave a fold out; leave one of them out"
        found.append((("view", "folds"), text))
    if pipeline.splits.refit:
        found += refit_conflicts(plan)
    return plan, config.transfer, [_mistake(conflict, own) for conflict in found]


def _own(
    place: _Place, group: Learners, pipeline: Pipeline, document: Document
) -> tuple[Document, Pipeline]:
    """Return the document and the pipeline of one learner."""
    fixed, vary = group.set or {}, group.vary or {}
    if not (fixed or vary):
        return document, pipeline
    for key, paths in (("set", fixed), ("vary", vary)):
        require_own(key, paths, group, place.path, document)
    varied = varied_values(vary, place.learner, place.index, pipeline.seed)
    of_group = shared_values(group, fixed | varied)
    own = _with_values(document.with_values(of_group, place.path), fixed, (*place.path, "set"))
    own = _with_values(own, varied, (*place.path, "vary"))
    return own, validate(own)


_KINDS: dict[str, Registry[Any]] = {
    "network": NETWORKS,
    "network.embedding": NUMBER_EMBEDDINGS,
    "scale": SCALES,
    "training.optimizer": RULES,
    "training.schedule": SCHEDULES,
    "training.loss": LOSSES,
    "training.averaging": AVERAGES,
}
# That one kind has none of these by default says nothing of another.
_NULL_OF_A_KIND = ("embedding",)


def _with_values(document: Document, values: dict[str, Any], origin: KeyPath) -> Document:
    """Return a document with values from `origin`; where a kind changes, the old one's keys go."""
    own = document.with_values(values, origin)
    for path, kinds in _KINDS.items():
        name = values.get(f"{path}.name")
        kind = kinds.find(name) if isinstance(name, str) else None
        if kind is not None:
            known = get_type_hints(kind)
            section, before = (_section(one.data, path) for one in (own, document))
            changes = before.get("name") != name
            for key in [key for key in section if f"{path}.{key}" not in values]:
                # A null may mean a choice that the old kind alone makes.
                takes_null = NoneType in get_args(known.get(key))
                is_own = not takes_null or (changes and key in _NULL_OF_A_KIND)
                if key not in known or (section[key] is None and is_own):
                    del section[key]
    return own


def _section(data: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the section at a path; an empty one where there is none."""
    for step in path.split("."):
        data = data.get(step) or {}
    return data


def _plan_of(pipeline: Pipeline, learner: int, group: Learners) -> LearnerPlan:
    training, boosting, every = pipeline.training, None, None
    assert training.epochs is not None
    assert training.loss is not None
    if group.strategy == "boosting":
        boosting = Boosting(rounds=group.rounds, shrinkage=group.shrinkage)
    if group.yields_after_epochs:
        every = EveryEpochs(group.every, group.last)
    view, schedule = pipeline.view, training.schedule
    if group.strategy == "bagging":
        view = replace(view, bootstrap=True)
    elif group.strategy == "cross_validation":
        view = replace(view, folds=group.learners)
    elif group.strategy == "fast_geometric" and isinstance(schedule, ConstantRate):
        schedule = FastGeometric()
    folds = pipeline.splits.folds
    if isinstance(folds, int):
        view = replace(view, folds=folds)
    return LearnerPlan(
        learner=learner,
        seed=pipeline.seed,
        network=pipeline.network,
        loss=training.loss,
        rule=training.optimizer,
        schedule=schedule,
        epochs=training.epochs * (boosting.rounds if boosting else 1),
        batch_rows=None if training.batch_size == "all" else training.batch_size,
        order=training.order,
        snapshots=group.yields_at_cycles,
        checkpoints=every,
        dropout_passes=group.passes if group.strategy == "mc_dropout" else None,
        sharing=group.sharing,
        averaging=training.averaging,
        early_stopping=training.early_stopping,
        regularization=training.regularization,
        rate_factors=pipeline.transfer.factors if pipeline.transfer else (),
        view=view,
        boosting=boosting,
        folding=folds if isinstance(folds, Folding) else None,
    )


def _mistake(conflict: tuple[KeyPath, str], document: Document) -> Mistake:
    path, text = conflict
    return f"{'.'.join(map(str, path))}: {text}", document.at(path)
