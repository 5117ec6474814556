"""Choices in a plan that do not go together."""

from collections.abc import Iterator

from ensemble_pipe.core.metrics import metrics_for
from ensemble_pipe.data.augment.mixing import Mixing
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.tables import SwapNoise
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.tables.scaling import MIXING
from ensemble_pipe.nn.losses import Hinge
from ensemble_pipe.optim import SWA, Schedule, cycle_ends
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stopping import STOP_LOSS

# The path of a key in a pipeline, and what is wrong with its value.
Conflict = tuple[tuple[str, ...], str]


def conflicts(plan: LearnerPlan, task: Task, augment: Augment) -> Iterator[Conflict]:
    """Yield what does not go together in the plan of one learner, in a run that so augments."""
    if plan.loss.task != task:
        yield (
            ("training", "loss", "name"),
            f"{plan.loss.name} is for {plan.loss.task}, but task is {task}",
        )
    stopping = plan.early_stopping
    measured = {STOP_LOSS, *(f"stop/{name}" for name in metrics_for(task))}
    if stopping is not None and stopping.metric not in measured:
        other = "regression" if task == "classification" else "classification"
        yield (
            ("training", "early_stopping", "metric"),
            f"{stopping.metric} is for {other}, but task is {task}; take stop/loss",
        )
    cyclic = cycle_count(plan.schedule) > 0
    if plan.snapshots and not cyclic:
        yield (
            ("ensemble", "strategy"),
            "takes members at the ends of cycles, so it needs a training.schedule with cycles "
            f"(snapshot, sgdr, cos_log, triangular or fast_geometric), not {plan.schedule.name!r}",
        )
    if plan.snapshots and (plan.averaging is not None or stopping is not None):
        yield (
            ("ensemble", "strategy"),
            "takes members at the ends of cycles; remove averaging and early_stopping",
        )
    if plan.checkpoints is not None and (plan.averaging is not None or stopping is not None):
        yield (
            ("ensemble", "strategy"),
            "takes members after epochs; remove averaging and early_stopping",
        )
    if plan.checkpoints is not None and plan.checkpoints.every > plan.epochs:
        yield (
            ("ensemble", "every"),
            f"is {plan.checkpoints.every}, but training has {plan.epochs} epochs, so only the last "
            "would yield a member; take fewer",
        )
    if plan.boosting is not None and (plan.averaging is not None or stopping is not None):
        yield (
            ("ensemble", "strategy"),
            "boosting ends each round where its epochs do; remove averaging and early_stopping",
        )
    if plan.regularization.label_smoothing is not None and not hasattr(plan.loss, "smoothing"):
        yield (
            ("training", "regularization", "label_smoothing"),
            f"{plan.loss.name} has no smoothing; take cross_entropy, or leave it out",
        )
    if plan.boosting is not None and plan.order == "shared":
        yield (
            ("ensemble", "strategy"),
            "boosting gives each learner targets of its own, so training.order must be own",
        )
    if plan.view.folds == 1:
        yield ("ensemble", "learners"), "cross_validation needs at least 2 learners, one for a fold"
    if isinstance(plan.averaging, SWA) and plan.averaging.at == "cycle" and not cyclic:
        yield (
            ("training", "averaging", "at"),
            f"cycle needs a schedule with cycles, such as snapshot, not {plan.schedule.name!r}",
        )
    yield from _data_conflicts(plan, task, plan.augment or augment)
    yield from _own_conflicts(plan.augment or augment, augment)
    if plan.scale is not None and plan.scale.name in MIXING:
        yield (
            ("scale", "name"),
            f"{plan.scale.name} mixes columns, so all learners have it or none; where they differ "
            "take standardize, range, robust_clip or quantile",
        )


def _data_conflicts(plan: LearnerPlan, task: Task, augment: Augment) -> Iterator[Conflict]:
    if plan.order == "shared" and plan.folding is not None:
        yield ("splits", "folds"), "learners see rows of their own, so training.order must be own"
    if plan.order == "shared" and plan.view != View():
        yield ("view",), "learners see rows of their own, so training.order must be own"
    if plan.order == "shared" and augment.shard_policy and augment.share == "per_learner":
        yield ("augment", "share"), "per_learner needs training.order: own"
    if plan.view.balance_classes and task == "regression":
        yield ("view", "balance_classes"), "numbers have no classes; set task: classification"
    if augment.mixings and isinstance(plan.loss, Hinge):
        names = " and ".join(step.name for step in augment.mixings)
        yield (
            ("training", "loss", "name"),
            f"{names} gives rows a share of two classes, which hinge cannot; take cross_entropy",
        )
    yield from _draw_conflicts(augment)


def _draw_conflicts(augment: Augment) -> Iterator[Conflict]:
    if augment.test_policy is not None and not augment.test_draws:
        yield ("augment", "test_policy"), "is what draws are made by; set augment.test_draws"
    for step in augment.test_policy or ():
        if isinstance(step, Mixing):
            yield ("augment", "test_policy"), f"{step.name} is for training batches; leave it out"
    if not augment.test_draws:
        return
    if not augment.draw_policy:
        where = "policy" if augment.test_policy is None else "test_policy"
        yield ("augment", "test_draws"), f"needs augmentations of single rows in augment.{where}"
    if any(isinstance(step, SwapNoise) for step in augment.draw_policy):
        yield (
            ("augment", "test_draws"),
            "swap_noise would let a row's prediction depend on the rows beside it; leave it out "
            "of augment.test_policy, or set this to 0",
        )


def _own_conflicts(own: Augment, augment: Augment) -> Iterator[Conflict]:
    """Yield what is of all learners, but differs in a learner's own augmentation."""
    for name in ("memory_mb", "test_draws", "test_policy"):
        if getattr(own, name) != getattr(augment, name):
            yield ("augment", name), "is of all learners alike; leave it out here"
    if augment.test_draws and augment.test_policy is None and own.policy != augment.policy:
        yield (
            ("augment", "test_draws"),
            "learners have policies of their own, so say in augment.test_policy how rows are drawn",
        )


def cycle_count(schedule: Schedule) -> int:
    """Return how many cycles a schedule has in a training that is long enough for all."""
    return len(cycle_ends(schedule, total=10**9))
