"""Compiled gates of dropout and stochastic depth: numbers passed, scaled or set to zero.

Arrays are (M, R), a learner's numbers in a row; inputs may be (1, R) where all learners share them.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel

_WORDS = 2.0**32


@kernel
def drop(values: Floats, words: Integers, rate: Floats, factor: Floats, out: Floats) -> None:
    """out = factor (M,) * values, or 0 with probability rate (M,); out may be values.

    words (M, R or more) are random in [0, 2^32), so each rate is met to 2^-32.
    """
    learners, size = out.shape
    zero = out.dtype.type(0)
    for m in range(learners):
        own = values[min(m, len(values) - 1)]
        threshold, own_factor = np.uint32(rate[m] * _WORDS), factor[m]
        for r in range(size):
            value = own_factor * own[r]
            out[m, r] = value if words[m, r] >= threshold else zero


@kernel
def scale(values: Floats, factor: Floats, out: Floats) -> None:
    """out = factor (M,) * values."""
    learners, size = out.shape
    for m in range(learners):
        own, own_factor = values[min(m, len(values) - 1)], factor[m]
        for r in range(size):
            out[m, r] = own_factor * own[r]


@kernel
def add_gated(branch: Floats, shortcut: Floats, gates: Floats, out: Floats) -> None:
    """out = gates (M,) * branch + shortcut; a gate of 0 removes NaN too. out may be branch."""
    learners, size = out.shape
    for m in range(learners):
        own_branch = branch[min(m, len(branch) - 1)]
        own_shortcut, gate = shortcut[min(m, len(shortcut) - 1)], gates[m]
        if gate == 0:
            out[m] = own_shortcut
        else:
            for r in range(size):
                out[m, r] = gate * own_branch[r] + own_shortcut[r]
