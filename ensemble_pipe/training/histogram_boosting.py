"""Histogram boosting by scikit-learn: trees on binned columns, of which some are categories.

For numbers a second sequence of trees fits the logarithm of the variance of each row's error, by
the gamma deviance of squared errors: that is the likelihood of a normal distribution whose mean is
known (Nelder & Lee 1991, "Generalized linear models for the analysis of Taguchi-type experiments").
The errors are those of trees that were fitted without the row.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.schema import Task
from ensemble_pipe.training.boosted_trees import BITSET_WORDS, BoostedTrees, Nodes
from ensemble_pipe.training.estimator_settings import HistogramBoosting
from ensemble_pipe.training.learner_rows import NOISE_FOLDS, LearnerRows
from ensemble_pipe.training.reports import NothingFittedError, Report
from ensemble_pipe.training.tree_inputs import TreeInputs, join_groups, read_both

MOST_CATEGORIES = 254  # with a bin for the unknown, 255 in all
PATIENCE = 30  # rounds without a gain on the stop part
# Of the errors' variance: few leaves, since squared errors say little each.
_NOISE = {"learning_rate": 0.05, "max_leaf_nodes": 8, "l2_regularization": 5.0}
_NOISE_ROUNDS = 300
# The least squared error, as a share of their mean: its logarithm must not run away.
_LEAST_ERROR, _LEAST_NOISE = 1e-6, 1e-12
# Fewer rows than that say nothing of how the noise differs among them.
_LEAST_ROWS = 100
_MOST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class _Sequence:
    """A fitted sequence of rounds, of one tree each, or of one for each class.

    Attributes:
        estimator: of scikit-learn.
        rounds: that are kept.
    """

    estimator: Any
    rounds: int

    @property
    def baseline(self) -> Floats:
        return np.asarray(self.estimator._baseline_prediction, np.float64).reshape(-1)

    def predict(self, inputs: Floats) -> Floats:
        """Return (R,), for numbers."""
        found: Floats = self.estimator.predict(inputs)
        return found


def fit_histogram_boosting(
    settings: HistogramBoosting,
    facts: dict[str, Any],
    task: Task,
    seed: int,
    inputs: TreeInputs,
    train: LearnerRows,
    stop: LearnerRows,
    report: Report,
) -> BoostedTrees:
    """Fit a learner.

    Args:
        settings: of the learner.
        facts: these and its seed, to be kept.
        task: classification or regression.
        seed: of the columns that splits choose among.
        inputs: of its trees, fitted to the training rows.
        train: rows to fit to; of at least two classes.
        stop: rows to stop by; without any all rounds are taken.
        report: called after each round.

    Raises:
        NothingFittedError: it was to end before each target had a mean.
    """
    train, stop, classes = read_both(inputs, task, train, stop)
    fit = _Fit(settings, seed, len(inputs.groups), _Rounds(report))
    if classes:
        sequences = [fit.classes(train, stop)]
    else:
        targets = train.target_count
        fit.plan_numbers(targets, train.count)
        means, noises = list[_Sequence](), list[_Sequence]()
        for place in range(targets):
            if fit.rounds.halted:
                raise NothingFittedError
            mean, noise = fit.numbers(train.of_target(place), stop.of_target(place))
            means.append(mean)
            noises += [] if noise is None else [noise]
        sequences = means + (noises if len(noises) == targets else [])
    baseline = np.concatenate([sequence.baseline for sequence in sequences])
    nodes = _nodes_of(sequences)
    return BoostedTrees(facts, classes, join_groups(inputs.groups), baseline, nodes)


@dataclass(frozen=True)
class _Fit:
    """What is shared by all sequences of a learner.

    Attributes:
        settings, seed: see `fit_histogram_boosting`.
        categories: the number of columns of categories, which stand first.
        rounds: that are reported.
    """

    settings: HistogramBoosting
    seed: int
    categories: int
    rounds: "_Rounds"

    def plan_numbers(self, targets: int, rows: int) -> None:
        """Plan the rounds of all targets."""
        own = [self.settings.rounds]
        if rows >= _LEAST_ROWS:
            own += [self.settings.rounds] * NOISE_FOLDS + [_NOISE_ROUNDS]
        self.rounds.planned = own * targets

    def classes(self, train: LearnerRows, stop: LearnerRows) -> _Sequence:
        self.rounds.planned = [self.settings.rounds]
        return self._fit("classifier", train, stop, self._parameters)

    def numbers(self, train: LearnerRows, stop: LearnerRows) -> tuple[_Sequence, _Sequence | None]:
        """Return the means of a target, and the variances of its errors.

        There are no variances where rows are few, or the fit was halted before their first round.
        """
        mean = self._fit("regressor", train, stop, self._parameters)
        if train.count < _LEAST_ROWS or self.rounds.halted:
            return mean, None
        errors = self._errors(train, mean.rounds)
        if errors is None:
            return mean, None
        squares = errors**2
        least = max(_LEAST_ERROR * float(np.mean(squares)), _LEAST_NOISE)
        rows, held = replace(train, targets=np.maximum(squares, least)), train.folds == 0
        noise = {**_NOISE, "max_iter": _NOISE_ROUNDS, "loss": "gamma", "random_state": self.seed}
        return mean, self._fit("regressor", rows.chosen(~held), rows.chosen(held), noise)

    def _errors(self, train: LearnerRows, rounds: int) -> Floats | None:
        """Return the errors (R,) of trees that were fitted without the row's fold.

        None where the fit was halted meanwhile.
        """
        errors = np.empty(train.count)
        self.rounds.plan_next(NOISE_FOLDS, rounds)
        for fold in range(NOISE_FOLDS):
            held = train.folds == fold
            rows = train.chosen(held)
            parameters = {**self._parameters, "max_iter": rounds, "n_iter_no_change": rounds}
            other = self._fit("regressor", train.chosen(~held), rows, parameters, best=False)
            if self.rounds.halted:
                return None
            errors[held] = rows.targets - other.predict(rows.inputs)
        return errors

    @property
    def _parameters(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "max_iter": settings.rounds,
            "learning_rate": settings.learning_rate,
            "max_leaf_nodes": settings.leaves,
            "min_samples_leaf": settings.leaf_rows,
            "l2_regularization": settings.penalty,
            "max_features": settings.features,
            "random_state": self.seed,
        }

    def _fit(
        self,
        kind: str,
        train: LearnerRows,
        stop: LearnerRows,
        parameters: dict[str, Any],
        *,
        best: bool = True,
    ) -> _Sequence:
        """Fit a sequence of rounds; keep those up to the least loss on the stop rows, or all."""
        stops = stop.count > 0
        make = _estimator(kind, self.rounds.report_round)
        estimator = make(
            categorical_features=list(range(self.categories)) or None,
            early_stopping=stops,
            **{"n_iter_no_change": PATIENCE, **parameters},
        )
        held = (stop.inputs, stop.targets, _weights(stop))
        names = ("X_val", "y_val", "sample_weight_val")
        given = dict(zip(names, held, strict=True)) if stops else {}
        estimator.fit(train.inputs, train.targets, _weights(train), **given)
        rounds = estimator.n_iter_
        self.rounds.end_sequence(rounds)
        if stops and best:
            rounds = max(1, int(np.argmax(estimator.validation_score_)))
            del estimator._predictors[rounds:]
        return _Sequence(estimator, rounds)


def _weights(rows: LearnerRows) -> Floats | None:
    """Return the weights of rows; None where all are alike, which takes less time."""
    return None if (rows.weights == 1).all() else rows.weights


class _Rounds:
    """The rounds of a learner, over all of its sequences.

    Attributes:
        planned: of each sequence, the most; of those that have ended, as many as they took.
        halted: whether the fit is to end.
    """

    def __init__(self, report: Report) -> None:
        self.planned: list[int] = []
        self.halted = False
        self._report = report
        self._ended = 0

    def plan_next(self, sequences: int, rounds: int) -> None:
        """Say how many rounds the next sequences take at most."""
        self.planned[self._ended : self._ended + sequences] = [rounds] * sequences

    def report_round(self, done: int, loss: float) -> bool:
        """Report a round of the present sequence, of which `done` are; return whether to end."""
        step = sum(self.planned[: self._ended]) + done
        self.halted = self._report(step, sum(self.planned), loss)
        return self.halted

    def end_sequence(self, rounds: int) -> None:
        """Count the rounds of a sequence that has ended."""
        self.planned[self._ended] = rounds
        self._ended += 1


def _estimator(kind: str, report: Callable[[int, float], bool]) -> Any:
    """Return the class of estimators of a kind, which report their rounds, and may end by that."""
    from sklearn import ensemble

    base: Any = (
        ensemble.HistGradientBoostingClassifier
        if kind == "classifier"
        else ensemble.HistGradientBoostingRegressor
    )

    class Reporting(base):  # type: ignore[misc]
        """Where scikit-learn no longer calls this method, there is no progress, and no harm."""

        def _check_early_stopping_loss(self, *args: Any, **named: Any) -> Any:
            stops = super()._check_early_stopping_loss(*args, **named)
            rounds = len(self._predictors)  # 0 where it looks at the baseline
            return stops or (rounds > 0 and report(rounds, -self.validation_score_[-1]))

    return Reporting


def _nodes_of(sequences: Sequence[_Sequence]) -> Nodes:
    """Return the trees of all sequences, one behind the other."""
    trees = list(_trees(sequences))
    nodes = [tree.nodes for _, tree in trees]
    joined = np.concatenate([np.empty(0, nodes[0].dtype), *nodes])
    leaf, asks = joined["is_leaf"].astype(bool), joined["is_categorical"].astype(bool)
    sizes = [len(one) for one in nodes]
    bitsets = [tree.raw_left_cat_bitsets for _, tree in trees]
    first = np.repeat(np.cumsum([0, *map(len, bitsets)])[:-1], sizes)
    asks &= ~leaf
    return Nodes(
        starts=np.cumsum([0, *sizes]),
        sequence=np.array([place for place, _ in trees], np.int32),
        feature=np.where(leaf, -1, joined["feature_idx"]).astype(np.int32),
        # Infinite where only what is missing goes right.
        threshold=np.where(leaf | asks, 0.0, np.clip(joined["num_threshold"], -_MOST, _MOST)),
        bitset=np.where(asks, first + joined["bitset_idx"], -1).astype(np.int32),
        missing_left=joined["missing_go_to_left"].astype(np.uint8),
        left=np.where(leaf, 0, joined["left"]).astype(np.int32),
        right=np.where(leaf, 0, joined["right"]).astype(np.int32),
        value=np.where(leaf, joined["value"], 0.0),
        bitsets=np.concatenate([np.empty((0, BITSET_WORDS), np.uint32), *bitsets]),
    )


def _trees(sequences: Sequence[_Sequence]) -> Iterator[tuple[int, Any]]:
    """Yield (place of its outputs, tree)."""
    first = 0
    for sequence in sequences:
        for iteration in sequence.estimator._predictors:
            yield from enumerate(iteration, start=first)
        first += len(sequence.baseline)
