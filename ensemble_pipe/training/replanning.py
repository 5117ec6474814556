"""Whether learners that have begun go on by another plan: what a checkpoint holds decides.

It holds weights, the state of an update rule and averages, which have the shapes of their plan; the
measurements that early stopping and a plateau have seen, which are of its loss; and the number of
steps taken, from which the rows seen and the members yielded follow. What leaves these as they are
may change.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ensemble_pipe.core.messages import counted
from ensemble_pipe.core.settings import structure
from ensemble_pipe.optim import plateau_of
from ensemble_pipe.training.checkpoint_format import Saved, parse_counters
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stopping import StoppingState

_WEIGHTS = "learner {} has weights of the old one"
_STATE = "the checkpoint of learner {} has the state of the old one"
_MEASURED = "learner {} was measured by the old one"
_ROWS = "the rows that learner {} has seen follow from it"
# What plans must share, by the section of a pipeline that it comes from, and why.
_KEPT: tuple[tuple[str, Callable[[LearnerPlan], object], str], ...] = (
    ("network", lambda plan: structure(plan.network), _WEIGHTS),
    ("ensemble", lambda plan: (structure(plan.sharing), structure(plan.boosting)), _WEIGHTS),
    ("training.optimizer", lambda plan: (plan.rule.name, plan.rule.slots), _STATE),
    ("training.schedule", lambda plan: plateau_of(plan.schedule) is None, _STATE),
    ("training.averaging", lambda plan: plan.averaging, _STATE),
    ("training.early_stopping", lambda plan: plan.early_stopping is None, _STATE),
    ("training.early_stopping.metric", lambda plan: _metric(plan), _MEASURED),
    ("training.loss", lambda plan: plan.loss, _MEASURED),
    ("training.batch_size", lambda plan: plan.batch_rows, _ROWS),
    ("training.order", lambda plan: plan.order, _ROWS),
    ("view", lambda plan: (plan.view, plan.folding), _ROWS),
)


def obstacle(
    before: LearnerPlan, now: LearnerPlan, saved: Sequence[Saved], rows: int
) -> tuple[str, str] | None:
    """Return which setting keeps a learner from going on by another plan, and why; None for none.

    Args:
        before: the plan that it began with.
        now: the other one.
        saved: its checkpoints, by step; none of one that has only the weights to begin with.
        rows: R, of the training part.
    """
    for setting, of, why in _KEPT:
        if repr(of(before)) != repr(of(now)):
            return setting, why.format(now.learner)
    return _misplaced(before, now, saved[-1], rows) if saved else None


def _misplaced(
    before: LearnerPlan, now: LearnerPlan, last: Saved, rows: int
) -> tuple[str, str] | None:
    """Return which setting makes a plan have no such newest checkpoint, and why; None for none."""
    trained = f"learner {now.learner} has trained {counted(last.epoch, 'epoch')}"
    if last.step > now.end(rows) or (last.step == now.end(rows) and not last.finished):
        return "training.epochs", f"{trained}; take more"
    if _has_stopped(now, last) and not last.finished:
        waited = (
            f"learner {now.learner} has waited {counted(_stopping(last).epochs_waited, 'epoch')}"
        )
        return "training.early_stopping.patience", f"{waited}; take more"
    if _averaged(before, last.step, rows) != _averaged(now, last.step, rows):
        return "training.averaging", f"{trained}, and its average would be of other steps"
    made, due = (_members(plan, last.step, rows) for plan in (before, now))
    is_kept = last.member == _due(now, last, rows) or (last.finished and last.member is not None)
    if made != due or not is_kept:
        setting = "training.schedule" if before.schedule != now.schedule else "ensemble"
        setting = setting if before.epochs == now.epochs else "training.epochs"
        return setting, f"{trained}, and would have yielded members at other steps"
    return None


def restated(plan: LearnerPlan, saved: Saved, rows: int) -> Saved:
    """Return a checkpoint as a longer plan has it: one that ended training may be under way."""
    if not saved.finished or saved.step == plan.end(rows) or _has_stopped(plan, saved):
        return saved
    return replace(saved, finished=False, member=_due(plan, saved, rows))


def _due(plan: LearnerPlan, saved: Saved, rows: int) -> int | None:
    """Return the number of the member that a plan has at a checkpoint's step; None for none."""
    return plan.member_at(saved.step, plan.member_steps(rows))


def _metric(plan: LearnerPlan) -> str | None:
    return None if plan.early_stopping is None else plan.early_stopping.metric


def _stopping(saved: Saved) -> StoppingState:
    return parse_counters(saved.counters, f"learner {saved.learner}: counters").stopping


def _has_stopped(plan: LearnerPlan, saved: Saved) -> bool:
    return plan.early_stopping is not None and plan.early_stopping.ends(_stopping(saved))


def _averaged(plan: LearnerPlan, step: int, rows: int) -> list[int]:
    """Return at which steps a learner's average has collected weights, up to a step."""
    if plan.averaging is None:
        return []
    return [stop for stop in plan.averaging.stops(plan.calendar(rows)) if stop <= step]


def _members(plan: LearnerPlan, step: int, rows: int) -> list[int]:
    """Return at which steps a learner has yielded members, before a step."""
    return [end for end in plan.member_steps(rows) if end < step]
