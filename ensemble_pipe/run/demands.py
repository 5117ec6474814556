"""What training will take of memory, disk and time at the least, against what there is."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import psutil

from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.inspection.listing import size_text
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.training.conflicts import cycle_count
from ensemble_pipe.training.plan import LearnerPlan

# A step of the smallest network takes a tenth of a millisecond: so many take eleven days.
MOST_STEPS = 10**10
STEP_S = 1e-4
_FLOAT_BYTES = 4


def require_affordable(plans: Sequence[LearnerPlan], schema: Schema, rows: int) -> None:
    """Check what the process that drives a run needs itself, wherever its learners are trained.

    It holds the rows of all members, and of a learner what its checkpoint keeps.

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


def require_space(plans: Sequence[LearnerPlan], schema: Schema, folder: Path) -> None:
    """Check that checkpoints and the model fit onto the disk.

    Args:
        plans: of the networks that are to be trained.
        schema: of the data.
        folder: that they are written below; it need not be there yet.

    Raises:
        ConfigError: they do not.
    """
    sizes = _sizes(plans, schema)
    kept = zip(plans, sizes, strict=True)
    states = sum(_FLOAT_BYTES * size * _kept_rows(plan) for plan, size in kept)
    needed = states + _members_bytes(plans, sizes)
    there = next(above for above in (folder, *folder.parents) if above.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ConfigError(
            f"ensemble.learners: checkpoints and members of {len(plans):,} learners take "
            f"{size_text(needed)}, but the disk of {folder} has {size_text(free)} free; take "
            "fewer, or smaller networks, or write elsewhere with --output"
        )


def _sizes(plans: Sequence[LearnerPlan], schema: Schema) -> list[int]:
    """Return P of each plan's network; of those that are alike one is built."""
    known: dict[tuple[str, str], int] = {}
    sizes = []
    for plan in plans:
        kind = repr(plan.network), plan.loss.name
        if kind not in known:
            known[kind] = plan.build(schema).layout.size
        sizes.append(known[kind])
    return sizes


def _kept_rows(plan: LearnerPlan) -> int:
    """Return how many rows of P numbers a learner's checkpoint keeps, about."""
    averages = len(plan.averaging.slots) if plan.averaging is not None else 0
    chain = plan.boosting.rounds if plan.boosting is not None else 0
    return 1 + len(plan.rule.slots) + averages + (plan.early_stopping is not None) + chain


def _members_bytes(plans: Sequence[LearnerPlan], sizes: Sequence[int]) -> int:
    return sum(_FLOAT_BYTES * size * _rows(plan) for plan, size in zip(plans, sizes, strict=True))


def _rows(plan: LearnerPlan) -> int:
    """Return how many rows of weights the members of a learner have."""
    if plan.boosting is not None:
        return plan.boosting.rounds
    return cycle_count(plan.schedule) if plan.snapshots else 1
