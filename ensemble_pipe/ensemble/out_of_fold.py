"""Out-of-fold predictions beside a validation part, of groups with as many folds as learners.

Stone 1974, "Cross-validatory choice and assessment of statistical predictions"; as what a combiner
is fitted to: Wolpert 1992, "Stacked generalization".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.members import Member, member_outputs

# Learners that left out one fold each, as many as there are folds.
FoldGroup = tuple[int, ...]


class OutOfFold(NamedTuple):
    """Out-of-fold predictions of groups of cross-validated learners.

    Attributes:
        groups: the members of each of G groups, which together leave out every fold.
        outputs: (G, R, O) of `member_outputs`, each row by the members that left it out.
        targets: (R,) or (R, D).
        row_groups: (R,) where rows have groups.
        rows: (R,) their places in the training part; None for all of its rows.
    """

    groups: Sequence[tuple[Member, ...]]
    outputs: Floats
    targets: Array
    row_groups: Integers | None
    rows: Integers | None = None


def left_out_messages(groups: Sequence[FoldGroup], members: Sequence[Member]) -> list[str]:
    """Return warnings on groups some of whose folds are missing, where these are the evidence.

    Args:
        groups: learners of each group.
        members: that there are.
    """
    there = {member.learner for member in members}
    if not any(there >= set(group) for group in groups):
        return ["no group has all of its folds, so members are combined by the validation part"]
    messages = []
    for group in groups:
        missing = sorted(set(group) - there)
        if missing:
            one = "learner" if len(missing) == 1 else "learners"
            messages.append(
                f"learners {group[0]} to {group[-1]} are left out of the ensemble: without the "
                f"folds of {one} {', '.join(map(str, missing))} nobody predicts some rows"
            )
    return messages


def out_of_fold(
    groups: Sequence[FoldGroup],
    members: Sequence[Member],
    schema: Schema,
    data: TrainingData,
    draws: PredictionDraws,
) -> OutOfFold | None:
    """Return the predictions of the groups all of whose learners are members; None for no group."""
    by_learner = {member.learner: member for member in members}
    whole = [group for group in groups if by_learner.keys() >= set(group)]
    if not whole:
        return None
    train = data.part("train")
    outputs = []
    for group in whole:
        fold = data.fold_of(len(group))
        own: Floats | None = None
        for learner in group:
            reads = draws.reads(train, schema.spans)
            (said,) = member_outputs([by_learner[learner]], schema, reads, train.rows)
            own = np.empty_like(said) if own is None else own
            here = fold == learner % len(group)
            own[here] = said[here]
        outputs.append(own)
    return OutOfFold(
        tuple(tuple(by_learner[learner] for learner in group) for group in whole),
        np.stack([own for own in outputs if own is not None]),
        train.targets,
        data.row_groups("train"),
    )
