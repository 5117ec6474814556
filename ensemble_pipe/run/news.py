"""What a run says to its display of itself, beside the events of its learners."""

from collections.abc import Callable
from dataclasses import dataclass

from ensemble_pipe.ensemble.prediction import Metrics


@dataclass(frozen=True)
class Stage:
    """A stage other than training begins, such as "combining".

    Attributes:
        after_training: whether all training has ended.
    """

    name: str
    after_training: bool = False


@dataclass(frozen=True)
class Expected:
    """How long the run will take when its training has ended.

    Attributes:
        seconds: that what comes after training takes, as far as that is known.
        most_s: seconds from now to the time limit; infinite without one.
    """

    seconds: float
    most_s: float


@dataclass(frozen=True)
class Grown:
    """The ensemble has further members; `measure` computes its metrics on the validation part."""

    members: int
    measure: Callable[[], Metrics]


News = Stage | Expected | Grown
