"""Randomness that is addressed, not consumed.

Every draw comes from a counter-based generator, Philox-4x64 (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3"), whose key says what the draw is for and whose counter says where in
training it stands. Nothing is carried from one draw to the next, so nothing has to be saved, and
no learner's draws depend on which others train beside it.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a draw is for. Numbers are part of every result: never reuse or reorder them."""

    INITIALIZE = 1
    ORDER = 2
    SPLIT = 3
    AUGMENT = 4
    VARY = 5


MAX_SEED = 2**63 - 1


def generator(
    root: int,
    purpose: Purpose,
    *,
    learner: int = 0,
    epoch: int = 0,
    step: int = 0,
    shard: int = 0,
) -> np.random.Generator:
    """Return the generator at one address.

    The 128-bit key is (root, purpose and learner); the upper three words of the 256-bit counter
    are (step, epoch, shard), which leaves 2**64 draws at each address.

    Args:
        root: seed of the run, 0 to `MAX_SEED`.
        purpose: what the draw is for.
        learner, epoch, step, shard: where it stands; 0 where it does not matter.
    """
    key = np.array([root, (int(purpose) << 40) | learner], dtype=np.uint64)
    counter = np.array([0, step, epoch, shard], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
