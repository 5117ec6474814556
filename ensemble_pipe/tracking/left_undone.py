"""What a run that ended early would have done with more time, in words."""

from collections.abc import Sequence

from ensemble_pipe.core.durations import duration_text
from ensemble_pipe.core.messages import list_names
from ensemble_pipe.tracking.schemas import LearnerUnderWay


def left_undone(
    limit_s: float | None,
    unfinished: Sequence[int],
    under_way: Sequence[LearnerUnderWay],
    not_refitted: Sequence[int] = (),
    unmeasured: Sequence[str] = (),
    further: Sequence[str] = (),
) -> str:
    """Return one line; "" where nothing was left undone.

    Args:
        limit_s: the time limit in seconds; None where there was none.
        unfinished: learners whose training had not ended.
        under_way: those of them that had begun.
        not_refitted: learners that were to be trained again, and were not.
        unmeasured: what was not measured for want of time, such as "baselines".
        further: what was to be trained that has no learners yet, such as "4 trials not chosen".

    >>> left_undone(20.0, [1, 2], [LearnerUnderWay(1, 0.5, True)])
    'time limit 20s: learner 1 joins as it was at 50% of its steps; learner 2 not begun'
    """
    begun = {one.learner for one in under_way}
    parts = [_of(one) for one in under_way if one.learner in unfinished]
    waiting = [learner for learner in unfinished if learner not in begun]
    if waiting:
        parts.append(f"{_named(waiting)} not begun")
    parts += further
    if not_refitted:
        parts.append(f"{_named(not_refitted)} not trained again on all rows")
    if unmeasured:
        parts.append(f"not measured: {', '.join(unmeasured)}")
    why = "" if limit_s is None else f"time limit {duration_text(limit_s)}: "
    return f"{why}{'; '.join(parts)}" if parts else ""


def _of(one: LearnerUnderWay) -> str:
    where = "when it was halted" if one.share is None else f"at {one.share:.0%} of its steps"
    if one.is_member:
        return f"learner {one.learner} joins as it was {where}"
    return f"learner {one.learner} does not join, since the ensemble is better without it {where}"


def _named(learners: Sequence[int]) -> str:
    return f"{'learner' if len(learners) == 1 else 'learners'} {list_names(learners)}"
