"""Trains an ensemble on rows that are in memory, and leaves no file behind."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.config.reading import (
    Pipeline,
    estimator_plans,
    fold_counts,
    fold_groups,
    given_plans,
    learner_plans,
)
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.errors import ConfigError, DataError, TrainingError
from ensemble_pipe.core.storage import sums_of
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import write_base
from ensemble_pipe.data.learner_view import require_folds
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.data.sources.rows import Rows, rows_of
from ensemble_pipe.data.splits import Parts, split_rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.features import layout
from ensemble_pipe.data.tables.fitting import fit_table
from ensemble_pipe.data.tables.targets import LEAST_DEVIATION, Targets, mean_and_deviation
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.members import EstimatorMember, members_at
from ensemble_pipe.ensemble.out_of_fold import left_out_messages, out_of_fold
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.optim import plateau_of
from ensemble_pipe.run.display import Display
from ensemble_pipe.run.preparation import require_fit
from ensemble_pipe.serving.artifact import Model
from ensemble_pipe.training.events import Checkpoint, Failed
from ensemble_pipe.training.events import Fitted as EstimatorFitted
from ensemble_pipe.training.plan import LearnerPlan, make_stacks
from ensemble_pipe.training.warmup import warm_up

# Fewer rows than this are not worth holding out.
LEAST_HELD = 10
# Of its size: the deviation that stands for that of a constant target.
_CONSTANT_SHARE = 1e-12


@dataclass(frozen=True)
class Examples:
    """Labelled rows in memory.

    Attributes:
        inputs: (R, D) float64.
        names: of the D features.
        targets: (R,) int32 class numbers, or float64 numbers (R,) or (R, D).
        weights: (R,) float64 above 0, in the loss.
        classes: their names, by number; empty for numbers.
    """

    inputs: Floats
    names: tuple[str, ...]
    targets: Array
    weights: Floats
    classes: tuple[int | str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.targets)

    @property
    def rows(self) -> Rows:
        """The inputs as the columns of a table."""
        columns = [pa.array(column) for column in self.inputs.T]
        return rows_of("X", pa.Table.from_arrays(columns, list(self.names)))


@dataclass(frozen=True)
class Fitted:
    """What training came to.

    Attributes:
        model: the ensemble.
        warnings: of learners that failed, and of groups that this leaves out.
    """

    model: Model
    warnings: list[str]


def fit_examples(
    config: Pipeline, examples: Examples, executor: Executor, display: Display
) -> Fitted:
    """Train the ensemble of a pipeline.

    Args:
        config: all but its data, which are the examples.
        examples: to learn from; they are divided by `parts_of`.
        executor: where to train.
        display: what to show meanwhile.

    Raises:
        DataError: a value cannot be used.
        ConfigError: what the pipeline asks for does not fit the rows.
        TrainingError: every learner failed, or so many that nothing is left to combine others by.
        ClusterError: the executor lost a stack too often.
    """
    plans = learner_plans(config)
    if given_plans(config):
        raise ConfigError("ensemble.pool: predictions from a file are for pipeline files")
    if config.ensemble.stop_below_gain is not None:
        raise ConfigError("ensemble.stop_below_gain: is for pipeline files; choose `learners`")
    networks_alone = bool(plans) and not estimator_plans(config)
    if networks_alone and all(_sees_all_at_once(plan, examples.count) for plan in plans):
        examples = merged(examples)
    parts = parts_of(config, plans, examples)
    held_out = parts["validation"] is not parts["train"]
    how = config.ensemble.combine
    if not held_out and how.evidence == "validation":
        _require_nothing_fitted(how, examples.count)
    for folds in fold_counts(config, plans):
        require_folds(folds, len(parts["train"]), None, "X")
    schema = schema_of(config, examples, parts["train"])
    require_fit(config, plans, schema, len(parts["train"]))
    with tempfile.TemporaryDirectory(prefix="ensemble_pipe-") as folder:
        _write(Path(folder), config, schema, examples, parts)
        sums = sums_of(Path(folder), ["train.json", "stop.json"])
        recipe = Recipe(
            Path(folder), sums, config.seed, config.augment, schema.spans, config.window_rows
        )
        return _train(config, plans, schema, recipe, executor, display, held_out=held_out)


def _require_nothing_fitted(how: Combine, rows: int) -> None:
    """Raise ConfigError where something would be fitted to rows that learners were trained on."""
    if how.fits:
        raise ConfigError(
            f"ensemble.combine: what is fitted or selected needs held-out rows, but of {rows} rows "
            f"`validation_fraction` holds out fewer than {LEAST_HELD}, so none; raise it, or take "
            "all members by the method mean_probability, without temperature and coverage"
        )


def _sees_all_at_once(plan: LearnerPlan, rows: int) -> bool:
    return plan.view.is_whole and (plan.batch_rows is None or plan.batch_rows >= rows)


def merged(examples: Examples) -> Examples:
    """Return the examples in order of their values, equal ones as one with their joint weight.

    Where a batch holds all rows this changes no gradient but for rounding, so that a weight of 3
    is the same, to the last bit, as three equal rows in any place.
    """
    table = np.column_stack([examples.inputs, examples.targets])
    _, first, number = np.unique(table, axis=0, return_index=True, return_inverse=True)
    weights = np.bincount(number.ravel(), examples.weights, len(first)).astype(np.float64)
    inputs, targets = examples.inputs[first], examples.targets[first]
    return replace(examples, inputs=inputs, targets=targets, weights=weights)


def parts_of(config: Pipeline, plans: list[LearnerPlan], examples: Examples) -> Parts:
    """Divide rows into train, stop and validation.

    `splits.validation` of them are held out, stratified by class, and as many again where training
    looks at the stop part, for early stopping, a plateau schedule or boosting; else that is the
    validation part again. A class that would have no training row keeps its rows. Of too few rows
    to hold out `LEAST_HELD` none are held out: every part is then all rows.

    Raises:
        DataError: more are to be held out than there are.
    """
    everything = np.arange(examples.count)
    whole: Parts = {"train": everything, "stop": everything, "validation": everything}
    size = config.splits.validation
    if (size if size >= 1 else round(size * examples.count)) < LEAST_HELD:
        return whole
    looks = any(plan.early_stopping or plan.boosting or plateau_of(plan.schedule) for plan in plans)
    sizes = {"validation": size, "stop": size} if looks else {"validation": size}
    strata = examples.targets if examples.classes else None
    parts = split_rows(strata, examples.count, sizes, config.seed, "X")
    if strata is not None:
        kept = np.isin(strata, np.setdiff1d(strata, strata[parts["train"]]))
        parts = {name: places[~kept[places]] for name, places in parts.items()}
        parts["train"] = np.union1d(parts["train"], np.flatnonzero(kept))
    if not all(len(places) for places in parts.values()):
        return whole
    return {"stop": parts["validation"], **parts}


def schema_of(config: Pipeline, examples: Examples, train: Integers) -> Schema:
    """Fit a schema to the training rows; unlike `Schema.fit`, constant targets are no mistake.

    Raises:
        DataError: a number is too large.
        ConfigError: the scale does not fit the columns.
    """
    chosen = np.zeros(examples.count, bool)
    chosen[train] = True
    with one_thread():  # more would change the last bits of whitened numbers
        columns, scaling = fit_table(examples.rows, Roles(examples.names), chosen, config.scale)
    shape = (len(layout(columns, scaling).names),)
    schema = Schema(config.task, shape, columns, scaling, ("y",), examples.classes)
    if config.task == "classification":
        return schema
    targets = examples.targets[train].reshape(len(train), -1).T
    means, deviations = zip(*(_moments(values) for values in targets), strict=True)
    names = ("y",) if len(targets) == 1 else tuple(f"y{place}" for place in range(len(targets)))
    return replace(schema, target_names=names, target_means=means, target_deviations=deviations)


def _moments(targets: Floats) -> tuple[float, float]:
    """Return mean and deviation; of a constant one so small that it is predicted as it is."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = mean_and_deviation(lambda: [targets])
    largest = float(np.abs(targets).max())
    if not np.isfinite([mean, deviation]).all():
        raise DataError(f"y: its values reach {largest:g}, whose squares are infinite")
    if 0 < deviation < LEAST_DEVIATION:
        raise DataError(f"y: its deviation is {deviation:g}, whose square is 0 in float64")
    return mean, deviation or _CONSTANT_SHARE * (largest or 1.0)


