"""How learners come to differ.

`vary` gives each learner its own value of any hyperparameter. A list goes round in turn: learner i
takes item i modulo its length. A range is drawn at the learner's own address, so adding learners
leaves the earlier ones as they were.
"""

from collections.abc import Mapping, Sequence
from math import exp, floor, log
from typing import Annotated, Any, Literal

from annotated_types import Ge, MinLen

from ensemble_pipe import seeds
from ensemble_pipe.settings import settings


@settings
class Range:
    """Numbers between two bounds.

    Attributes:
        low, high: the bounds.
        scale: linear, or log for equal chances per factor.
        integer: whether to round down to whole numbers; `high` is then included.
    """

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    integer: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a log range needs low above 0, got {self.low}")

    def at(self, share: float) -> float | int:
        """Return the number at a share, 0 to 1, of the way from low to high."""
        high = self.high + 1 if self.integer else self.high
        if self.scale == "log":
            value = exp(log(self.low) + share * (log(high) - log(self.low)))
        else:
            value = self.low + share * (high - self.low)
        value = min(max(value, self.low), high)  # exp(log(x)) may lie beside x
        return min(floor(value), int(self.high)) if self.integer else value


Choices = Annotated[tuple[Any, ...], MinLen(1)]
Vary = Mapping[str, Range | Choices]


@settings
class Strategy:
    """How many learners, and what each yields.

    Attributes:
        strategy: "independent": each learner, from its own initialisation and its own order of the
            data, yields one member (Lakshminarayanan et al. 2017). "snapshot": each yields a member
            at the end of every cycle of a snapshot schedule (Huang et al. 2017).
        learners: how many.
        vary: hyperparameters that differ, by their path in the pipeline.
    """

    strategy: Literal["independent", "snapshot"] = "independent"
    learners: Annotated[int, Ge(1)] = 5
    vary: dict[str, Range | Choices] | None = None


def varied_values(vary: Vary, learner: int, seed: int) -> dict[str, Any]:
    """Return what `vary` gives to one learner, by path in the pipeline."""
    return {
        path: _value(values, learner, seed, index)
        for index, (path, values) in enumerate(sorted(vary.items()))
    }


def _value(values: Range | Sequence[Any], learner: int, seed: int, index: int) -> Any:
    if isinstance(values, Range):
        random = seeds.generator(seed, seeds.Purpose.VARY, learner=learner, shard=index)
        return values.at(random.random())
    return values[learner % len(values)]
