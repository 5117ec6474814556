"""What a run that ended early would have done with more time, in words."""

from collections.abc import Sequence
from typing import Literal

from ensemble_pipe.core.durations import duration_text
from ensemble_pipe.core.messages import list_names
from ensemble_pipe.tracking.schemas import LearnerUnderWay

# What becomes of a learner under way.
_Fate = Literal["joins", "left out", "not better"]
_FATES: tuple[_Fate, ...] = ("joins", "left out", "not better")


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
        limit_s: the time limit in seconds; None where there was none, or it did not end the run.
        unfinished: learners whose training had not ended.
        under_way: those of them that had begun.
        not_refitted: learners that were to be trained again, and were not.
        unmeasured: what was not measured for want of time, such as "baselines".
        further: what was to be trained that has no learners yet, such as "4 trials not chosen".

    >>> begun = [LearnerUnderWay(1, 0.5, True), LearnerUnderWay(2, 0.25, True)]
    >>> left_undone(20.0, [1, 2, 3], begun)
    'time limit 20s: learners 1, 2 join as they were at 25% to 50% of their steps; learner 3 not \
begun'
    """
    begun = {one.learner for one in under_way}
    open_ = [one for one in under_way if one.learner in unfinished]
    parts = [_under_way([one for one in open_ if _fate(one) == fate], fate) for fate in _FATES]
    waiting = [learner for learner in unfinished if learner not in begun]
    if waiting:
        parts.append(f"{_named(waiting)} not begun")
    parts += further
    if not_refitted:
        parts.append(f"{_named(not_refitted)} not trained again on all rows")
    if unmeasured:
        parts.append(f"not measured: {', '.join(unmeasured)}")
    why = "" if limit_s is None else f"time limit {duration_text(limit_s)}: "
    text = "; ".join(filter(None, parts))
    return f"{why}{text}" if text else ""


def _fate(one: LearnerUnderWay) -> _Fate:
    if one.is_member:
        return "joins"
    return "left out" if one.is_left_out else "not better"


def _under_way(several: Sequence[LearnerUnderWay], fate: _Fate) -> str:
    """Return what becomes of learners that had begun, and where they were; "" for none."""
    if not several:
        return ""
    names, one = _named([own.learner for own in several]), len(several) == 1
    where = _where(several)
    if fate == "joins":
        return f"{names} {'joins as it was' if one else 'join as they were'} {where}"
    if fate == "left out":
        return f"{names} {'is' if one else 'are'} left out of the ensemble {where}"
    verb, them = ("does", "it") if one else ("do", "them")
    return f"{names} {verb} not join, since the ensemble is better without {them} {where}"


def _where(several: Sequence[LearnerUnderWay]) -> str:
    """Return at which share of their steps learners were, those without steps when halted."""
    shares = sorted(own.share for own in several if own.share is not None)
    parts = []
    if shares:
        texts = list(dict.fromkeys(f"{share:.0%}" for share in (shares[0], shares[-1])))
        parts.append(f"at {' to '.join(texts)} of {'its' if len(several) == 1 else 'their'} steps")
    if len(shares) < len(several):
        parts.append("when it was halted" if len(several) == 1 else "when halted")
    return " or ".join(parts)


def _named(learners: Sequence[int]) -> str:
    return f"{'learner' if len(learners) == 1 else 'learners'} {list_names(learners)}"
