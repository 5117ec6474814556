"""How long a command may take, and when its training ends for all that comes after it.

What comes after training is measured while there is time: predicting and combining by a rehearsal
on one untrained member, then by the members as they come. Writing the model and the report takes
about the same for every run; its seconds are those of an idle processor, and are multiplied by how
busy the processor was during the rehearsal. Pictures and MLflow have what is left then: pictures
are drawn, and MLflow is waited for, as long as there is time.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ensemble_pipe.core.durations import duration_text, parse_duration
from ensemble_pipe.core.errors import ConfigError

# Seconds of an idle processor, see docs/time_limit.md.
WRITING_S = 0.4  # the model and its predictions
LEAVING_S = 0.8  # the report, and the exit of this process and of Ray
EXIT_S = 0.5  # the exits alone
PICTURE_S = 0.3  # one picture
# Seconds for pictures and for MLflow, which may be short of time.
PICTURES_S, MLFLOW_S = 1.0, 1.5
# The least that training has, where a limit is accepted at all.
LEAST_TRAINING_S = 0.5
MOST_BUSY = 4.0


class TimeLimit:
    """When a command returns.

    Attributes:
        seconds: from its beginning; infinite where there is no limit.
        predicting_s, combining_s: what the ensemble will take, as far as it is known.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        *,
        writing_s: float = 0.0,
        showing_s: float = 0.0,
    ) -> None:
        """Begin.

        Args:
            seconds: of the limit.
            clock: clock() returns the seconds since the command began.
            writing_s: what follows the measuring of the ensemble takes on an idle processor.
            showing_s: what pictures and MLflow are given.
        """
        self.seconds = seconds
        self.predicting_s = self.combining_s = 0.0
        self._clock = clock
        self._writing_s, self._showing_s = writing_s, showing_s
        self._busy = 1.0

    @property
    def is_set(self) -> bool:
        """Whether there is a limit."""
        return self.seconds < math.inf

    @property
    def left_s(self) -> float:
        """Seconds left, below 0 when it has passed."""
        return self.seconds - self._clock() if self.is_set else math.inf

    @property
    def after_training_s(self) -> float:
        """What is reserved for all that comes after training."""
        return self.predicting_s + self.combining_s + self._rest_s

    @property
    def before_writing_s(self) -> float:
        """Seconds left for all that precedes writing, on an idle processor."""
        return self.left_s - self._writing_s - self._showing_s

    def ends_training(self) -> bool:
        """Return whether training is to end now, at the next step or round."""
        return self.left_s <= self.after_training_s

    def allows(self, seconds: float) -> bool:
        """Return whether what takes so long on an idle processor may be done before writing."""
        return self.left_s - self._rest_s >= self._busy * seconds

    def allows_picture(self) -> bool:
        """Return whether a further picture may be drawn, before the report is written."""
        return self.left_s >= self._busy * (PICTURE_S + LEAVING_S)

    @property
    def shipping_s(self) -> float:
        """Seconds left to wait for MLflow."""
        return max(0.0, self.left_s - self._busy * EXIT_S)

    @property
    def _rest_s(self) -> float:
        """What follows the measuring of the ensemble."""
        return self._busy * self._writing_s + self._showing_s

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Measure how busy the processor is: seconds that the block takes by those computed.

        Of several rehearsals the worst counts.
        """
        began, computed = time.perf_counter(), time.process_time()
        yield
        passed, computed = time.perf_counter() - began, time.process_time() - computed
        self._busy = min(max(self._busy, passed / max(computed, 1e-3)), MOST_BUSY)

    def require_start(self) -> None:
        """Check that something can be trained, once the data is read.

        Raises:
            ConfigError: what has passed and what comes after training take the whole limit.
        """
        rest_s = self._writing_s + self._showing_s
        least = rest_s + LEAST_TRAINING_S
        if self.left_s < least:
            passed = self.seconds - self.left_s
            raise ConfigError(
                f"time_limit: {duration_text(self.seconds)} is too short: the start has taken "
                f"{passed:.1f} s, and writing the ensemble takes about {rest_s:.1f} s; "
                f"take {duration_text(math.ceil(passed + least) + 1)} or more"
            )

    def too_short(self) -> str:
        """Return why there is no ensemble, when training ended before it began."""
        least = self._clock() + self.after_training_s + LEAST_TRAINING_S
        return (
            f"time_limit: {duration_text(self.seconds)} is too short: it ended before any learner "
            f"had taken a step, since {self.after_training_s:.1f} s of it are for combining and "
            f"writing; take {duration_text(math.ceil(least) + 1)} or more"
        )


NO_LIMIT = TimeLimit()


def seconds_of(value: float | str | None, default: float | None, name: str) -> float:
    """Return the seconds of a limit; infinite where there is none.

    Args:
        value: as the user gave it; None for the default.
        default: seconds; None for no limit.
        name: of the value, for the message.

    Raises:
        ConfigError: it is no duration.
    """
    if value is None:
        return math.inf if default is None else default
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None
