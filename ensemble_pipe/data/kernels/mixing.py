"""Compiled mixing of the rows of a batch."""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel


@kernel
def blend(originals: Floats, partners: Integers, shares: Floats, out: Floats) -> None:
    """out (N, S) = shares (N,) of the row itself and the rest of originals (N, S) [partners (N,)].

    Rows whose share is 1 are left as they are.
    """
    rows, size = originals.shape
    for n in range(rows):
        if shares[n] < 1:
            own, partner = originals[n], originals[partners[n]]
            kept = out.dtype.type(shares[n])
            given = out.dtype.type(1 - shares[n])
            for i in range(size):
                out[n, i] = kept * own[i] + given * partner[i]


@kernel
def paste(originals: Floats, partners: Integers, boxes: Integers, out: Floats) -> None:
    """out (N, H, S) gets in boxes (4, N) what originals (N, H, S) [partners (N,)] has there.

    A box is its top, bottom, left and right; bottom and right are outside of it.
    """
    for n in range(out.shape[0]):
        top, bottom, left, right = boxes[0, n], boxes[1, n], boxes[2, n], boxes[3, n]
        for y in range(top, bottom):
            own, partner = out[n, y], originals[partners[n], y]
            for s in range(left, right):
                own[s] = partner[s]


@kernel
def blend_targets(
    partners: Integers,
    shares: Floats,
    old: Floats,
    old_weights: Floats,
    out: Floats,
    weights: Floats,
) -> None:
    """Mix targets (N, T) and weights (N,) so that losses linear in the target are mixed.

    weights = l w_n + (1 - l) w_p and out = (l w_n t_n + (1 - l) w_p t_p) / weights, where l is
    shares[n], p partners[n], w old_weights and t old. A row of weight 0 keeps its target.
    """
    for n in range(out.shape[0]):
        if shares[n] < 1:
            p = partners[n]
            own = shares[n] * np.float64(old_weights[n])
            total = own + (1 - shares[n]) * np.float64(old_weights[p])
            weights[n] = total
            if total > 0:
                kept = own / total
                for t in range(out.shape[1]):
                    out[n, t] = kept * old[n, t] + (1 - kept) * old[p, t]
