"""Checks before training: requirements on the data, memory, disk and time."""

import shutil
from collections.abc import Sequence
from math import prod
from pathlib import Path

import psutil

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.folding import largest_left_out
from ensemble_pipe.data.inspection.listing import size_text
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.nn.inference import CHUNK_ROWS
from ensemble_pipe.training.conflicts import cycle_count
from ensemble_pipe.training.estimator_settings import CatBoost, EstimatorSettings, LightGbm
from ensemble_pipe.training.library_models import load_library
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.requirements import require_plans_fit, require_rows

# A step of the smallest network takes a tenth of a millisecond: so many take eleven days.
MOST_STEPS = 10**10
STEP_S = 1e-4
_FLOAT_BYTES = 4
# Some shards of each part are held while a base is written.
MOST_SHARD_BYTES = 32 << 20
MOST_CHUNK_BYTES = 2 << 30


def require_fit(
    config: Pipeline,
    plans: Sequence[LearnerPlan],
    schema: Schema,
    rows: int,
    groups: Array | None = None,
    fold_keys: Integers | None = None,
) -> None:
    """Check that learners and augmentations fit the training part.

    Args:
        config: the pipeline.
        plans: of its networks.
        schema: of the data.
        rows: R, of the training part.
        groups: (R,) of these, where rows have groups.
        fold_keys: (R,) of these, where folds are not drawn.

    Raises:
        ConfigError: names the key, its value, and a valid one.
    """
    decide = config.ensemble.decide
    misfit = decide.misfit(len(schema.classes)) if decide is not None else None
    if misfit is not None:
        raise ConfigError(f"ensemble.decide.{misfit}")
    chunk_bytes = 4 * CHUNK_ROWS * prod(schema.input_shape)
    if chunk_bytes > MOST_CHUNK_BYTES:
        raise ConfigError(
            f"data: rows of shape {schema.input_shape} are too large: {CHUNK_ROWS} of them are "
            f"predicted at a time, which takes {chunk_bytes / 1e9:.1f} GB; make the images smaller"
        )
    if schema.is_image and config.view.features < 1:
        raise ConfigError(
            "view.features: chooses among the columns of a table, but here are images; leave it out"
        )
    window_rows = rows_of_window(config, schema, rows)
    own = (plan.augment for plan in plans if plan.augment is not None)
    for augment in dict.fromkeys((config.augment, *own)):
        require_augmentable(augment, schema, window_rows)
    require_plans_fit(plans, schema, rows)
    require_affordable(plans, schema, rows)
    for number, group in enumerate(config.ensemble.groups):
        if isinstance(group, LightGbm | CatBoost):
            load_library(group.strategy)
        if isinstance(group, EstimatorSettings):
            own_folds = group.learners if group.leaves_folds_out else None
            folds = config.splits.folds or own_folds
            left_out = 0
            if folds is not None:
                left_out = largest_left_out(folds, config.seed, rows, groups, fold_keys)
            require_rows(group, rows, left_out, f"ensemble.pool.{number}")


def require_affordable(plans: Sequence[LearnerPlan], schema: Schema, rows: int) -> None:
    """Check the requirements of the process that executes a run, wherever learners are trained.

    It holds the rows of all members, and the checkpoint of one learner.

    Args:
        plans: of all networks.
        schema: of the data.
        rows: of the training part.

    Raises:
        ConfigError: the steps would take weeks, or the numbers do not fit into the memory.
    """
    for plan in plans:
        steps = plan.steps(rows).total
        if steps > MOST_STEPS:
            raise ConfigError(
                f"training.epochs: {plan.epochs:,} epochs are {steps:,} steps, and these take "
                f"{steps * STEP_S / 86400:,.0f} days at the least; at most {MOST_STEPS:,} steps "
                "can be taken, so lower it, or raise training.batch_size"
            )
    memory = psutil.virtual_memory().total
    sizes = _sizes(plans, schema)
    for plan, size in zip(plans, sizes, strict=True):
        state = _FLOAT_BYTES * size * _kept_rows(plan)
        if state > memory:
            raise ConfigError(
                f"network: with {size:,} parameters a learner's state takes {size_text(state)}, "
                f"but this machine's memory has {size_text(memory)}; make its layers smaller"
            )
    members = _members_bytes(plans, sizes)
    if members > memory:
        raise ConfigError(
            f"ensemble.learners: the members of {len(plans):,} learners take {size_text(members)}, "
            f"but this machine's memory has {size_text(memory)}; take fewer, or smaller networks"
        )


