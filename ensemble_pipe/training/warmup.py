"""Compiles every kernel that some stacks will need, by training them for a step on made-up rows."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ensemble_pipe.core.compilation import stamp_file
from ensemble_pipe.core.settings import structure
from ensemble_pipe.core.storage import part_file
from ensemble_pipe.data.base import write_base
from ensemble_pipe.data.folding import AnyFolds
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack

_ROWS = 4
_FOLDS = 2


def compile_kernels(schema: Schema, plans: Sequence[LearnerPlan], recipe: Recipe) -> bool:
    """Fill the kernel cache of this machine, where it lacks kernels; return whether it did.

    Several processes that compile first at once would each compile everything, and break the
    cache's index for one another; hence one compiles, and the others wait. A stamp beside the
    kernels says which kinds of learners they suffice for, so that a full cache costs nothing.

    Args:
        schema: of the data that will be trained on.
        plans: of the learners that will be trained; one of each kind is tried.
        recipe: of the training data; its augmentations are tried too.
    """
    stamp = stamp_file(_key(schema, plans, recipe))
    if stamp.exists():
        return False
    stamp.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(stamp.parent / "compiling.lock"):
        if stamp.exists():
            return False
        warm_up(schema, plans, recipe)
        stamp.touch()
    return True


def kinds_of(plans: Sequence[LearnerPlan]) -> tuple[LearnerPlan, ...]:
    """Return one plan of each kind, as far as kernels are concerned."""
    return tuple({kind_of(plan): plan for plan in plans}.values())


def kind_of(plan: LearnerPlan) -> tuple[Any, ...]:
    """Return what the kernels for a learner depend on, besides the data."""
    return (
        repr(structure(plan.network)), plan.loss.name, plan.rule.name, plan.order,
        repr(structure(plan.averaging)), plan.boosting is not None,
        tuple(step.name for step in plan.augment.policy) if plan.augment else None,
        repr(plan.sharing), plan.scale is not None,
    )  # fmt: skip


def _key(schema: Schema, plans: Sequence[LearnerPlan], recipe: Recipe) -> str:
    """Return all that the types of compiled kernels may depend on."""
    kinds = sorted(map(repr, {kind_of(plan) for plan in plans}))
    targets = (schema.task, schema.target_count, len(schema.classes))
    data = (schema.is_image, schema.input_shape, targets, recipe.augment, recipe.spans)
    return repr((kinds, data))


def warm_up(schema: Schema, plans: Sequence[LearnerPlan], recipe: Recipe) -> None:
    """Train a learner of each kind for a step, on made-up rows: see `compile_kernels`."""
    stored = np.uint8 if schema.is_image else np.float32
    inputs = np.zeros((_ROWS, *schema.input_shape), stored)
    shape = (_ROWS, schema.target_count) if schema.target_count > 1 else (_ROWS,)
    targets = np.zeros(shape, np.int32 if schema.task == "classification" else np.float32)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for part in ("train", "stop"):
            write_base(part_file(base, part), inputs, targets, np.arange(_ROWS), _ROWS)
        folds = _few(recipe.folds)
        data = TrainingData(replace(recipe, base=base, sums={}, folds=folds, part="train"), schema)
        for plan in kinds_of(plans):
            tiny = replace(
                plan, epochs=1, batch_rows=_ROWS, snapshots=False, checkpoints=None,
                early_stopping=None, folding=None,
                view=replace(plan.view, folds=_few(plan.view.folds or plan.folding)),
            )  # fmt: skip
            if plan.boosting is not None:
                tiny = replace(tiny, boosting=replace(plan.boosting, rounds=1))
            for _ in train(Stack((tiny,)), data, schema):
                pass


def _few(folds: AnyFolds | None) -> int | None:
    """Return as many folds as each get some of the made-up rows; None where there are none."""
    return None if folds is None else _FOLDS
