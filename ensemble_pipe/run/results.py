"""The result of a training session."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ensemble_pipe.ensemble.aggregator import Measured
from ensemble_pipe.ensemble.importance import Importance
from ensemble_pipe.ensemble.measures import further_metrics
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.ensemble.summaries import summary
from ensemble_pipe.serving.artifact import Model
from ensemble_pipe.tracking.left_undone import left_undone
from ensemble_pipe.tracking.schemas import LearnerUnderWay


@dataclass(frozen=True)
class SessionResult:
    """The result of a training session.

    Attributes:
        model: the ensemble.
        measured: the ensemble and its members on each part of the data that the sink names.
        out_of_fold: cross-validated groups on the training part, where the sink names parts.
        importance: of the source columns on the validation part, where that was cheap.
        metrics: all of these, flat, such as "test/nll".
        failed: reasons of the learners that failed, by learner.
        unfinished: learners whose training was ended early, ascending.
        under_way: those of them that had begun.
        not_refitted: learners of the ensemble that were to be trained again, and were not.
        limit_s: the time limit in seconds; None where there was none, or it did not end the run.
        further: what was to be trained that has no learners yet.
        unmeasured: what the time was too short to measure.
        warnings: to the user, about groups with missing folds.
    """

    model: Model
    measured: Mapping[str, Measured] = field(default_factory=dict)
    out_of_fold: Measured | None = None
    importance: Importance | None = None
    metrics: Metrics = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    unfinished: tuple[int, ...] = ()
    under_way: tuple[LearnerUnderWay, ...] = ()
    not_refitted: tuple[int, ...] = ()
    further: tuple[str, ...] = ()
    limit_s: float | None = None
    unmeasured: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def left_undone(self) -> str:
        """One line on what more time would have been for; "" for nothing."""
        return left_undone(
            self.limit_s, self.unfinished, self.under_way, self.not_refitted, self.unmeasured,
            self.further,
        )  # fmt: skip


def flat_metrics(parts: Mapping[str, Measured], out_of_fold: Measured | None) -> Metrics:
    """Return the metrics of an ensemble on some parts of the data, by part and name."""
    metrics = summary(dict(parts)) if parts else {}
    if "test" in parts:
        metrics |= further_metrics(parts["test"].prediction, parts["test"].targets, "test/")
    if out_of_fold is not None:
        metrics |= {f"out_of_fold/{name}": value for name, value in out_of_fold.ensemble.items()}
    return metrics
