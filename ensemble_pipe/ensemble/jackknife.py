"""Calibration of an ensemble that is larger than the one that its evidence is of.

Out of fold a row is predicted by the few members that left it out, and later by all of them. The
mean of many members is less confident, and more often right, than that of few (Rahaman & Thiery
2021, "Uncertainty quantification and deep ensembles"; Wu & Gales 2021, "Should ensemble members be
calibrated?"), so what calibrates few members makes many underconfident. What is fitted to the mean
of n members is, like most statistics of n draws, A + B / n to first order; leaving members out in
turn shows B, as in the jackknife (Quenouille 1949, "Approximate tests of correlation in
time-series"). The logarithm of the temperature and the noise are carried to n = all by it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.combiners import Combiner, Outputs, Weighted
from ensemble_pipe.ensemble.combiners.outputs import TEMPERATURES

# Places of the units that stand or fall together, since they come from the same learners.
Turn = Sequence[int]
# Of more turns of a group so many blocks are left out, as whole ones.
MOST_BLOCKS = 20


def calibrate_for_all(
    combiner: Combiner,
    outputs: Outputs,
    targets: Array,
    groups: Sequence[Sequence[Turn]],
    folds: int,
) -> Combiner:
    """Return a combiner whose calibration is that of all members.

    A group of one turn does not show what further members change, and is left as it is; so is a
    combiner that is not calibrated, or weighs no members.

    Args:
        combiner: of K units, with the calibration that is theirs.
        outputs: of the units, on rows that their members left out.
        targets: labels (R,) or numbers (R, D).
        groups: the turns of each group of learners, which differ by chance alone.
        folds: how many members of a unit predict a row together, where out of fold one did.
    """
    calibrated = (combiner.temperature, combiner.noise) != (1.0, 0.0)
    if not isinstance(combiner, Weighted) or not calibrated:
        return combiner
    weights = combiner.member_weights()
    moved = np.array([np.log(combiner.temperature), combiner.noise])
    for group in groups:
        turns = _blocks(group)
        if len(turns) < 2:
            continue
        whole = sum(weights[list(turn)].sum() for turn in turns)
        shares = np.array([weights[list(turn)].sum() for turn in turns]) / whole
        spread = float((shares**2).sum())  # what 1 / n becomes where weights differ
        slope = _slope(combiner, outputs, targets, turns)
        moved += slope * (spread / folds - spread)
    temperature = float(np.clip(np.exp(moved[0]), *TEMPERATURES))
    return combiner.calibrate(temperature, max(0.0, float(moved[1])))


def _blocks(turns: Sequence[Turn]) -> list[list[int]]:
    """Return the turns of a group as at most `MOST_BLOCKS`, of about as many turns each."""
    count = min(len(turns), MOST_BLOCKS)
    blocks: list[list[int]] = [[] for _ in range(count)]
    for number, turn in enumerate(turns):
        blocks[number % count] += turn
    return blocks


def _slope(combiner: Weighted, outputs: Outputs, targets: Array, turns: Sequence[Turn]) -> Floats:
    """Return the B (2,) of the parameters A + B / n, for the mean of n turns of a group."""
    count = len(turns)
    others = [[*turns[:left_out], *turns[left_out + 1 :]] for left_out in range(count)]
    every, *some = (
        _parameters(_with_turns(combiner, turns, kept), outputs, targets)
        for kept in (turns, *others)
    )
    slope: Floats = (np.mean(some, axis=0) - every) / (1 / (count - 1) - 1 / count)
    return slope


def _with_turns(combiner: Weighted, turns: Sequence[Turn], kept: Sequence[Turn]) -> Weighted:
    """Return a combiner that divides the weight of a group's turns equally over some of them."""
    weights = combiner.member_weights()
    whole = sum(weights[list(turn)].sum() for turn in turns)
    changed = weights.copy()
    for turn in turns:
        changed[list(turn)] = 0.0
    for turn in kept:
        own = weights[list(turn)]
        changed[list(turn)] = own / own.sum() * whole / len(kept)
    return replace(combiner, weights=tuple(changed / changed.sum()))


def _parameters(combiner: Weighted, outputs: Outputs, targets: Array) -> Floats:
    """Return the logarithm of the best temperature, and the best noise, (2,)."""
    plain, units = combiner.calibrate(1.0, 0.0).without_zero_weights()
    row_weights = np.full(len(targets), 1 / len(targets))
    best = outputs.of(units).combined(plain).best_calibration(targets, row_weights)
    return np.array([np.log(best.temperature), best.noise])
