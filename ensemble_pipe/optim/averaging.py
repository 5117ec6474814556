"""Weight averaging: one member from many points of a training.

An averaging is frozen settings of one learner; `StackedAverage` keeps the averages of M learners in
slots (M, P), arrays as long as a row. The k-th row that is collected enters slot (k - 1) mod S of
the S slots with some share, and the average is the mean of the slots that are filled. How many rows
have been collected follows from the number of steps taken, so the slots are all that a checkpoint
must hold. The whole row is averaged, also its statistics, such as batch norm's, which the training
loop then measures anew.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings
from ensemble_pipe.optim.kernels import averages


@dataclass(frozen=True)
class Calendar:
    """When a learner's training, epochs and cycles end.

    Attributes:
        total: number of steps of the whole training.
        epoch_ends, cycle_ends: numbers of steps taken at each end, ascending; see `cycle_ends` of
            `optim`.
    """

    total: int
    epoch_ends: tuple[int, ...]
    cycle_ends: tuple[int, ...] = ()


class WeightAverage(ABC):
    """The settings of one learner's average.

    Attributes:
        name: of its kind, as pipelines write it.
        numbers: fields that may differ between the learners of a stack.
    """

    numbers: ClassVar[tuple[str, ...]] = ()
    name: str

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays (M, P) that it keeps."""
        return (self.name,)

    @abstractmethod
    def stops(self, calendar: Calendar) -> Sequence[int]:
        """Return the numbers of steps taken where a row is collected, ascending.

        Raises:
            ValueError: the training has no such ends.
        """

    @abstractmethod
    def share(self, count: int) -> float:
        """Return the weight of the count-th row beside the average of those before it."""


@settings
class EMA(WeightAverage):
    """Exponential moving average of the weights of every step.

    After t steps sum_i decay**(t - i) w_i / sum_i decay**(t - i), i from 1 to t: as in
    `torch.optim.swa_utils` with `get_ema_multi_avg_fn`, but with the bias correction of Kingma &
    Ba 2015, section 3, so that the first step weighs no more than its share.

    >>> [round(EMA(decay=0.5).share(count), 3) for count in (1, 2, 3)]
    [1.0, 0.667, 0.571]

    Attributes:
        decay: weight of a step over that of the step after it; about 1 / (1 - decay) steps count.
    """

    name: Literal["ema"] = "ema"
    decay: Annotated[float, Gt(0), Lt(1)] = 0.999

    numbers = ("decay",)

    def stops(self, calendar: Calendar) -> Sequence[int]:
        return range(1, calendar.total + 1)

    def share(self, count: int) -> float:
        return float((1.0 - self.decay) / (1.0 - self.decay**count))


@settings
class Polyak(WeightAverage):
    """Mean of the weights of every step in the last part of a training.

    Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging", section 2. Kept
    as a running mean in the type of the rows; in float32 it was within 2e-5 of the weights' size
    after 50,000 steps.

    Attributes:
        start: share of the training before the first step that counts.
    """

    name: Literal["polyak"] = "polyak"
    start: Annotated[float, Ge(0), Lt(1)] = 0.5

    numbers = ("start",)

    def stops(self, calendar: Calendar) -> Sequence[int]:
        return range(int(self.start * calendar.total) + 1, calendar.total + 1)

    def share(self, count: int) -> float:
        return 1.0 / count


@settings
class SWA(WeightAverage):
    """Stochastic weight averaging: mean of the weights at ends of epochs or of cycles.

    Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization",
    alg. 1.

    Attributes:
        start: share of the training before the first end that counts.
        at: whether weights are averaged at the ends of epochs or of cycles; cycles need a schedule
            that has some.
        every: 1 for each end, 2 for every other one, and so on, back from the last.
    """

    name: Literal["swa"] = "swa"
    start: Annotated[float, Ge(0), Lt(1)] = 0.75
    at: Literal["epoch", "cycle"] = "epoch"
    every: Annotated[int, Ge(1)] = 1

    numbers = ("start", "every")

    def stops(self, calendar: Calendar) -> Sequence[int]:
        ends = calendar.epoch_ends if self.at == "epoch" else calendar.cycle_ends
        if not ends:
            raise ValueError(f"averaging at the end of each {self.at}: the training has none")
        late = [end for end in ends if end > self.start * calendar.total]
        return late[:: -self.every][::-1]

    def share(self, count: int) -> float:
        return 1.0 / count


@settings
class Last(WeightAverage):
    """Mean of the weights at the ends of the last epochs.

    Vaswani et al. 2017, "Attention is all you need", section 6.1, averages its last checkpoints.

    Attributes:
        epochs: how many; each takes a slot.
    """

    name: Literal["last"] = "last"
    epochs: Annotated[int, Ge(1), Le(100)] = 5

    @property
    def slots(self) -> tuple[str, ...]:
        return tuple(f"last_{place}" for place in range(self.epochs))

    def stops(self, calendar: Calendar) -> Sequence[int]:
        return calendar.epoch_ends

    def share(self, count: int) -> float:
        """Return 1: each row takes the place of the oldest."""
        return 1.0


Averaging = EMA | Polyak | SWA | Last

AVERAGES: Registry[Averaging] = Registry("averaging", Averaging)


class StackedAverage:
    """Averages of M learners, each with its own numbers.

    Attributes:
        slots: (M, P) each, by name; zeros before the first step.
    """

    def __init__(
        self,
        averagings: Sequence[Averaging],
        slots: dict[str, Floats],
        calendars: Sequence[Calendar],
    ) -> None:
        """Lay M learners side by side.

        Args:
            averagings: of each learner, all of one kind and with the same slots.
            slots: an array (M, P) for each of them.
            calendars: of each learner.

        Raises:
            ValueError: learners differ in kind or slots, or one collects at cycles and has none.
        """
        if len({averaging.slots for averaging in averagings}) != 1:
            raise ValueError("learners of one stack must share their kind of weight averaging")
        self.slots = slots
        self._names = averagings[0].slots
        # Learners that average alike, as most stacks' do, are asked for their shares once.
        pairs = list(zip(averagings, calendars, strict=True))
        distinct = list(dict.fromkeys(pairs))
        self._which = [distinct.index(pair) for pair in pairs]
        self._kinds = [averaging for averaging, _ in distinct]
        self._stops = [averaging.stops(calendar) for averaging, calendar in distinct]

    def update(self, rows: Floats, step: int) -> None:
        """Collect rows (M, P), in place; to be called after each step.

        Args:
            rows: as the step left them.
            step: how many steps were taken, this one among them.
        """
        counts = [_collected(stops, step) for stops in self._stops]
        if not any(counts):
            return
        for place, name in enumerate(self._names):
            shares = [
                kind.share(count) if count and (count - 1) % len(self._names) == place else 0.0
                for kind, count in zip(self._kinds, counts, strict=True)
            ]
            if any(shares):
                own = np.array([shares[which] for which in self._which])
                averages.approach(self.slots[name], rows, own)

    def average(self, rows: Floats, step: int) -> Floats:
        """Return the averages (M, P) once `step` steps are taken.

        A learner that has not collected any row yet has its own, from `rows`.
        """
        result = rows.copy()
        for m, which in enumerate(self._which):
            held = self._names[: bisect_right(self._stops[which], step)]
            if held:
                result[m] = np.mean([self.slots[name][m] for name in held], 0, np.float64)
        return result


def _collected(stops: Sequence[int], step: int) -> int:
    """Return how many rows are collected with that of `step`; 0 where it is not collected."""
    count = bisect_right(stops, step)
    return count if count and stops[count - 1] == step else 0
