"""Where a learner's training goes on: its checkpoints, checked against its plan and its data."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.training.checkpoint_format import Saved
from ensemble_pipe.training.checkpoints import ANEW, list_checkpoints, load_state
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.replanning import restated
from ensemble_pipe.training.state import Counters, LearnerState, initial_state


@dataclass(frozen=True)
class Restored:
    """A checkpoint that was read back."""

    saved: Saved
    state: LearnerState


def restore(
    paths: RunPaths,
    plan: LearnerPlan,
    schema: Schema,
    rows: int,
    run: str,
    *,
    replanned: bool = False,
) -> Iterator[Restored]:
    """Yield a learner's checkpoints of members, and its newest, by step; none before it begins.

    Args:
        paths: of the run.
        plan: of the learner.
        schema: of the data.
        rows: R, of the training part.
        run: the run's id.
        replanned: whether its settings were changed since it began, so that it may go on where an
            earlier plan ended.

    Raises:
        CorruptFileError: one is damaged, is of another learner or run, or does not fit this plan;
            or that of a member is missing.
    """
    saved = list_checkpoints(paths, plan.learner, run)
    if replanned:
        saved = [restated(plan, one, rows) for one in saved]
    _require_members(paths, plan, rows, saved)
    for one in (one for one in saved if one.member is not None or one is saved[-1]):
        state = load_state(paths, plan.learner, one.step)
        if replanned and one.member is None:
            state = replace(state, slots=_without_member(state.slots))
        problem = _misfit(plan, schema, rows, one, state)
        if problem is not None:
            path = paths.checkpoint(plan.learner, one.step)
            raise CorruptFileError(f"{path}: {problem}; {ANEW}")
        yield Restored(one, state)


def _without_member(slots: dict[str, Floats]) -> dict[str, Floats]:
    return {name: values for name, values in slots.items() if name != "member"}


def _misfit(
    plan: LearnerPlan, schema: Schema, rows: int, saved: Saved, state: LearnerState
) -> str | None:
    """Return why a checkpoint does not fit a plan; None where it does."""
    size = plan.build(schema).layout.size
    if state.row.shape != (size,) or state.row.dtype != np.float32:
        return f"its row is {_shown(state.row)}, but its network needs float32 of shape {(size,)}"
    expected = initial_state(plan, schema, state.row).slots
    found = _without_member(state.slots)
    member = state.member_row
    if set(found) != set(expected) or member.shape != (size,) or member.dtype != np.float32:
        return f"holds {', '.join(sorted(found))}, but its plan needs {', '.join(sorted(expected))}"
    for name, values in expected.items():
        if found[name].shape != values.shape or found[name].dtype != values.dtype:
            return f"its {name} is {_shown(found[name])}, but its plan needs {_shown(values)}"
    return _misplaced(plan, rows, saved, state.counters)


def _misplaced(plan: LearnerPlan, rows: int, saved: Saved, counters: Counters) -> str | None:
    """Return why a plan has no such checkpoint at this step; None where it has."""
    steps = plan.steps(rows)
    if not 0 < saved.step <= steps.total or saved.epoch != steps.epochs_done(saved.step):
        return f"step {saved.step} in epoch {saved.epoch} is none of its {steps.total} steps"
    rounds = 0 if plan.boosting is None else bisect_right(plan.round_ends(rows), saved.step)
    if len(counters.boosting.factors) != rounds:
        return f"it has the factors of {len(counters.boosting.factors)} networks, not of {rounds}"
    stopping = plan.early_stopping
    if stopping is None and counters.stopping.epochs_waited:
        return "its counters do not fit its early stopping"
    stopped = stopping is not None and stopping.ends(counters.stopping)
    done = stopped or saved.step == plan.end(rows)
    if saved.finished != done:
        stated = "finished" if saved.finished else "not finished"
        return f"says that it is {stated}, at step {saved.step} of {plan.end(rows)}"
    expected = 0 if stopped else plan.member_at(saved.step, plan.member_steps(rows))
    if saved.member != expected:
        return f"says that it yields member {saved.member}, where its plan has {expected}"
    return None


def _require_members(paths: RunPaths, plan: LearnerPlan, rows: int, saved: Sequence[Saved]) -> None:
    """Raise CorruptFileError where the checkpoint of a member is missing that was there."""
    last = saved[-1].step if saved else 0
    there = {one.step for one in saved}
    ends = plan.member_steps(rows) if plan.yields_several else []
    for step in ends[: bisect_right(ends, last)]:
        if step not in there:
            path = paths.checkpoint(plan.learner, step)
            raise CorruptFileError(
                f"{path}: missing, though learner {plan.learner} is at step {last} and yields a "
                f"member at {step}; {ANEW}"
            )


def _shown(values: Floats) -> str:
    return f"{values.dtype} of shape {values.shape}"
