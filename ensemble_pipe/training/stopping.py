"""Early stopping: when a learner no longer improves, and which of its rows was best."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from ensemble_pipe.core.metrics import loss_of
from ensemble_pipe.core.settings import settings

STOP_LOSS = "stop/loss"
StopMetric = Literal[
    "stop/loss",
    "stop/accuracy",
    "stop/balanced_accuracy",
    "stop/f1",
    "stop/auroc",
    "stop/nll",
    "stop/brier",
    "stop/rmse",
    "stop/mae",
    "stop/crps",
]


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
        metric: measured at the end of each epoch: the loss that is trained with, or a metric of
            `core.metrics`, which weighs rows alike; of numbers on the scale of training.
        patience: epochs without improvement after which the learner ends.
        min_change: the least change that counts as an improvement.
        restore_best: whether the member is the row of the best epoch, not of the last.
    """

    metric: StopMetric = "stop/loss"
    patience: Annotated[int, Ge(1)] = 5
    min_change: Annotated[float, Ge(0)] = 0.0
    restore_best: bool = True

    def observe(self, state: StoppingState, value: float) -> StoppingState:
        """Return the state after an epoch with this value of the metric.

        >>> EarlyStopping().observe(StoppingState(best_value=0.5), 0.75)
        StoppingState(best_value=0.5, epochs_waited=1)
        """
        best, name = state.best_value, self.metric.removeprefix("stop/")
        if best is None or loss_of(name, best) - loss_of(name, value) > self.min_change:
            return StoppingState(value, 0)
        return StoppingState(best, state.epochs_waited + 1)

    def ends(self, state: StoppingState) -> bool:
        """Whether the learner has waited long enough."""
        return state.epochs_waited >= self.patience
