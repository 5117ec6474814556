"""Schedules of several cycles, each of whose ends may yield a member or an average.

Beside factor(step, total), which is as in `schedules`, each has ends(total): the numbers of steps
taken where its members stand, ascending; the last one is `total`.
"""

from bisect import bisect_right
from functools import lru_cache
from math import ceil, log2
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from ensemble_pipe.core.settings import settings
from ensemble_pipe.optim.schedules import half_cosine


@settings
class Snapshot:
    """Cosine cycles of equal length, for snapshots at the end of each.

    Huang et al. 2017, "Snapshot ensembles: train 1, get M for free", eq. 2:
    (1 + cos(pi mod(t - 1, L) / L)) / 2 with L = ceil(T / M), t counted from 1. The last cycle is
    shorter where M does not divide T. Where cycles of L steps would be fewer than M (6 of 2 steps
    in 10), the steps are divided as evenly as can be instead.

    >>> [round(Snapshot(cycles=2).factor(step, 4), 3) for step in range(4)]
    [1.0, 0.5, 1.0, 0.5]

    Attributes:
        cycles: M, the number of cycles.
    """

    name: Literal["snapshot"] = "snapshot"
    cycles: Annotated[int, Ge(1), Le(10_000)] = 5

    def factor(self, step: int, total: int) -> float:
        length = self._length(total)
        if length is None:
            share = _share_of_cycle(step, _cuts(total, self.cycles, 1.0))
        else:
            share = step % length / length
        return half_cosine(1.0, 0.0, share)

    def ends(self, total: int) -> list[int]:
        """Return the number of steps taken at the end of each cycle."""
        length = self._length(total)
        if length is None:
            return list(_cuts(total, self.cycles, 1.0))
        return [min(end, total) for end in range(length, total + length, length)]

    def _length(self, total: int) -> int | None:
        """Return L, or None where fewer cycles of so many steps fill the training."""
        length = ceil(total / self.cycles)
        return length if length * (self.cycles - 1) < total else None


@settings
class SGDR:
    """Cosine cycles with warm restarts, each `t_mult` times as long as the one before.

    minimum + (1 - minimum) (1 + cos(pi T_cur / T_i)) / 2, with T_cur steps since the restart and
    T_i steps in the cycle: Loshchilov & Hutter 2017, "SGDR", eq. 5; PyTorch's
    CosineAnnealingWarmRestarts. The number of cycles is given and the first length T_0 follows, so
    that the last cycle ends with the training: T_0 = total (t_mult - 1) / (t_mult**cycles - 1).

    >>> schedule = SGDR(cycles=2, t_mult=2.0)
    >>> schedule.ends(total=6)
    [2, 6]
    >>> [round(schedule.factor(step, 6), 3) for step in range(6)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146]

    Attributes:
        cycles: how many.
        t_mult: length of a cycle over that of the one before it.
        minimum: factor at the end of a cycle.
    """

    name: Literal["sgdr"] = "sgdr"
    cycles: Annotated[int, Ge(1), Le(100)] = 3
    t_mult: Annotated[float, Ge(1), Le(10)] = 2.0
    minimum: Annotated[float, Ge(0), Lt(1)] = 0.0

    def factor(self, step: int, total: int) -> float:
        share = _share_of_cycle(step, _cuts(total, self.cycles, self.t_mult))
        return half_cosine(1.0, self.minimum, share)

    def ends(self, total: int) -> list[int]:
        """Return the number of steps taken at the end of each cycle."""
        return list(_cuts(total, self.cycles, self.t_mult))


@settings
class CosLog:
    """Up from zero and down to it again, cycle after cycle, each twice as long as the one before.

    (1 - cos(2 pi log2(1 + (2**cycles - 1) step / total))) / 2: `coslog` of Holzmueller, Grinsztajn
    & Steinwart 2024, "Better by default", eq. 3, which has four cycles.

    >>> [round(CosLog(cycles=2).factor(step, 12), 3) for step in range(0, 13, 2)]
    [0.0, 0.93, 0.0, 0.718, 0.93, 0.324, 0.0]

    Attributes:
        cycles: how many.
    """

    name: Literal["cos_log"] = "cos_log"
    cycles: Annotated[int, Ge(1), Le(20)] = 4

    def factor(self, step: int, total: int) -> float:
        place = log2(1.0 + (2.0**self.cycles - 1.0) * step / total)
        return half_cosine(0.0, 1.0, 2.0 * place)

    def ends(self, total: int) -> list[int]:
        """Return the number of steps taken at the end of each cycle."""
        return list(_cuts(total, self.cycles, 2.0))


