"""Labelled rows in memory: divided into parts, and written as the base files of a training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.storage import part_file, sums_of
from ensemble_pipe.data.base import write_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.data.sources.rows import Rows, rows_of
from ensemble_pipe.data.splits import Parts, split_rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.features import lay_out_features
from ensemble_pipe.data.tables.fitting import fit_table
from ensemble_pipe.data.tables.target_choice import Encoder, rows_to_choose_by, transform_of
from ensemble_pipe.data.tables.target_scaling import (
    LEAST_DEVIATION,
    FittedTarget,
    TargetTransform,
    bounded,
    mean_and_deviation,
)
from ensemble_pipe.data.tables.targets import Targets
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.optim import plateau_of
from ensemble_pipe.training.plan import LearnerPlan

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


def merge_equal_rows(examples: Examples) -> Examples:
    """Return the examples in order of their values, equal ones as one with their joint weight.

    Where a batch holds all rows this changes no gradient but for rounding, so that a weight of 3
    is the same, to the last bit, as three equal rows in any place.
    """
    table = np.column_stack([examples.inputs, examples.targets])
    _, first, number = np.unique(table, axis=0, return_index=True, return_inverse=True)
    weights = np.bincount(number.ravel(), examples.weights, len(first)).astype(np.float64)
    inputs, targets = examples.inputs[first], examples.targets[first]
    return replace(examples, inputs=inputs, targets=targets, weights=weights)


def split_examples(config: Pipeline, plans: Sequence[LearnerPlan], examples: Examples) -> Parts:
    """Divide rows into train, stop and validation.

    `splits.validation` of them are held out, stratified by class, and as many again where training
    looks at the stop part, for early stopping, a plateau schedule or boosting; else that is the
    validation part again. A class that would have no training row keeps its rows. Of too few rows
    to hold out `LEAST_HELD` none are held out: every part is then all rows. In folds all rows are
    the training part, and there is no other.

    Raises:
        DataError: more are to be held out than there are.
    """
    everything = np.arange(examples.count)
    if config.splits.folds is not None:
        return {"train": everything}
    whole: Parts = {"train": everything, "stop": everything, "validation": everything}
    size = config.splits.sizes["validation"]
    if (size if size >= 1 else round(size * examples.count)) < LEAST_HELD:
        return whole
    looks = any(plan.early_stopping or plan.boosting or plateau_of(plan.schedule) for plan in plans)
    apart = looks and config.splits.stop != "validation"
    sizes = {"validation": size, "stop": size} if apart else {"validation": size}
    strata = examples.targets if examples.classes else None
    parts = split_rows(strata, examples.count, sizes, config.seed, "X")
    if strata is not None:
        kept = np.isin(strata, np.setdiff1d(strata, strata[parts["train"]]))
        parts = {name: places[~kept[places]] for name, places in parts.items()}
        parts["train"] = np.union1d(parts["train"], np.flatnonzero(kept))
    if not all(len(places) for places in parts.values()):
        return whole
    return {"stop": parts["validation"], **parts}


def fit_schema(config: Pipeline, examples: Examples, train: Integers) -> Schema:
    """Fit a schema to the training rows; unlike `Schema.fit`, constant targets are no mistake.

    Raises:
        DataError: a number is too large.
        ConfigError: the scale does not fit the columns.
    """
    chosen = np.zeros(examples.count, bool)
    chosen[train] = True
    with one_thread():  # more would change the last bits of whitened numbers
        table = fit_table(examples.rows, Roles(examples.names), chosen, config.scale)
    shape = (len(lay_out_features(table.columns, table.scaling).names),)
    schema = Schema(
        config.task,
        shape,
        table.columns,
        table.scaling,
        ("y",),
        examples.classes,
        decisions=table.decisions,
    )
    if config.task == "classification":
        return schema
    encoder = Encoder(schema.source_columns, shape[0], schema.encode_inputs)
    sample = rows_to_choose_by(chosen, shape[0])
    with one_thread():
        inputs = encoder.encode(examples.rows, sample)
        every = examples.targets.reshape(examples.count, -1).T
        names = ("y",) if len(every) == 1 else tuple(f"y{place}" for place in range(len(every)))
        fitted = [
            _fitted(name, values[train], _transform(config, inputs, values, sample))
            for name, values in zip(names, every, strict=True)
        ]
    return schema.with_targets(fitted)


def _transform(config: Pipeline, inputs: Array, targets: Floats, sample: Array) -> TargetTransform:
    """Return the transformation of targets (R,), chosen by the inputs of the rows of a sample."""
    scale, positive = config.target.scale, targets > 0
    if scale == "auto" and not positive.all():
        scale = "standardize"
    if scale in ("log", "power") and not positive.all():
        row = int(positive.argmin())
        raise DataError(
            f"y: row {row + 1}: the target {targets[row]} is not above 0, as target.scale {scale} "
            "needs it; take standardize, or auto"
        )
    return transform_of(scale, inputs, targets[sample])


def _fitted(name: str, targets: Floats, transform: TargetTransform) -> FittedTarget:
    """Return the scale; of a constant so small a deviation that it is predicted as it is."""
    values = transform.forward(targets)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = mean_and_deviation(lambda: [values])
    largest = float(np.abs(values).max())
    if not np.isfinite([mean, deviation]).all():
        raise DataError(f"y: its values reach {largest:g}, whose squares are infinite")
    if 0 < deviation < LEAST_DEVIATION:
        raise DataError(f"y: its deviation is {deviation:g}, whose square is 0 in float64")
    deviation = deviation or _CONSTANT_SHARE * (largest or 1.0)
    return bounded(FittedTarget(name, mean, deviation, transform), [values])


def write_examples(
    folder: Path, config: Pipeline, schema: Schema, examples: Examples, parts: Parts
) -> Recipe:
    """Write the base file of each part into a folder; return the recipe of the training data."""
    rows = examples.rows
    with one_thread():
        blocks = rows.blocks(schema.source_columns)
        encoded = [schema.encode_inputs(block, rows.place_from(first)) for first, block in blocks]
    inputs, targets = np.concatenate(encoded), examples.targets
    if config.task == "regression":
        targets = schema.encode_targets(Targets(targets), lambda row: f"y: row {row + 1}")
    weights = (examples.weights / examples.weights[parts["train"]].mean()).astype(np.float32)
    for name, places in parts.items():
        path = part_file(folder, name)
        own = inputs[places], targets[places], places
        write_base(path, *own, config.shard_rows, weight=weights[places])
    folds = config.splits.folds
    sums = sums_of(folder, [f"{name}.json" for name in ("train", "stop") if name in parts])
    return Recipe(
        folder, sums, config.seed, config.augment, schema.spans, config.window_rows, folds
    )
