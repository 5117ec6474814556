"""Pruning: which trials of a search are trained no further, from their first epochs.

All trials of a batch are trained to an epoch, then compared, and those that are left go on. What is
decided depends on the trials alone, not on which trainer is faster, so a search that prunes has one
result too.
"""

from collections.abc import Mapping, Sequence
from math import ceil, inf

import numpy as np

from ensemble_pipe.config.search_settings import Pruning, Search
from ensemble_pipe.config.sections import Training
from ensemble_pipe.core import metrics as scores
from ensemble_pipe.search.spaces import paths_of

FACTOR = 3
_GOLDEN = 0.6180339887498949

# The lowest loss of each trial up to some epoch, by trial.
Losses = Mapping[int, float]


def rungs(pruning: Pruning | None, epochs: int) -> list[int]:
    """Return the epochs, ascending, after which trials of at most `epochs` epochs are compared."""
    if pruning is None:
        return []
    if pruning == "median":
        return [2**power for power in range(epochs.bit_length()) if 2**power < epochs]
    return sorted({epochs // FACTOR**power for power in range(1, _most_halvings(epochs) + 1)})


def survivors(
    pruning: Pruning, epochs: int, epoch: int, going: Sequence[int], losses: Losses, least: int
) -> set[int]:
    """Return the trials that go on after an epoch.

    Args:
        pruning: the rule.
        epochs: of the longest trial.
        epoch: after which they are compared, one of `rungs`.
        going: trials that are trained.
        losses: of these, of trials that have finished, and of earlier ones that were compared here.
        least: how many of all trials go on at least.
    """
    if pruning == "hyperband":
        brackets = {trial: bracket(trial, epochs) for trial in losses}
        return {
            trial
            for level in sorted(set(brackets.values()))
            for trial in _of_bracket(level, brackets, epochs, epoch, going, losses, least)
        }
    share = 2 if pruning == "median" else FACTOR
    return set(going) & _best(losses, max(least, ceil(len(losses) / share)))


def _of_bracket(
    level: int,
    brackets: Mapping[int, int],
    epochs: int,
    epoch: int,
    going: Sequence[int],
    losses: Losses,
    least: int,
) -> set[int]:
    own = {trial: loss for trial, loss in losses.items() if brackets[trial] == level}
    begins = epochs // FACTOR**level
    if level == 0 or epoch < begins:
        return set(going) & own.keys()
    return set(going) & _best(own, max(least, ceil(len(own) / FACTOR)))


def bracket(trial: int, epochs: int) -> int:
    """Return the bracket of a trial: how often it is compared with others (Li et al. 2018).

    Brackets have trials in proportion to the sizes of Hyperband's, in turn.
    """
    most = _most_halvings(epochs)
    sizes = np.array([ceil((most + 1) / (s + 1) * FACTOR**s) for s in range(most, -1, -1)])
    place = ((trial + 1) * _GOLDEN) % 1.0  # evenly, in every part of the sequence
    return most - int(np.searchsorted(np.cumsum(sizes) / sizes.sum(), place, side="right"))


def compared_by(search: Search, training: Training) -> str:
    """Return the metric of the stop part that trials are compared by.

    It is that of the search where every trial measures it there, since early stopping does.
    """
    own, stopping = f"stop/{search.metric}", training.early_stopping
    varies = any(path.startswith("training.early_stopping") for path in paths_of(search))
    if stopping is not None and stopping.metric == own and not varies:
        return own
    return "stop/accuracy" if search.metric in scores.MAXIMIZED else "stop/loss"


def loss_of(metrics: Mapping[str, float | None], name: str) -> float:
    """Return a metric of an epoch as what is to be low; infinity where it is not defined."""
    value = metrics.get(name)
    if value is None:
        return inf
    return scores.loss_of(name.removeprefix("stop/"), value)


def _most_halvings(epochs: int) -> int:
    """Return how often `epochs` can be divided by the factor, down to one epoch."""
    return int(np.log(epochs) / np.log(FACTOR) + 1e-9)


def _best(losses: Losses, count: int) -> set[int]:
    return set(sorted(losses, key=lambda trial: (losses[trial], trial))[:count])
