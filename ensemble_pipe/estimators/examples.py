"""Labelled rows in memory: divided into parts, and written as the base files of a training."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ensemble_pipe.config.own_scales import further_scales, stored_scale
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.messages import quote, row_name
from ensemble_pipe.core.storage import part_file, sums_of
from ensemble_pipe.data.base import base_writer
from ensemble_pipe.data.folding import Folding
from ensemble_pipe.data.labelled import LabelledRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.data.sources.kinds import Table, require_rules_fit
from ensemble_pipe.data.sources.rows import Place, Rows
from ensemble_pipe.data.splits import Parts, split_rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.input_fitting import fit_inputs
from ensemble_pipe.data.tables.recognition import recognize
from ensemble_pipe.data.tables.target_choice import Encoder, fit_targets
from ensemble_pipe.data.tables.target_scaling import target_fields
from ensemble_pipe.data.tables.targets import Targets
from ensemble_pipe.estimators.features import Features
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.optim import plateau_of
from ensemble_pipe.run.preparation import write_rows
from ensemble_pipe.run.requirements import shard_rows
from ensemble_pipe.training.plan import LearnerPlan

# Fewer rows than this are not worth holding out.
LEAST_HELD = 10


@dataclass(frozen=True)
class Examples:
    """Labelled rows in memory.

    Attributes:
        features: of the R rows.
        targets: their labels or numbers, as a file would have them.
        weights: (R,) float64 above 0, in the loss.
        target_names: of the targets.
        classes: their names, by number; empty for numbers.
    """

    features: Features
    targets: Targets
    weights: Floats
    target_names: tuple[str, ...] = ("y",)
    classes: tuple[int | str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.targets)

    @property
    def data(self) -> LabelledRows:
        """The rows as those of a source, with their targets and weights."""
        return LabelledRows(self.features.rows, self.targets, self.weights)

    @property
    def rows_of_targets(self) -> Rows:
        """The rows, which messages on their targets name as those of y."""
        rows, numbers = self.features.rows, self.features.numbers

        def cells(name: str) -> Place:
            column = f", column {quote(name)}" if len(self.target_names) > 1 else ""
            return lambda row: f"y: {row_name(numbers[row])}{column}"

        return replace(rows, where="y", places={name: cells(name) for name in self.target_names})

    def roles(self, config: Pipeline) -> Roles:
        """Return what each column is for, with the rules that the pipeline has for some.

        Raises:
            DataError: a rule is for no column.
        """
        assert isinstance(config.data, Table)
        rules, names = config.data.columns, self.features.usable
        require_rules_fit("X", list(rules), names, {})
        missing = config.data.missing_values
        label = self.target_names if len(self.target_names) > 1 else self.target_names[0]
        return Roles(names, label, rules=rules, missing_values=missing)

    def left_out(self, config: Pipeline) -> set[str]:
        """Return the names of the columns that are recognised, by all rows, as no features."""
        every = np.ones(self.count, bool)
        plans, _ = recognize(self.features.rows, self.roles(config), every)
        return {*self.features.usable} - {plan.name for plan in plans}

    def decisions(self, made: Sequence[ColumnDecision]) -> tuple[ColumnDecision, ...]:
        """Return the decisions on all columns: those made, and that some cannot be used."""
        known = {decision.name: decision for decision in made}
        for name, why in self.features.unusable.items():
            known[name] = ColumnDecision(name, "left out", why, "no values")
        return tuple(known[name] for name in self.features.names)


def merge_equal_rows(examples: Examples) -> Examples:
    """Return the examples in order of their values, equal ones as one with their joint weight.

    Where a batch holds all rows this changes no gradient but for rounding, so that a weight of 3
    is the same, to the last bit, as three equal rows in any place.
    """
    table = np.column_stack([*examples.features.ranks(), examples.targets.values])
    _, first, number = np.unique(table, axis=0, return_index=True, return_inverse=True)
    weights = np.bincount(number.ravel(), examples.weights, len(first)).astype(np.float64)
    features, targets = examples.features.take(first), examples.targets[first]
    return replace(examples, features=features, targets=targets, weights=weights)


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
    strata = examples.targets.values if examples.classes else None
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
        DataError: a value cannot be used, or a rule is for no column.
        ConfigError: the scale does not fit the columns.
    """
    chosen = np.zeros(examples.count, bool)
    chosen[train] = True
    roles = examples.roles(config)
    with one_thread():  # more would change the last bits of whitened numbers
        rows, further = examples.features.rows, further_scales(config)
        inputs = fit_inputs(rows, roles, chosen, stored_scale(config), further)
    inputs["decisions"] = examples.decisions(inputs["decisions"])
    schema = Schema(
        task=config.task,
        target_names=examples.target_names,
        classes=examples.classes,
        missing_values=roles.missing_values,
        **inputs,
    )
    if config.task == "classification":
        return schema
    encoder = Encoder(schema.source_columns, schema.input_shape[0], schema.encode_inputs)
    with one_thread():
        fitted = fit_targets(
            config.target.scale,
            examples.rows_of_targets,
            examples.target_names,
            examples.targets,
            chosen,
            encoder,
            constants=True,
        )
    return replace(schema, **target_fields(fitted))


def write_examples(
    folder: Path, config: Pipeline, schema: Schema, examples: Examples, parts: Parts
) -> Recipe:
    """Write the base file of each part into a folder; return the recipe of the training data."""
    data, rows = examples.data, shard_rows(config, schema)
    if isinstance(config.splits.folds, Folding) and config.splits.folds.forward is not None:
        data = replace(data, folds=np.arange(examples.count))  # the order of the rows is the time's
    mean = float(examples.weights[parts["train"]].mean())
    with one_thread(), ExitStack() as stack:
        writers = [
            (stack.enter_context(base_writer(part_file(folder, name), rows)), places)
            for name, places in parts.items()
        ]
        write_rows(data, schema, writers, mean)
    folds = config.splits.folds
    sums = sums_of(folder, [f"{name}.json" for name in ("train", "stop") if name in parts])
    return Recipe(
        folder, sums, config.seed, config.augment, schema.spans, config.window_rows, folds
    )
