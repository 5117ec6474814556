"""Early stopping: when a learner has stopped gaining, and which of its rows was best."""

from typing import Annotated, Any, Literal

from annotated_types import Ge

from ensemble_pipe.core.settings import settings

Metric = Literal["stop/loss", "stop/accuracy"]


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

    def observe(self, counters: dict[str, Any], value: float) -> bool:
        """Take in an epoch's value; return whether it is the best so far.

        Args:
            counters: of one learner; "best_value" and "epochs_waited" are written.
            value: of the metric.
        """
        sign = -1.0 if self.metric == "stop/accuracy" else 1.0
        best = counters.get("best_value")
        improved = best is None or sign * (best - value) > self.min_change
        if improved:
            counters["best_value"] = value
        counters["epochs_waited"] = 0.0 if improved else counters["epochs_waited"] + 1.0
        return improved

    def ends(self, counters: dict[str, Any]) -> bool:
        """Whether the learner has waited long enough."""
        return bool(counters["epochs_waited"] >= self.patience)