@settings
class Triangular:
    """Straight up from `low` to the full rate and straight down again, cycle after cycle.

    low + (1 - low) (1 - abs(2 x - 1)) at the share x of a cycle: Smith 2017, "Cyclical learning
    rates for training neural networks", section 3.1, the policy `triangular`; PyTorch's CyclicLR
    with step_size_up of half a cycle.

    >>> [Triangular(cycles=2, low=0.5).factor(step, 8) for step in range(5)]
    [0.5, 0.75, 1.0, 0.75, 0.5]

    Attributes:
        cycles: how many.
        low: lowest factor; the paper has a third or a quarter.
    """

    name: Literal["triangular"] = "triangular"
    cycles: Annotated[int, Ge(1), Le(10_000)] = 4
    low: Annotated[float, Ge(0), Lt(1)] = 0.25

    def factor(self, step: int, total: int) -> float:
        share = _share_of_cycle(step, _cuts(total, self.cycles, 1.0))
        return self.low + (1.0 - self.low) * (1.0 - abs(2.0 * share - 1.0))

    def ends(self, total: int) -> list[int]:
        """Return the number of steps taken at the end of each cycle."""
        return list(_cuts(total, self.cycles, 1.0))


@settings
class FastGeometric:
    """Short triangles at the end of a training, for members that lie on one low path.

    Garipov et al. 2018, "Loss surfaces, mode connectivity, and fast ensembling of DNNs", section 4:
    with t = (mod(i - 1, c) + 1) / c at the i-th step of the triangles, the factor is
    (1 - 2 t) alpha_1 + 2 t alpha_2 up to t = 1/2, and (2 - 2 t) alpha_2 + (2 t - 1) alpha_1 after.
    A member stands at each t = 1/2, where the factor is alpha_2. The length c is an even number of
    steps such that the last member stands at the end of the training.

    Before `start` the factor is 1 for the first half, then falls on a straight line to alpha_1.

    >>> schedule = FastGeometric(start=0.5, members=2, alpha_1=0.5, alpha_2=0.1)
    >>> schedule.ends(total=12)
    [8, 12]
    >>> [round(schedule.factor(step, 12), 2) for step in range(12)]
    [1.0, 1.0, 1.0, 1.0, 0.83, 0.67, 0.3, 0.1, 0.3, 0.5, 0.3, 0.1]

    Attributes:
        start: share of the training before the triangles; a few steps more where c does not fit.
        members: how many triangles have their middle.
        alpha_1, alpha_2: highest and lowest factor of a triangle.
    """

    name: Literal["fast_geometric"] = "fast_geometric"
    start: Annotated[float, Ge(0), Lt(1)] = 0.75
    members: Annotated[int, Ge(1), Le(10_000)] = 5
    alpha_1: Annotated[float, Gt(0)] = 0.5
    alpha_2: Annotated[float, Gt(0)] = 0.005

    def factor(self, step: int, total: int) -> float:
        half, begin = self._half_cycle(total)
        if step < begin:
            way = max(0.0, 2.0 * step / begin - 1.0)
            return 1.0 + way * (self.alpha_1 - 1.0)
        # Half cycles from the nearest middle: 0 there, 1 at alpha_1.
        place = (total - 1 - step) % (2 * half)
        away = min(place, 2 * half - place) / half
        return self.alpha_2 + away * (self.alpha_1 - self.alpha_2)

    def ends(self, total: int) -> list[int]:
        """Return the number of steps taken at the middle of each triangle."""
        half, begin = self._half_cycle(total)
        return list(range(total, begin, -2 * half))[::-1]

    def _half_cycle(self, total: int) -> tuple[int, int]:
        """Return c / 2 and the number of steps before the triangles."""
        halves = 2 * self.members - 1
        half = max(1, (total - round(self.start * total)) // halves)
        return half, max(0, total - halves * half)


@lru_cache
def _cuts(total: int, cycles: int, growth: float) -> tuple[int, ...]:
    """Return where cycles, each `growth` times as long as the last, end.

    Each has a step at least; where there are fewer steps than cycles, each step is one.
    """
    if cycles >= total:
        return tuple(range(1, total + 1))
    lengths = [growth**cycle for cycle in range(cycles)]
    whole, passed, ends = sum(lengths), 0.0, [0]
    for later, length in zip(range(cycles - 1, -1, -1), lengths, strict=True):
        passed += length
        ends.append(min(max(round(total * passed / whole), ends[-1] + 1), total - later))
    return tuple(ends[1:])


def _share_of_cycle(step: int, ends: tuple[int, ...]) -> float:
    """Return the share of its cycle that lies before a step."""
    cycle = bisect_right(ends, step)
    start = ends[cycle - 1] if cycle else 0
    return (step - start) / (ends[cycle] - start)
