"""Compiles every kernel that some stacks will need, by training them for a step on made-up rows."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ensemble_pipe.core.settings import structure
from ensemble_pipe.core.storage import part_file
from ensemble_pipe.data.base import write_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack

_ROWS = 4


def warm_up(schema: Schema, plans: Sequence[LearnerPlan], recipe: Recipe) -> None:
    """Fill the kernel cache of this machine.

    Several processes that compile first at once would each compile everything, and break the
    cache's index for one another; one that goes ahead lets the others load.

    Args:
        schema: of the data that will be trained on.
        plans: of the learners that will be trained; one of each kind is tried.
        recipe: of the training data; its augmentations are tried too.
    """
    kinds = {
        (
            repr(structure(plan.network)), plan.loss.name, plan.rule.name, plan.order,
            repr(structure(plan.averaging)), plan.boosting is not None,
        ): plan
        for plan in plans
    }  # fmt: skip
    stored = np.uint8 if schema.is_image else np.float32
    inputs = np.zeros((_ROWS, *schema.input_shape), stored)
    shape = (_ROWS, schema.target_count) if schema.target_count > 1 else (_ROWS,)
    targets = np.zeros(shape, np.int32 if schema.task == "classification" else np.float32)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for part in ("train", "stop"):
            write_base(part_file(base, part), inputs, targets, np.arange(_ROWS), _ROWS)
        data = TrainingData(replace(recipe, base=base, sums={}), schema)
        for plan in kinds.values():
            tiny = replace(plan, epochs=1, batch_rows=_ROWS, snapshots=False, early_stopping=None)
            if plan.boosting is not None:
                tiny = replace(tiny, boosting=replace(plan.boosting, rounds=1))
            for _ in train(Stack((tiny,)), data, schema):
                pass
