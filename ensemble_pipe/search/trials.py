"""Trials of a search: what became of each, and how they are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np

from ensemble_pipe.config.search_settings import LARGER_IS_BETTER, Search
from ensemble_pipe.data.folding import AnyFolds, Folding, total_folds

Ending = Literal["finished", "pruned", "failed", "unfinished"]


@dataclass(frozen=True)
class Trial:
    """A trial: one learner with its values, or with `splits.folds` one for each fold.

    Attributes:
        number: counted from 0.
        values: of the hyperparameters, by path.
        ending: what became of it.
        score: by the metric of the search; None without all of its members, or where it is not
            defined. In folds the mean of the scores on each fold, by the learner that left it out.
        epochs: that it was trained for; in folds the most of its learners.
        losses: its lowest loss up to each epoch that it was compared at, as `pruning.loss_of`
            has it, by epoch; in folds the mean of its learners'.
        standard_error: of the score, over folds, or without these over rows; None where it is not
            known.
        parameters: trainable numbers of each learner; None where they are not counted yet.
    """

    number: int
    values: Mapping[str, Any]
    ending: Ending
    score: float | None = None
    epochs: int = 0
    losses: Mapping[int, float] = field(default_factory=dict)
    standard_error: float | None = None
    parameters: int | None = None


class Score(NamedTuple):
    """The score of a trial; see `Trial`."""

    mean: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True)
class TrialLearners:
    """Which learners of a run belong to which trial: those of trial 0 come first, and so on.

    Attributes:
        count: of each trial: one, or in folds one for each fold of all partitions, so that the
            learners of every trial leave out the same folds in the same order.
        per_partition: folds of a partition; 1 without folds.
    """

    count: int = 1
    per_partition: int = 1

    @classmethod
    def of(cls, folds: AnyFolds | None) -> "TrialLearners":
        """Return those of a search with `splits.folds`, or without."""
        if folds is None:
            return cls()
        return cls(total_folds(folds), folds.per_partition if isinstance(folds, Folding) else folds)

    def of_trial(self, trial: int) -> range:
        """Return the learners of a trial."""
        return range(trial * self.count, (trial + 1) * self.count)

    def trial_of(self, learner: int) -> int:
        """Return the trial of a learner."""
        return learner // self.count

    def score(self, scores: Sequence[float | None]) -> Score:
        """Return `score_of` the scores of a trial's learners."""
        return score_of(scores, self.per_partition)


def score_of(scores: Sequence[float | None], per_partition: int) -> Score:
    """Return the mean of the scores of a trial's learners, and its standard error.

    The standard error is that of the mean of so many folds as one partition has (Hastie, Tibshirani
    & Friedman 2009, "The elements of statistical learning", section 7.10.1): folds of further
    partitions hold the same rows again, so they make the deviation better known, not smaller.

    Args:
        scores: one of each learner, in order; None where it has none.
        per_partition: folds of a partition; 1 for a learner that leaves out none.

    >>> score_of([0.25, 0.75], 2)
    Score(mean=0.5, standard_error=0.25)
    >>> score_of([0.25], 1)
    Score(mean=0.25, standard_error=None)
    """
    known = [score for score in scores if score is not None and isfinite(score)]
    if len(known) < len(scores):
        return Score()
    partitions = np.reshape(known, (-1, per_partition))
    error = None
    if per_partition > 1:
        error = float(np.sqrt(partitions.var(axis=1, ddof=1).mean() / per_partition))
    return Score(float(partitions.mean()), error)


def cost_of(score: float, metric: str) -> float:
    """Return a score as a number of which a lower one is better."""
    return -score if metric in LARGER_IS_BETTER else score


def best_first(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Return the trials that have a score, the best first, of equal ones the earlier."""
    scored = [(cost_of(t.score, metric), t.number, t) for t in trials if t.score is not None]
    return [trial for _, _, trial in sorted(scored, key=lambda one: one[:2])]


def chosen_first(trials: Sequence[Trial], search: Search) -> list[Trial]:
    """Return the trials that have a score: the one that a search chooses, then the best."""
    ordered = best_first(trials, search.metric)
    if search.choose == "best" or not ordered or ordered[0].standard_error is None:
        return ordered
    costs = [cost_of(trial.score or 0.0, search.metric) for trial in ordered]
    most = costs[0] + ordered[0].standard_error
    within = [trial for trial, cost in zip(ordered, costs, strict=True) if cost <= most]
    # Of equally simple ones the better comes first.
    winner = min(within, key=lambda trial: (trial.parameters or 0, trial.epochs))
    return [winner, *(trial for trial in ordered if trial is not winner)]


def ranked(trials: Sequence[Trial], search: Search) -> list[Trial]:
    """Return all trials: the chosen one, then the best, those without a score last."""
    unscored = (trial for trial in trials if trial.score is None)
    return [*chosen_first(trials, search), *unscored]


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return the last steps of each path, as many as say which one it is, by path.

    >>> list(short_names(["network.name", "training.loss.name", "training.epochs"]).values())
    ['network.name', 'loss.name', 'epochs']
    """
    return {path: _short(path, paths) for path in paths}


def _short(path: str, paths: Sequence[str]) -> str:
    steps = path.split(".")
    for count in range(2 if steps[-1] == "name" else 1, len(steps)):
        short = ".".join(steps[-count:])
        if sum(f".{other}".endswith(f".{short}") for other in paths) == 1:
            return short
    return path
