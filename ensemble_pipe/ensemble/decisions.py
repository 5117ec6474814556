"""Decisions: which class is predicted, given the probabilities of all.

Without one it is the most probable class. R rows, O classes.
"""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le, MinLen

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.metrics import decided_metrics
from ensemble_pipe.core.settings import settings
from ensemble_pipe.ensemble.combiners import softmax

# By true class, then by decided class, in the order of the classes.
Costs = Annotated[tuple[Annotated[tuple[float, ...], MinLen(2)], ...], MinLen(2)]
Share = Annotated[float, Ge(0), Le(1)]
Decided = Literal["f1", "balanced_accuracy", "accuracy"]


@settings
class Decide:
    """How a class is decided on; give a threshold or costs.

    Attributes:
        threshold: of two classes the second is predicted where its probability is at least this;
            "auto" is the threshold of the best `metric` on held-out rows, as predicted by
            combiners that were fitted without them.
        metric: that "auto" aims at; null is f1.
        costs: of predicting each class: a row for each true class, in it a number for each
            predicted one, in the order of the classes. The class of the lowest expected cost is
            predicted (Elkan 2001, "The foundations of cost-sensitive learning", equation 1).
    """

    threshold: Share | Literal["auto"] | None = None
    metric: Decided | None = None
    costs: Costs | None = None

    def __post_init__(self) -> None:
        if (self.threshold is None) == (self.costs is None):
            raise ValueError("give one of threshold and costs")
        if self.metric is not None and self.threshold != "auto":
            raise ValueError("metric is what threshold: auto aims at; leave it out, or take auto")
        if self.costs is not None:
            _require_costs(self.costs)

    @property
    def fits(self) -> bool:
        """Whether a threshold is fitted to held-out rows."""
        return self.threshold == "auto"

    def misfit(self, classes: int) -> str | None:
        """Return why it is not for so many classes; None where it is."""
        if self.costs is not None:
            return _misfit(self.costs, classes)
        if classes == 2:
            return None
        return f"threshold: is for two classes, but here are {classes}; take costs"

    def fitted(self, probabilities: Floats | None, labels: Integers) -> "Decision":
        """Return the decision.

        Args:
            probabilities: (R, 2) of rows that were not used for them; None where nothing is fitted.
            labels: (R,) of these rows.
        """
        if not self.fits or probabilities is None:
            threshold = None if self.threshold == "auto" else self.threshold
            return Decision(threshold=threshold, costs=self.costs)
        metric = self.metric or "f1"
        threshold = best_threshold(metric, probabilities[:, 1], labels)
        return Decision(threshold=threshold, metric=metric)


@settings
class Decision:
    """A decision that a model has.

    Attributes:
        threshold, costs: as in `Decide`; one of them is None.
        metric: whose best threshold on held-out rows it is; None where it was given.
    """

    threshold: Share | None = None
    metric: Decided | None = None
    costs: Costs | None = None

    def __post_init__(self) -> None:
        if (self.threshold is None) == (self.costs is None):
            raise ValueError("a decision has a threshold or costs")
        if self.costs is not None:
            _require_costs(self.costs)

    def check(self, classes: int) -> None:
        """Raise ValueError unless this decides between so many classes."""
        wrong = classes != 2 if self.costs is None else _misfit(self.costs, classes) is not None
        if wrong:
            raise ValueError(f"does not decide between {classes} classes")

    def decide(self, probabilities: Floats) -> Integers:
        """Return the class number (R,) of each row, for probabilities (R, O)."""
        if self.threshold is not None:
            return (probabilities[:, 1] >= self.threshold).astype(np.int64)
        assert self.costs is not None
        expected = np.zeros(probabilities.shape)
        for share, costs in zip(probabilities.T, self.costs, strict=True):
            expected += share[:, None] * np.array(costs)  # in this order, beside whatever rows
        decided: Integers = expected.argmin(axis=1)
        return decided

    def metrics(self, probabilities: Floats, labels: Integers) -> dict[str, float]:
        """Return the metrics that depend on what is decided.

        Those of `core.metrics.decided_metrics`; with costs `cost`, their mean over the rows.
        """
        decided = self.decide(probabilities)
        found = decided_metrics(decided, labels, probabilities.shape[1])
        if self.costs is not None:
            found["cost"] = float(np.mean(np.array(self.costs)[labels, decided]))
        return found

    def describe(self, classes: tuple[int | str, ...]) -> str:
        """Return what it does, such as "yes where its probability is at least 0.31 (best f1)"."""
        if self.costs is not None:
            return f"lowest expected cost, of {[list(row) for row in self.costs]}"
        aimed = "" if self.metric is None else f" (best {self.metric})"
        return f"{classes[1]} where its probability is at least {self.threshold:.4g}{aimed}"


def metrics_of_outputs(
    decision: Decision | None, outputs: Floats, labels: Array
) -> dict[str, float]:
    """Return the metrics of a decision by the logits (R, O) of one member; none without one."""
    return {} if decision is None else decision.metrics(softmax(outputs), labels)


def best_threshold(metric: str, scores: Floats, labels: Integers) -> float:
    """Return the threshold from which on class 1 is predicted, of the best metric.

    It lies halfway between two probabilities. Of several that are as good the one nearest to 0.5 is
    taken.

    Args:
        metric: of `core.metrics.DECIDED`.
        scores: (R,) probabilities of class 1.
        labels: (R,), 0 or 1.
    """
    values = np.unique(scores)
    halfway = (values[:-1] + values[1:]) / 2
    halfway = np.where(halfway > values[:-1], halfway, values[1:])  # of neighbours in float64
    none = (values[-1:] + 1) / 2
    thresholds = np.concatenate([[0.0], halfway, none[none > values[-1:]]])
    ordered = [np.sort(scores[labels == one]) for one in (0, 1)]
    below = [np.searchsorted(own, thresholds, side="left") for own in ordered]
    rows = [len(own) for own in ordered]
    found = _scores(metric, below[0], rows[1] - below[1], rows[0], rows[1])
    best = np.flatnonzero(found == found.max())
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def _scores(metric: str, right0: Array, right1: Array, rows0: int, rows1: int) -> Floats:
    """Return a metric (T,) from how many rows of each class are right at each threshold."""
    if metric == "accuracy":
        return (right0 + right1) / (rows0 + rows1)
    if metric == "balanced_accuracy":
        recalls = [right / n for right, n in ((right0, rows0), (right1, rows1)) if n]
        mean: Floats = np.mean(recalls, axis=0)
        return mean
    wrong = rows0 - right0 + rows1 - right1
    found: Floats = 2 * right1 / np.maximum(2 * right1 + wrong, 1)
    return found


def _require_costs(costs: Costs) -> None:
    table = [list(row) for row in costs]
    if any(len(row) != len(table) for row in table):
        raise ValueError(
            f"costs: need as many rows as columns, one of each for every class, got {table}"
        )
    for place, row in enumerate(table):
        if not np.isfinite(row).all():
            raise ValueError(f"costs: must be finite, got {row} for true class {place}")
        if row[place] > min(row):
            raise ValueError(
                f"costs: to predict class {place} (counted from 0) where it is true costs "
                f"{row[place]:g}, more than to be wrong ({min(row):g}); a row is for a true class, "
                "a column for a predicted one"
            )


def _misfit(costs: Costs, classes: int) -> str | None:
    if len(costs) == classes:
        return None
    return f"costs: are for {len(costs)} classes, but here are {classes}"
