"""Fits of linear combiners: ridge regression and multinomial logistic regression."""

import warnings
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.ensemble.combiners.folds import fold_numbers
from ensemble_pipe.ensemble.combiners.linear import LinearCombiner, stacking_inputs
from ensemble_pipe.ensemble.combiners.outputs import ClassOutputs, NumberOutputs

MOST_ROWS = 10_000  # more rows hardly change the coefficients, and take minutes
_FOLDS = 3
_INVERSE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
_PENALTIES = 10.0 ** np.arange(-8, 4)
_ITERATIONS = 100
_RIGHT = 0.9  # probability of its class in a made-up row


def fit_logistic(
    outputs: ClassOutputs, labels: Array, row_weights: Floats, random: np.random.Generator
) -> LinearCombiner:
    """Return the multinomial logistic regression of the labels on the members' log-probabilities.

    Its squared penalty is the one of lowest NLL in three stratified folds. One made-up row for
    each class, which every member gets right, keeps classes possible that no row has. At most
    `MOST_ROWS` rows are used, drawn at random.

    Args:
        outputs: of K members.
        labels: (R,).
        row_weights: (R,), which sum to 1.
        random: draws rows and folds.
    """
    rows = np.sort(random.permutation(len(labels))[:MOST_ROWS])
    members, _, classes = outputs.logits.shape
    data = _Rows(
        np.concatenate([stacking_inputs(member[rows]) for member in outputs.logits], axis=1),
        labels[rows],
        row_weights[rows] / row_weights[rows].mean(),
        classes,
    )
    fold_of = fold_numbers(data.labels, np.arange(len(rows)), min(_FOLDS, len(rows)), random)
    model = data.fitted(_model(_best_inverse_penalty(data, fold_of)), np.arange(len(rows)))
    coefficients, intercepts = model.coef_, model.intercept_
    if classes == 2:  # one logit, of class 1
        coefficients = np.stack([np.zeros_like(coefficients[0]), coefficients[0]])
        intercepts = np.array([0.0, intercepts[0]])
    return LinearCombiner.of(coefficients.reshape(classes, members, classes), intercepts)


class _Rows:
    """The data of a logistic regression: inputs (R, K * O), labels and weights (R,)."""

    def __init__(self, inputs: Floats, labels: Array, weights: Floats, classes: int) -> None:
        self.inputs, self.labels, self.weights = inputs, labels, weights
        self.made_up_labels = np.arange(classes)
        wrong = (1 - _RIGHT) / (classes - 1)
        row = stacking_inputs(np.log(np.where(np.eye(classes, dtype=bool), _RIGHT, wrong)))
        self.made_up = np.tile(row, (1, inputs.shape[1] // classes))

    def fitted(self, model: Any, rows: Array) -> Any:
        """Return the model, fitted to some of the rows and to those made up."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            # Enough iterations for the NLL; the last digits of coefficients do not matter.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(
                np.concatenate([self.inputs[rows], self.made_up]),
                np.concatenate([self.labels[rows], self.made_up_labels]),
                np.concatenate([self.weights[rows], np.ones(len(self.made_up))]),
            )

    def nll(self, model: Any, rows: Array) -> float:
        """Return the sum over some rows of the weighted NLL."""
        logs = model.predict_log_proba(self.inputs[rows])[np.arange(len(rows)), self.labels[rows]]
        return -float(self.weights[rows] @ logs)


def _model(inverse_penalty: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=inverse_penalty, max_iter=_ITERATIONS, warm_start=True)


def _best_inverse_penalty(data: _Rows, fold_of: Integers) -> float:
    """Return the one of lowest cross-fitted NLL: from the smallest on, until it rises."""
    folds = range(fold_of.max() + 1)
    models = [_model(_INVERSE_PENALTIES[0]) for _ in folds]
    best, lowest = _INVERSE_PENALTIES[0], np.inf
    for inverse_penalty in _INVERSE_PENALTIES:
        nll = 0.0
        for fold, model in zip(folds, models, strict=True):
            model.set_params(C=inverse_penalty)
            data.fitted(model, np.flatnonzero(fold_of != fold))
            nll += data.nll(model, np.flatnonzero(fold_of == fold))
        if nll >= lowest:
            break
        best, lowest = inverse_penalty, nll
    return best


def fit_ridge(
    outputs: NumberOutputs, targets: Array, row_weights: Floats, random: np.random.Generator
) -> LinearCombiner:
    """Return the ridge regression of each target on the members' means of it.

    The penalty draws the coefficients towards 1 / K, which is the plain mean, and is the one of
    lowest squared error in leave-one-out (Golub, Heath & Wahba 1979). Targets that are all alike
    would be met without any error, whatever the members say; of those it is the plain mean.

    Args:
        outputs: of K members.
        targets: (R, D).
        row_weights: (R,), which sum to 1.
        random: not needed.
    """
    fits = [
        _ridge(outputs.means[:, :, place].T.astype(np.float64), targets[:, place], row_weights)
        for place in range(targets.shape[1])
    ]
    coefficients = np.stack([coefficients for coefficients, _ in fits])
    return LinearCombiner.of(
        coefficients[:, :, None], np.array([intercept for _, intercept in fits])
    )


def _ridge(means: Floats, targets: Floats, row_weights: Floats) -> tuple[Floats, float]:
    """Return coefficients (K,) and intercept, for means (R, K) and targets (R,)."""
    from sklearn.linear_model import RidgeCV

    equal = np.full(means.shape[1], 1 / means.shape[1])
    if np.ptp(targets) == 0:
        return equal, 0.0
    scale = float(np.std(means)) or 1.0  # penalties are in units of it
    model = RidgeCV(alphas=_PENALTIES * len(targets))
    model.fit(means / scale, (targets - means @ equal) / scale, row_weights * len(targets))
    return equal + model.coef_, float(model.intercept_) * scale
