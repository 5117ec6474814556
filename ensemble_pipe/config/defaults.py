"""Default settings by the data: what a pipeline does not say, once its rows are known.

They were chosen on inner validation parts of eight tables, see docs/defaults.md, and are the same
for a pipeline file, the estimators and what `data inspect` suggests. A component that is given with
its `name` has the defaults of its own class in what it leaves out; one without is the default
component for the data, with the given keys changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from math import log2
from typing import Any

from ensemble_pipe.config.fold_conflicts import fold_conflicts
from ensemble_pipe.config.recipes import Recipe, recipe_for
from ensemble_pipe.config.sections import Pipeline, Splits, Target, Training
from ensemble_pipe.data.folding import total_folds
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.tables.scaling import Quantile, RobustClip, Scale, Standardize
from ensemble_pipe.ensemble.presets import OF_LEARNERS, expand_preset
from ensemble_pipe.ensemble.strategies import EnsembleSettings, Learners
from ensemble_pipe.nn.layers import PiecewiseLinear
from ensemble_pipe.nn.losses import BetaNLL, CrossEntropy, Loss, SquaredError
from ensemble_pipe.nn.networks import Architecture, Mlp
from ensemble_pipe.optim import Adam, AdamW, ConstantRate, Cosine, Rule, Schedule

# A learner of these has one course of training, which may end early.
_STOPPING = ("independent", "bagging", "cross_validation", "mc_dropout", "shared")


# Rows that each learner leaves a fold of; of more, all learners share one held-out part.
LEAST_ROWS_IN_FOLDS, MOST_ROWS_IN_FOLDS = 20, 5_000
FOLDS, LEARNERS_IN_FOLDS = 5, 10
HELD_OUT_SHARE = 0.1
# Of more rows numbers are embedded; fewer are too few for so many bins.
MOST_ROWS_AS_THEY_ARE = 10_000
# Held-out rows that a temperature, or a noise, is fitted to.
LEAST_CALIBRATED = 100


@dataclass(frozen=True)
class DataFacts:
    """What default settings depend on.

    Attributes:
        rows: that are not of the test part.
        images: whether the rows are images, not rows of a table.
        divisible: whether any row may be held out: rows in the order of time are not.
        most_folds: into which they can be divided, see `data.folding.most_folds`.
    """

    rows: int = 2_000
    images: bool = False
    divisible: bool = True
    most_folds: int = FOLDS


def settle(pipeline: Pipeline, facts: DataFacts) -> Pipeline:
    """Return a pipeline in which every default is a value; what it was given stays as it is."""
    given, shares = pipeline.given, _shares(pipeline, facts)
    network = _component("network", pipeline.network, _network(pipeline, facts, shares), given)
    recipe = None if facts.images else _recipe(network, pipeline)
    scale = _scale(facts) if recipe is None else recipe.scale
    found: dict[str, Any] = {
        "training": _training(pipeline, facts, recipe),
        "network": network,
        "scale": _component("scale", pipeline.scale, scale, given),
    }
    if recipe is not None and "target.scale" not in given:
        found["target"] = Target(scale=recipe.target_scale)
    found["splits"], ensemble = _held_out(pipeline, facts, shares)
    found["ensemble"] = _calibrated(pipeline, found["splits"], ensemble, facts)
    return pipeline.model_copy(update=found).settled()


def _component(path: str, value: Any, default: Any, given: frozenset[str]) -> Any:
    """Return the component at a path: as it is if it was named, else the default with its keys."""
    if f"{path}.name" in given:
        return value
    keys = [field.name for field in fields(value) if f"{path}.{field.name}" in given]
    if not {field.name for field in fields(default)}.issuperset(keys):
        return value  # such as keys of a cosine where cycles make the rate
    return replace(default, **{key: getattr(value, key) for key in keys})


def _shares(pipeline: Pipeline, facts: DataFacts) -> bool:
    """Return whether networks share weights where nothing is said of them.

    They do where rows are many and nothing says which learners there are, how they differ, or
    which network they have.
    """
    ensemble, of_learners = pipeline.ensemble, (*OF_LEARNERS, "stop_below_gain")
    named = {"network.name", *(f"ensemble.{name}" for name in of_learners)}
    plain = all(getattr(ensemble, name) == getattr(EnsembleSettings, name) for name in of_learners)
    views = replace(pipeline.view, balance_classes=View.balance_classes)
    return (
        facts.rows > MOST_ROWS_IN_FOLDS
        and not facts.images
        and plain
        and views == View()
        and pipeline.transfer is None
        and not pipeline.given.intersection(named)
    )


def _held_out(
    pipeline: Pipeline, facts: DataFacts, shares: bool
) -> tuple[Splits, EnsembleSettings]:
    """Return the parts of the data, and the ensemble with as many learners as these need."""
    splits, ensemble, given = pipeline.splits, pipeline.ensemble, pipeline.given
    is_shared = ensemble.strategy == "shared"  # one learner is an ensemble
    if is_shared and ensemble.pool is None and "ensemble.learners" not in given:
        ensemble = replace(ensemble, learners=1)
    choose = "ensemble.combine.method" not in given
    if given.intersection(("splits.validation", "splits.stop", "splits.folds")):
        total = None if splits.folds is None else total_folds(splits.folds)
        own = expand_preset(ensemble, total, shares=shares, choose=choose)
        if total is not None and own.pool is None and "ensemble.learners" not in given:
            # Each fold is left out as often as any other.
            own = replace(own, learners=-(-own.learners // total) * total)
        if total is not None and own.pool is not None and pipeline.search is not None:
            # How many folds a column names was not known when the trials were planned.
            trials = (group for group in own.pool if isinstance(group, Learners))
            pool = (replace(group, learners=max(group.learners, total)) for group in trials)
            own = replace(own, pool=tuple(pool))
        return splits, own
    few = LEAST_ROWS_IN_FOLDS <= facts.rows <= MOST_ROWS_IN_FOLDS
    count = min(FOLDS, facts.most_folds)
    if (
        few
        and count > 1
        and facts.divisible
        and pipeline.training.order != "shared"  # by learners that see the same rows
        and not given.intersection(("ensemble.learners", "ensemble.pool", "view.folds"))
    ):
        more = expand_preset(ensemble, count, shares=shares, choose=choose)
        if more.pool is None:  # each fold is left out as often as any other
            least = count if more.strategy == "shared" else LEARNERS_IN_FOLDS
            more = replace(more, learners=-(-least // count) * count)
        if not any(fold_conflicts(more, count)) and ensemble.combine.evidence == "validation":
            folds: dict[str, Any] = {"folds": count, "validation": None, "stop": None}
            return splits.model_copy(update=folds), more
    parts: dict[str, Any] = {"validation": HELD_OUT_SHARE, "stop": "validation"}
    own = expand_preset(ensemble, None, shares=shares, choose=choose)
    return splits.model_copy(update=parts), own


def preset_conflicts(pipeline: Pipeline) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of each key that contradicts a preset, and why."""
    preset, pool = pipeline.ensemble.preset, pipeline.ensemble.pool is not None
    if preset is None:
        return
    for name in OF_LEARNERS if preset == "best" else ("pool",) if pool else ():
        if f"ensemble.{name}" in pipeline.given:
            text = f"the preset {preset} says which learners there are; leave one of them out"
            yield ("ensemble", name), text


