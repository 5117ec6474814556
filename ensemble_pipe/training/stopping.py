"""Early stopping: when a learner no longer improves, and which of its rows was best."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from ensemble_pipe.core.settings import settings

Metric = Literal["stop/loss", "stop/accuracy"]


class StoppingState(NamedTuple):
    """The state of a learner's early stopping.

    Attributes:
        best_value: of the metric so far; None before the first epoch ends.
        epochs_waited: epochs since then that brought no better one.
    """

    best_value: float | None = None
    epochs_waited: int = 0

    @property
    def improved(self) -> bool:
        """Whether the last epoch is the best so far."""
        return self.best_value is not None and self.epochs_waited == 0


@settings
class EarlyStopping:
    """Ends a learner's training once its metric has not improved for some epochs.

    Prechelt 1998, "Early stopping - but when?", criterion UP, on the stop part; the others of its
    stack go on.

    Attributes:
        metric: measured at the end of each epoch.
        patience: epochs without improvement after which the learner ends.
        min_change: the least change that counts as an improvement.
        restore_best: whether the member is the row of the best epoch, not of the last.
    """

    metric: Metric = "stop/loss"
    patience: Annotated[int, Ge(1)] = 5
    min_change: Annotated[float, Ge(0)] = 0.0
    restore_best: bool = True

    def observe(self, state: StoppingState, value: float) -> StoppingState:
        """Return the state after an epoch with this value of the metric.

        >>> EarlyStopping().observe(StoppingState(best_value=0.5), 0.75)
        StoppingState(best_value=0.5, epochs_waited=1)
        """
        sign = -1.0 if self.metric == "stop/accuracy" else 1.0
        best = state.best_value
        if best is None or sign * (best - value) > self.min_change:
            return StoppingState(value, 0)
        return StoppingState(best, state.epochs_waited + 1)

    def ends(self, state: StoppingState) -> bool:
        """Whether the learner has waited long enough."""
        return state.epochs_waited >= self.patience
