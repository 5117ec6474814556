"""How many independently trained members an ensemble is worth."""

from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats


class Equivalent(NamedTuple):
    """Numbers of members of a deep ensemble, 1 to K; 1 means at most one, K at least K.

    Attributes:
        members: where the mean deep ensemble is as good.
        low, high: where one that is a standard deviation better, or worse, than the mean is.
    """

    members: float
    low: float
    high: float


def deep_ensemble_equivalent(nll: float, deep_ensembles: Floats) -> Equivalent:
    """Return the size at which deep ensembles first reach an NLL, between sizes by straight lines.

    The deep-ensemble-equivalent score (Ashukha et al. 2020). Its values are to be
    compared after a temperature of their own was fitted to each, on rows that measure none of them.

    Args:
        nll: of the ensemble that is judged, in nats.
        deep_ensembles: NLLs (S, K) on the same rows, of ensembles of 1, 2, ... K independently
            trained networks, from S repetitions; one repetition has no spread.

    >>> round(deep_ensemble_equivalent(0.24, np.array([[0.30, 0.25, 0.23]])).members, 6)
    2.5
    """
    mean = deep_ensembles.mean(axis=0)
    spread = deep_ensembles.std(axis=0, ddof=1) if len(deep_ensembles) > 1 else 0.0 * mean
    return Equivalent(*(_first_size(nll, curve) for curve in (mean, mean - spread, mean + spread)))


def _first_size(nll: float, curve: Floats) -> float:
    """Return the smallest size, 1 to K, at which a curve (K,) over sizes comes down to an NLL."""
    reached = np.flatnonzero(curve <= nll)
    if len(reached) == 0:
        return float(len(curve))
    last = int(reached[0])
    if last == 0:
        return 1.0
    return last + float((curve[last - 1] - nll) / (curve[last - 1] - curve[last]))