def _write(
    folder: Path, config: Pipeline, schema: Schema, examples: Examples, parts: Parts
) -> None:
    """Write the base file of each part."""
    rows = examples.rows
    with one_thread():
        blocks = rows.blocks(schema.source_columns)
        encoded = [schema.encode_inputs(block, rows.place_from(first)) for first, block in blocks]
    inputs, targets = np.concatenate(encoded), examples.targets
    if config.task == "regression":
        targets = schema.encode_targets(Targets(targets), lambda row: f"y: row {row + 1}")
    weights = (examples.weights / examples.weights[parts["train"]].mean()).astype(np.float32)
    for name, places in parts.items():
        path = folder / f"{name}.arrow"
        own = inputs[places], targets[places], places
        write_base(path, *own, config.shard_rows, weight=weights[places])


def _train(
    config: Pipeline,
    plans: list[LearnerPlan],
    schema: Schema,
    recipe: Recipe,
    executor: Executor,
    display: Display,
    *,
    held_out: bool,
) -> Fitted:
    stacks = []
    if plans:
        size = max(plan.build(schema).layout.size for plan in plans)
        stacks = make_stacks(
            plans, {}, size=size, trainers=executor.trainers, width=config.cluster.stack
        )
    if not isinstance(executor, InlineExecutor):  # here kernels compile as they are met
        warm_up(schema, plans, recipe)
    draws = PredictionDraws(config.augment, config.seed)
    data = TrainingData(recipe, schema)
    aggregator = Aggregator(schema, data.part("validation"), draws)
    by_id = {plan.learner: plan for plan in plans}
    others = {plan.learner: plan for plan in estimator_plans(config)}
    failed: dict[int, str] = {}
    display.begin(plans)
    for event in executor.run(stacks, recipe, schema, list(others.values())):
        display.event(event)
        if isinstance(event, Failed):
            failed[event.learner] = event.reason
        elif isinstance(event, EstimatorFitted):
            kind = others[event.learner].settings.strategy
            aggregator.add(EstimatorMember(event.learner, 0, 0, kind, event.content))
        elif isinstance(event, Checkpoint) and event.member is not None:
            for member in members_at(by_id[event.learner], event.member, event.state, schema):
                aggregator.add(member)
    reasons = "; ".join(f"learner {learner}: {reason}" for learner, reason in failed.items())
    if not aggregator.members:
        raise TrainingError(f"no learner was trained to the end: {reasons}")
    folds = out_of_fold(fold_groups(config), aggregator.members, schema, data, draws)
    if folds is None and config.ensemble.combine.fits and not held_out:
        raise TrainingError(
            "no group has all of its folds, and no rows are held out that the members could be "
            f"combined by; raise validation_fraction ({reasons})"
        )
    chosen = aggregator.combine(config.ensemble.combine, config.seed, folds)
    model = Model(schema, chosen.members, chosen.combiner, draws, chosen.conformal)
    warnings = [f"learner {n} failed and is no member: {reason}" for n, reason in failed.items()]
    if config.ensemble.combine.evidence == "out_of_fold":
        warnings += left_out_messages(fold_groups(config), aggregator.members)
    return Fitted(model, warnings)
