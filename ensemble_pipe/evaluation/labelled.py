"""Metrics of a model on labelled rows, by class, and against out-of-distribution rows."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.metrics import confusion, precision_recall_f1
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.ensemble.aggregator import member_metrics
from ensemble_pipe.ensemble.importance import Importance
from ensemble_pipe.ensemble.measures import further_metrics, intervals, row_values
from ensemble_pipe.ensemble.metrics.resampling import Interval
from ensemble_pipe.ensemble.prediction import Metrics, Prediction
from ensemble_pipe.evaluation.detection import (
    DetectionResult,
    measure_detection,
    scores_of,
    scores_of_rows,
)
from ensemble_pipe.serving.files import labelled_prediction
from ensemble_pipe.serving.model import Ensemble


@dataclass(frozen=True)
class ClassResult:
    """The metrics of one class.

    Attributes:
        name: of the class.
        rows: of this class.
        recall: share of its rows that are predicted as it; None where it has no rows.
        precision: its share of the rows predicted as it; None where there are none.
        f1: harmonic mean of both; None where it has no rows and none are predicted as it.
        nll: mean over its rows, in nats; None where it has none.
    """

    name: int | str
    rows: int
    recall: float | None
    precision: float | None
    f1: float | None
    nll: float | None


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a model on some data.

    Attributes:
        rows: measured.
        metrics: flat: those of the ensemble, "member_mean/nll", "rejection/area", ...
        intervals: of 95%, of those metrics that have one.
        classes: the metrics of each class; empty for a regression.
        ood: by score, against out-of-distribution rows; empty without these.
        ood_rows: how many those are.
        importance: of the source columns, where it was asked for.
    """

    rows: int
    metrics: Metrics
    intervals: dict[str, Interval]
    classes: list[ClassResult]
    ood: dict[str, DetectionResult] = field(default_factory=dict)
    ood_rows: int = 0
    importance: Importance | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain values, for JSON."""
        ends = {name: [one.low, one.high] for name, one in self.intervals.items()}
        classes = [asdict(one) for one in self.classes]
        facts: dict[str, Any] = {
            "rows": self.rows,
            "metrics": self.metrics,
            "intervals": ends,
            "classes": classes,
        }
        if self.ood:
            facts["ood_rows"] = self.ood_rows
        if self.importance is not None:
            facts["importance"] = self.importance.to_dict()
        return facts


def evaluate(model: Ensemble, rows: Rows, other: Rows | None = None) -> Evaluation:
    """Evaluate a model on labelled rows, and its uncertainties on out-of-distribution rows.

    Args:
        model: the model.
        rows: labelled, like those that it was trained on.
        other: out-of-distribution, read block by block; None for none.

    Raises:
        DataError: there are no rows, a label is missing or unknown to the model, or a value is
            invalid for the model.
    """
    if other is not None and other.count == 0:
        raise DataError(f"{other.where}: has no rows, so nothing can be measured")
    prediction, targets = labelled_prediction(model, rows)
    metrics = prediction.metrics(targets)
    own = member_metrics(prediction, targets)
    for name in list(metrics):
        metrics[f"member_mean/{name}"] = float(np.mean([member[name] for member in own]))
    metrics |= further_metrics(prediction, targets)
    found = intervals(row_values(prediction, targets))
    classes = class_results(prediction, targets) if model.schema.classes else []
    if other is None:
        return Evaluation(rows.count, metrics, found, classes)
    outside = scores_of_rows(model, other)
    ood = measure_detection(scores_of(prediction), outside, model.schema.task)
    ood_values, ood_ends = _flat(ood)
    metrics |= ood_values
    found |= ood_ends
    return Evaluation(rows.count, metrics, found, classes, ood, other.count)


def class_results(prediction: Prediction, targets: Integers) -> list[ClassResult]:
    """Return the metrics of each class.

    Args:
        prediction: of R rows.
        targets: (R,) class numbers.
    """
    names = prediction.schema.classes
    counts = confusion(prediction.decided, targets, len(names))
    precision, recall, f1 = precision_recall_f1(counts)
    count = counts.sum(axis=1)
    nll = row_values(prediction, targets)["nll"].values[:, 0]
    sums = np.bincount(targets, nll, minlength=len(names))
    return [
        ClassResult(
            names[place], int(count[place]), _known(recall[place]), _known(precision[place]),
            _known(f1[place]), _known(sums[place] / count[place] if count[place] else np.nan),
        )
        for place in range(len(names))
    ]  # fmt: skip


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _flat(ood: dict[str, DetectionResult]) -> tuple[Metrics, dict[str, Interval]]:
    """Return metrics such as "ood/entropy/auroc", and their intervals."""
    ends = {
        f"ood/{name}/{measure}": interval
        for name, one in ood.items()
        for measure, interval in one.measures.items()
    }
    ends |= {f"ood/{name}/closed": one.closed for name, one in ood.items() if one.closed}
    values = {name: interval.estimate for name, interval in ends.items()}
    for name, one in ood.items():
        if one.own:
            values[f"member_mean/ood/{name}/auroc"] = one.members
    return values, ends
