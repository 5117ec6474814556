"""Randomness that is addressed, not consumed.

Every draw comes from a counter-based generator, Philox-4x64 (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3"), whose key is the purpose of the draw and whose counter is its
position in training. No state is carried from one draw to the next, so none has to be saved, and no
learner's draws depend on which others train beside it.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any
from zlib import crc32

import numpy as np


class Purpose(IntEnum):
    """The purpose of a draw. Numbers determine every result: never reuse or reorder them."""

    INITIALIZE = 1
    ORDER = 2
    SPLIT = 3
    AUGMENT = 4
    VARY = 5
    LAYER = 6
    VIEW = 7
    FOLD = 8
    FEATURES = 9
    MIX = 10
    TEST_TIME = 11
    MC_DROPOUT = 12
    COMBINE = 13
    ESTIMATOR = 14
    BOOTSTRAP = 15
    QUANTILE_NOISE = 16
    TARGET_SCALE = 17
    BASELINE = 20
    PERMUTATION = 21
    SEARCH = 22
    START = 23


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
        purpose: of the draw.
        learner, epoch, step, shard: its position in training; 0 where not applicable.
    """
    key = np.array([root, (int(purpose) << 40) | learner], dtype=np.uint64)
    counter = np.array([0, step, epoch, shard], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


class Draws:
    """The generators of several learners, repositioned for each draw instead of constructed.

    Constructing a generator takes three times as long as setting its state, which is a noticeable
    part of a small network's step.
    """

    def __init__(
        self, root: int, purpose: Purpose, learners: Sequence[int], *, epoch: int = 0
    ) -> None:
        self._generators = [generator(root, purpose, learner=learner) for learner in learners]
        self._states: list[Any] = [g.bit_generator.state for g in self._generators]
        self._places: dict[str, int] = {}
        self._epoch = epoch

    def at(self, step: int, name: str) -> list[np.random.Generator]:
        """Return each learner's generator at (step, name), to be used up before the next call.

        Args:
            step: of training.
            name: of the component that draws; its CRC-32 is the counter's word for the shard.
        """
        if name not in self._places:
            self._places[name] = crc32(name.encode())
        for random, state in zip(self._generators, self._states, strict=True):
            counter = state["state"]["counter"]
            counter[:] = (0, step, self._epoch, self._places[name])
            random.bit_generator.state = state
        return self._generators