def _calibrated(
    pipeline: Pipeline, splits: Splits, ensemble: EnsembleSettings, facts: DataFacts
) -> EnsembleSettings:
    """Return the ensemble with a temperature where enough rows are held out for it."""
    how = ensemble.combine
    if how.temperature is not None:
        return ensemble
    size = splits.validation or 0
    held = facts.rows if splits.folds else size if size >= 1 else size * facts.rows
    warm = held >= LEAST_CALIBRATED and how.method != "choose"
    return replace(ensemble, combine=replace(how, temperature=warm))


def _recipe(network: Architecture, pipeline: Pipeline) -> Recipe | None:
    metric = pipeline.ensemble.combine.metric
    return recipe_for(network, pipeline.task, accuracy=metric == "accuracy")


def _training(pipeline: Pipeline, facts: DataFacts, recipe: Recipe | None) -> Training:
    training, given = pipeline.training, pipeline.given
    groups = _networks(pipeline)
    strategies = {group.strategy for group in groups}
    own = recipe or _of_data(pipeline.task, facts, chains="boosting" in strategies)
    cyclic = any(group.yields_at_cycles for group in groups)
    schedule: Schedule = ConstantRate() if cyclic else own.schedule
    found: dict[str, Any] = {}
    for name, default in (("optimizer", own.rule), ("schedule", schedule)):
        value = getattr(training, name)
        found[name] = _component(f"training.{name}", value, default, given)
    for name in ("batch_size", "loss", "epochs"):
        if getattr(training, name) is None:
            found[name] = getattr(own, name)
    if "training.regularization" not in given:
        found["regularization"] = own.regularization
    stops = strategies.issubset(_STOPPING) and training.averaging is None
    stops = stops and all(group.yields == "end" for group in groups)
    if training.epochs is None and "training.early_stopping" not in given and stops:
        found["early_stopping"] = own.early_stopping
    return training.model_copy(update=found)


def _of_data(task: Task, facts: DataFacts, *, chains: bool) -> Recipe:
    """Return the training settings for the data, of a network without settings of its own."""
    epochs = _epochs(facts)
    return Recipe(
        scale=_scale(facts),
        rule=_rule(facts),
        schedule=Cosine(),
        loss=_loss(task, chains),
        epochs=epochs,
        batch_size=_batch_size(facts),
        patience=max(5, epochs // 4),
    )


def _networks(pipeline: Pipeline) -> list[Learners]:
    return [group for group in pipeline.ensemble.groups if isinstance(group, Learners)]


def _network(pipeline: Pipeline, facts: DataFacts, shares: bool) -> Mlp:
    if shares:
        width = 256 if pipeline.ensemble.preset == "best" else 192
        embedding = PiecewiseLinear(dimension=8) if facts.rows > MOST_ROWS_AS_THEY_ARE else None
        return Mlp(hidden=(width, width), dropout=0.1, embedding=embedding)
    return Mlp() if facts.images else Mlp(hidden=(256, 256), dropout=0.1)


def _scale(facts: DataFacts) -> Scale:
    if facts.images:
        return Standardize()
    # Quantiles of few rows are coarse.
    return Quantile() if facts.rows > MOST_ROWS_IN_FOLDS else RobustClip()


def _rule(facts: DataFacts) -> Rule:
    return Adam() if facts.images else AdamW(learning_rate=0.004, weight_decay=0.02)


def _batch_size(facts: DataFacts) -> int:
    """Return the power of two nearest to a 64th of the rows, from 16 to 128; 64 for images."""
    if facts.images:
        return 64
    return int(2 ** min(max(round(log2(max(facts.rows, 1) / 64)), 4), 7))


def _epochs(facts: DataFacts) -> int:
    return 20 if facts.images else 40


def _loss(task: Task, chains: bool) -> Loss:
    """Return the loss: numbers have a variance of their own for each row, but in chains."""
    if task == "classification":
        return CrossEntropy()
    return SquaredError() if chains else BetaNLL()
