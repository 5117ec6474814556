"""The work of a session in the order in which it is begun, so that its ensemble is useful early."""

from collections import Counter
from collections.abc import Sequence

from ensemble_pipe.cluster.executor import Work
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.run.resuming import Remaining
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.stacks import Stack, make_stacks, stack_kind


def plan_work(
    remaining: Remaining,
    schema: Schema,
    trainers: int,
    width: int | None,
    turn: int,
    early: bool,
    until: int | None = None,
) -> list[Work]:
    """Divide learners into stacks, and put all work in order; neither ever changes a result.

    Args:
        remaining: learners that are to be trained.
        schema: of the data.
        trainers: that work at once.
        width: learners in a stack; None for what is fastest.
        turn: learners of a kind that are begun together: see `in_turns`.
        early: whether the first learners are to be ready early, at some cost to the others.
        until: the epoch after which networks pause; None for none.
    """
    stacks: list[Stack] = []
    if remaining.networks:
        stacks = make_stacks(
            remaining.networks,
            dict(remaining.states),
            size=max(plan.build(schema).layout.size for plan in remaining.networks),
            trainers=trainers,
            width=width,
            first=turn if early else None,
            until=until,
        )
    return in_turns(stacks, remaining.estimators, turn)


def in_turns(
    stacks: Sequence[Stack], estimators: Sequence[EstimatorPlan], turn: int = 1
) -> list[Work]:
    """Return all work, one turn of each kind of learner after another.

    Learners without steps begin a turn: they take less time, and cannot go on where they ended.

    Args:
        stacks, estimators: of each kind in the order in which they are to be begun.
        turn: learners of a kind in a turn; the number of folds where each leaves one out, since
            only together do they predict all rows.
    """
    before: Counter[str] = Counter()
    placed: list[tuple[int, Work]] = []
    work: list[Work] = [*estimators, *stacks]
    for item in work:
        kind = repr(stack_kind(item.plans[0]) if isinstance(item, Stack) else item.settings)
        placed.append((before[kind] // turn, item))
        before[kind] += len(item.plans) if isinstance(item, Stack) else 1
    return [item for _, item in sorted(placed, key=lambda pair: pair[0])]
