"""Schedules: a learner's learning rate over its steps, as a factor of its `learning_rate`.

Each has factor(step, total): `step` counts from 0, `total` is the number of steps of the whole
training.
"""

from math import ceil, cos, pi
from typing import Annotated, Literal

from annotated_types import Ge

from ensemble_pipe.settings import settings


@settings
class Constant:
    """The same rate at every step.

    >>> Constant().factor(step=7, total=10)
    1.0
    """

    name: Literal["constant"] = "constant"

    def factor(self, step: int, total: int) -> float:
        return 1.0


@settings
class Cosine:
    """From the full rate to zero along half a cosine: (1 + cos(pi step / total)) / 2.

    Loshchilov & Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", eq. 5,
    with one cycle and a minimum of zero.

    >>> [round(Cosine().factor(step, 4), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    name: Literal["cosine"] = "cosine"

    def factor(self, step: int, total: int) -> float:
        return (1.0 + cos(pi * step / total)) / 2.0


@settings
class Snapshot:
    """Cosine cycles of equal length, for snapshots at the end of each.

    Huang et al. 2017, "Snapshot ensembles: train 1, get M for free", eq. 2:
    (1 + cos(pi mod(t - 1, L) / L)) / 2 with L = ceil(T / M), t counted from 1.

    >>> [round(Snapshot(cycles=2).factor(step, 4), 3) for step in range(4)]
    [1.0, 0.5, 1.0, 0.5]

    Attributes:
        cycles: M, the number of cycles.
    """

    name: Literal["snapshot"] = "snapshot"
    cycles: Annotated[int, Ge(1)] = 5

    def factor(self, step: int, total: int) -> float:
        length = self.cycle_steps(total)
        return (1.0 + cos(pi * (step % length) / length)) / 2.0

    def cycle_steps(self, total: int) -> int:
        """Return L, the steps of one cycle; the last one is shorter where M does not divide T."""
        return ceil(total / self.cycles)

    def ends(self, total: int) -> list[int]:
        """Return the number of steps taken at the end of each cycle."""
        length = self.cycle_steps(total)
        return [min(end, total) for end in range(length, total + length, length)]
