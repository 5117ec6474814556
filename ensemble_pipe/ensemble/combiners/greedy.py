"""Greedy selection of members with replacement, and the best k."""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.ensemble.combiners.likelihood import Likelihood

BAGS = 10
_SMALLEST_BAG = 5  # members
_SORTED = 5  # at most so many of the best members begin a selection
_ROUNDS = 100
_TRIED = 10  # members in a round
_LEAST_GAIN = 1e-5  # in nats


def greedy_weights(likelihood: Likelihood, random: np.random.Generator) -> Floats:
    """Return the weights (K,) of greedy selection with replacement (Caruana et al. 2004).

    A selection begins with the best members, as many of up to five as have the lowest NLL
    together, and adds whichever member, one already in it or not, lowers the NLL most, until none
    does by 1e-5 nats; of many members the ten that the gradient promises most of are tried. The
    weights are the mean over `BAGS` selections, each from a random half of the members, but from no
    fewer than five.

    Args:
        likelihood: of K members.
        random: draws the bags.
    """
    members = likelihood.members
    size = min(members, max((members + 1) // 2, _SMALLEST_BAG))
    weights, alone = np.zeros(members), likelihood.each()
    for _ in range(BAGS if size < members else 1):
        bag = np.sort(random.permutation(members)[:size])
        counts = _climb(likelihood.of(bag), alone[bag])
        weights[bag] += counts / counts.sum()
    weights /= weights.sum()
    return weights


def top_k(scores: Floats, k: int) -> Integers:
    """Return the places, ascending, of the k lowest of scores (K,), such as validation NLLs.

    Of equal scores the first ones are taken.

    Raises:
        ConfigError: k is not in 1 to K.
    """
    if not 1 <= k <= len(scores):
        raise ConfigError(f"cannot take the best {k} of {len(scores)} members: 1 is the least")
    return np.sort(np.argsort(scores, kind="stable")[:k])


def _climb(likelihood: Likelihood, alone: Floats) -> Integers:
    """Return how often (K,) each member is selected, from the NLL (K,) of each alone."""
    counts = _sorted_start(likelihood, alone)
    current = likelihood.at(counts / counts.sum())
    room = np.empty_like(likelihood.statistics[:, 0])
    for total in range(counts.sum() + 1, _ROUNDS + 1):
        weights = counts / counts.sum()
        sums = likelihood.totals(counts.astype(np.float64))
        tried = np.arange(len(counts))
        if len(counts) > _TRIED:
            tried = np.argsort(-likelihood.promise(weights), kind="stable")[:_TRIED]
        added = (np.add(sums, likelihood.statistics[:, place], out=room) for place in tried)
        after = [likelihood.nll(np.divide(more, total, out=room)) for more in added]
        best = int(np.argmin(after))
        if current - after[best] < _LEAST_GAIN:
            break
        counts[tried[best]] += 1
        current = after[best]
    return counts


def _sorted_start(likelihood: Likelihood, alone: Floats) -> Integers:
    """Return counts (K,): 1 for the best members that have the lowest NLL together."""
    order = np.argsort(alone, kind="stable")[:_SORTED]
    starts = np.cumsum(np.eye(likelihood.members, dtype=np.int64)[order], axis=0)
    return min(starts, key=lambda counts: likelihood.at(counts / counts.sum()))
