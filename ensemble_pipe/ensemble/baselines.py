"""Baselines: simple predictors that an ensemble has to beat, measured on the same rows.

R rows, D features or targets, O classes.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.gaussians import gaussian_scores
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.metrics.gains import paired_gains
from ensemble_pipe.ensemble.metrics.regression import metrics_of
from ensemble_pipe.ensemble.metrics.row_values import RowValues, class_values, number_rows
from ensemble_pipe.ensemble.prediction import Metrics
from ensemble_pipe.nn.blas import one_thread

CONSTANT, LINEAR = "baseline_constant", "baseline_linear"
# The training rows that a linear model is fitted to: so many, or as many as keep the product of
# rows, features of a row and outputs below a number that takes about two seconds. Where these are
# very few, there is none.
MOST_ROWS, MOST_NUMBERS = 20_000, 1 << 24
_FEWEST_ROWS = 200
_MOST_CATEGORIES = 256  # of a column of codes; the rarer ones share a feature
_ITERATIONS = 100
_FOLDS = 5
_BLOCK_ROWS = 1 << 14  # predicted at once
_LEAST_DEVIATION = 1e-6  # of a target, in its standard deviations


class Scored(NamedTuple):
    """A baseline on some part of the data.

    Attributes:
        metrics: of the part.
        rows: those that are means over rows, row by row.
    """

    metrics: Metrics
    rows: dict[str, RowValues]


def measure_baselines(
    schema: Schema,
    train: ShardView,
    parts: Mapping[str, ShardView],
    seed: int,
    ensemble: Mapping[str, Mapping[str, RowValues]] | None = None,
) -> Metrics:
    """Return the metrics of baselines that are fitted to the training part, on other parts.

    The constant predicts the shares of the classes, or a Gaussian of the mean and the deviation of
    the training targets. The linear model, of tables only, is a logistic or a ridge regression of
    the encoded rows with scikit-learn's default penalty, whose noise is the deviation of its errors
    on rows left out by folds. Rows have equal weights in both.

    Args:
        schema: of the data.
        train: the training part.
        parts: to measure on, by name.
        seed: of the run; it draws the rows of the linear model where there are very many.
        ensemble: its metrics by row, on those parts where its gains over the baselines are wanted.

    Returns:
        Flat metrics, such as "baseline_constant/test/nll" and "baseline_linear/test/nll"; and the
        gains of the ensemble with the ends of their 95% intervals, such as
        "baseline_linear/test/gain/nll", ".../gain_low/nll" and ".../gain_high/nll".
    """
    kind = _Classes if schema.task == "classification" else _Numbers
    baselines = kind(schema, train)
    found = {CONSTANT: {name: baselines.constant(view) for name, view in parts.items()}}
    drawn = drawn_rows(schema, train.rows, seed)
    if len(drawn):
        with one_thread():
            measure = baselines.linear(drawn)
            found[LINEAR] = {name: measure(view) for name, view in parts.items()}
    return {
        f"{baseline}/{part}/{name}": value
        for baseline, own in found.items()
        for part, scored in own.items()
        for name, value in (
            scored.metrics | _gains((ensemble or {}).get(part, {}), scored, schema, parts[part])
        ).items()
    }


def _gains(
    own: Mapping[str, RowValues], baseline: Scored, schema: Schema, view: ShardView
) -> Metrics:
    """Return the gains of an ensemble over a baseline on a part, flat, with their intervals."""
    truth = None if schema.task == "classification" else schema.decode_targets(view.targets)
    random = seeds.generator(0, seeds.Purpose.BOOTSTRAP, step=4)
    found = paired_gains(own, baseline.rows, random, truth) if own else {}
    return {
        f"{kind}/{name}": value
        for name, one in found.items()
        for kind, value in (("gain", one.estimate), ("gain_low", one.low), ("gain_high", one.high))
    }


def rows_for(features: int, outputs: int) -> int:
    """Return to how many rows of so many features and outputs a linear model is fitted at most."""
    affordable = MOST_NUMBERS // max(1, features * outputs)
    return min(MOST_ROWS, affordable) if affordable >= _FEWEST_ROWS else 0


def drawn_rows(schema: Schema, rows: int, seed: int) -> Integers:
    """Return the numbers of the training rows of the linear model, in the order of a draw.

    There are none where there is no linear model: of images, and of very many features.
    """
    outputs = len(schema.classes) or schema.target_count
    random = seeds.generator(seed, seeds.Purpose.BASELINE)
    count = 0 if schema.is_image else rows_for(len(schema.encoded_names), outputs)
    return random.permutation(rows)[:count].astype(np.int32)


class _Classes:
    """Baselines of classes."""

    def __init__(self, schema: Schema, train: ShardView) -> None:
        self._schema, self._train = schema, train
        counts = np.bincount(train.targets, minlength=len(schema.classes))
        self._shares: Floats = counts / counts.sum()

    def constant(self, view: ShardView) -> Scored:
        """Return the scores of the training part's class shares."""
        return self._scored(self._constant(view.rows), view)

    def linear(self, ids: Integers) -> Callable[[ShardView], Scored]:
        """Return measure(view) of a logistic regression of some training rows."""
        from sklearn.linear_model import LogisticRegression

        inputs, labels = _read(self._schema, self._train, ids)
        known = np.unique(labels)  # a draw may lack the rarest classes, which keep their shares
        if len(known) < 2:
            return self.constant
        model = _pipeline(self._schema, LogisticRegression(max_iter=_ITERATIONS))
        _fit(model, inputs, labels)

        def measure(view: ShardView) -> Scored:
            found = self._constant(view.rows)
            own = _by_block(model.predict_proba, self._schema, view)
            found[:, known] = own * self._shares[known].sum()
            return self._scored(found, view)

        return measure

    def _constant(self, rows: int) -> Floats:
        return np.tile(self._shares, (rows, 1))

    def _scored(self, probabilities: Floats, view: ShardView) -> Scored:
        metrics = classification_metrics(probabilities, view.targets)
        return Scored(metrics, class_values(probabilities, view.targets))