def require_space(
    plans: Sequence[LearnerPlan], schema: Schema, folder: Path, *, refit: bool = False
) -> None:
    """Check that checkpoints and the model fit onto the disk.

    Args:
        plans: of the networks that are to be trained.
        schema: of the data.
        folder: that they are written below; it need not be there yet.
        refit: whether there are checkpoints of a second training.

    Raises:
        ConfigError: they do not.
    """
    sizes = _sizes(plans, schema)
    kept = zip(plans, sizes, strict=True)
    states = sum(_FLOAT_BYTES * size * _kept_rows(plan) for plan, size in kept)
    needed = states * (2 if refit else 1) + _members_bytes(plans, sizes)
    there = next(above for above in (folder, *folder.parents) if above.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ConfigError(
            f"ensemble.learners: checkpoints and members of {len(plans):,} learners take "
            f"{size_text(needed)}, but the disk of {folder} has {size_text(free)} free; take "
            "fewer, or smaller networks, or write elsewhere with --output"
        )


def shard_rows(config: Pipeline, schema: Schema) -> int:
    """Return the rows of a shard: the configured number, or as many as fit its bytes."""
    return max(1, min(config.shard_rows, MOST_SHARD_BYTES // schema.row_bytes))


def _sizes(plans: Sequence[LearnerPlan], schema: Schema) -> list[int]:
    """Return P of each plan's network; equal networks are built once."""
    known: dict[tuple[str, str, str], int] = {}
    sizes = []
    for plan in plans:
        kind = repr(plan.network), repr(plan.sharing), plan.loss.name
        if kind not in known:
            known[kind] = plan.build(schema).layout.size
        sizes.append(known[kind])
    return sizes


def _kept_rows(plan: LearnerPlan) -> int:
    """Return the approximate number of rows of P numbers in a learner's checkpoint."""
    averages = len(plan.averaging.slots) if plan.averaging is not None else 0
    chain = plan.boosting.rounds if plan.boosting is not None else 0
    return 1 + len(plan.rule.slots) + averages + (plan.early_stopping is not None) + chain


def _members_bytes(plans: Sequence[LearnerPlan], sizes: Sequence[int]) -> int:
    return sum(_FLOAT_BYTES * size * _rows(plan) for plan, size in zip(plans, sizes, strict=True))


def _rows(plan: LearnerPlan) -> int:
    """Return how many rows of weights the members of a learner have."""
    if plan.boosting is not None:
        return plan.boosting.rounds
    if plan.checkpoints is not None:
        return len(plan.checkpoints.epochs(plan.epochs))
    return cycle_count(plan.schedule) if plan.snapshots else 1


def rows_of_window(config: Pipeline, schema: Schema, rows: int) -> int:
    """Return how many of R training rows are shuffled together."""
    return min(rows, max(config.window_rows, shard_rows(config, schema)))


def require_augmentable(augment: Augment, schema: Schema, window_rows: int) -> None:
    """Check that an augmentation fits the rows, and its windows the memory.

    Raises:
        ConfigError: it does not.
    """
    wrong = augment.misfits(images=schema.is_image)
    if wrong:
        here, there = ("images", "rows of tables") if schema.is_image else ("a table", "images")
        raise ConfigError(
            f"augment: {wrong[0].name} is for {there}, but the data is {here}; leave it out"
        )
    augment.require_fit(schema.input_shape, schema.spans, schema.encoded_names)
    if augment.shard_policy and window_rows * schema.row_bytes > augment.memory_bytes:
        fitting = augment.memory_bytes // schema.row_bytes
        raise ConfigError(
            f"augment.memory_mb: {augment.memory_mb} MB hold {fitting} augmented rows, but "
            f"windows of {window_rows} rows are shuffled; raise it, or set "
            f"window_rows to {fitting} or less"
        )