class _Numbers:
    """Baselines of numbers, in the targets' own units."""

    def __init__(self, schema: Schema, train: ShardView) -> None:
        self._schema, self._train = schema, train
        truth = schema.decode_targets(train.targets)
        self._mean, self._deviation = truth.mean(axis=0), truth.std(axis=0)

    def constant(self, view: ShardView) -> Scored:
        """Return the scores of the Gaussian of the training targets."""
        zeros = np.zeros((view.rows, len(self._mean)))
        return self._scored(zeros, np.ones_like(self._mean), view.targets)

    def linear(self, ids: Integers) -> Callable[[ShardView], Scored]:
        """Return measure(view) of a ridge regression of some training rows."""
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import cross_val_predict

        if len(ids) < _FOLDS:
            return self.constant
        inputs, targets = _read(self._schema, self._train, ids)
        truth = (self._schema.decode_targets(targets) - self._mean) / self._deviation
        model = _pipeline(self._schema, Ridge(solver="lsqr"))
        left_out = cross_val_predict(model, inputs, truth, cv=_FOLDS).reshape(truth.shape)
        noise = np.sqrt(np.mean((truth - left_out) ** 2, axis=0))
        _fit(model, inputs, truth)

        def measure(view: ShardView) -> Scored:
            mean = _by_block(model.predict, self._schema, view).reshape(view.rows, -1)
            return self._scored(mean, np.maximum(noise, _LEAST_DEVIATION), view.targets)

        return measure

    def _scored(self, mean: Floats, deviation: Floats, targets: Array) -> Scored:
        """Return the scores of Gaussians in units of the training targets' deviation."""
        truth, unit = self._schema.decode_targets(targets), self._deviation
        spread = np.broadcast_to(deviation * unit, truth.shape)
        scores = gaussian_scores(mean * unit + self._mean, spread, truth)
        return Scored(metrics_of(scores, truth, self._schema.target_names), number_rows(scores))


def _read(schema: Schema, view: ShardView, ids: Integers) -> tuple[Floats, Array]:
    """Return the inputs (N, D) float32 and the targets (N,) or (N, D) of some rows of a table."""
    inputs = np.empty((len(ids), *schema.input_shape), np.float32)
    targets = np.empty((len(ids), *view.target_shape), view.target_dtype)
    view.gather(ids, inputs, targets, np.empty(len(ids), np.float32))
    return inputs, targets


def _by_block(predict: Callable[[Floats], Floats], schema: Schema, view: ShardView) -> Floats:
    """Return the predictions of all rows of a part, float64."""
    found = []
    for start in range(0, view.rows, _BLOCK_ROWS):
        ids = np.arange(start, min(start + _BLOCK_ROWS, view.rows), dtype=np.int32)
        found.append(np.asarray(predict(_read(schema, view, ids)[0]), np.float64))
    return np.concatenate(found)


def _pipeline(schema: Schema, model: Any) -> Any:
    """Return a linear model of encoded rows: numbers standardised, codes as one-hot features.

    What the encoding has as 0 and 1 stays so.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    places: dict[str, list[int]] = {"number": [], "one_hot": [], "code": []}
    for span in schema.spans:
        places[span.kind] += range(span.start, span.stop)
    codes = OneHotEncoder(
        max_categories=_MOST_CATEGORIES, handle_unknown="infrequent_if_exist", dtype=np.float32
    )
    columns = [("numbers", StandardScaler(), places["number"]), ("codes", codes, places["code"])]
    return make_pipeline(ColumnTransformer(columns, remainder="passthrough"), model)


def _fit(model: Any, inputs: Floats, targets: Array) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that has not converged is a baseline all the same
        model.fit(inputs, targets)
