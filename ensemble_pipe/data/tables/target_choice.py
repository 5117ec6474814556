"""Choice of the scale of each target, by the held-out likelihood of a model that is cheap to fit.

The model is a ridge regression (Hoerl & Kennard 1970) on the encoded features and on random
rectified sums of them (Rahimi & Recht 2008, "Weighted sums of random kitchen sinks"), so that it
follows bends and interactions. For each candidate scale its errors on left-out folds give the
negative log-likelihood of every row in the target's own units, under Gaussian noise that is the
same for all rows and under noise that varies with the predicted mean; the mean of both counts,
since a loss may predict the noise or not.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.arrow import arrow_of
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.seeds import Purpose, generator
from ensemble_pipe.data.sources.rows import Place, Rows
from ensemble_pipe.data.tables.target_scaling import (
    FittedTarget,
    TargetScale,
    fit_target,
)
from ensemble_pipe.data.tables.target_transforms import IDENTITY, LOG, TargetTransform
from ensemble_pipe.data.tables.targets import Targets, number_parts
from ensemble_pipe.data.tables.training_rows import Train

POWERS = tuple(TargetTransform("power", eighths / 8) for eighths in range(1, 8))
# A transformation is taken where it is better by more nats than this, with so many standard errors.
MARGIN, ERRORS = 0.05, 2.0
FEWEST_ROWS, MOST_ROWS = 50, 8192
_MOST_NUMBERS = 1 << 24  # of encoded features
_FOLDS = 4
_SUMS, _MOST_LINEAR = 256, 512
_FAR = 5.0  # deviations to which features are clipped
_PENALTIES = 10.0 ** np.arange(-3, 2)
_BINS, _BIN_ROWS = 10, 50
_PRIOR_ROWS = 5  # that count as many rows of the common noise in each bin


class Encoder(NamedTuple):
    """How rows become encoded inputs.

    Attributes:
        columns: that are read.
        features: numbers of an encoded row.
        block: encodes a block, (n, D) or (n, H, W, C), as `Schema.encode_inputs`.
    """

    columns: Sequence[str]
    features: int
    block: Callable[[pa.RecordBatch, Place], Array]

    def encode(self, rows: Rows, chosen: Train) -> Array:
        """Return the encoded rows where `chosen` (R,) is true, at least one."""
        found = []
        for first, block in rows.blocks(self.columns):
            here = first + np.flatnonzero(chosen[first : first + block.num_rows])
            if len(here):
                own = block.take(arrow_of(here - first))
                found.append(self.block(own, lambda row: rows.place(int(here[row]))))  # noqa: B023
        return np.concatenate(found)


def fit_targets(
    scale: TargetScale,
    rows: Rows,
    names: Sequence[str],
    targets: Targets,
    train: Train,
    encoder: Encoder,
    *,
    constants: bool = False,
) -> tuple[FittedTarget, ...]:
    """Fit the scale of each target to the rows where `train` is true.

    Args:
        scale: "auto" is chosen for each target by `choose_transform`; no target with a value that
            is not above 0, in any row, is transformed by it.
        rows: of the source.
        names: of the D targets.
        targets: (R,) or (R, D).
        train: (R,).
        encoder: of the rows that log and power are chosen by.
        constants: whether a target may be the same in all rows, and is then predicted as it is.

    Raises:
        DataError: as `fit_target`, or there is a target that is not above 0, but the scale is log
            or power.
    """
    columns = dict(zip(names, targets.columns, strict=True))
    wanted = [_wanted(scale, rows, one, name) for name, one in columns.items()]
    chosen, encoded = np.zeros(len(targets), bool), np.zeros((0, 1))
    if {"auto", "power"} & set(wanted):
        chosen = rows_to_choose_by(train, encoder.features)
        encoded = encoder.encode(rows, chosen)
    fitted = []
    for kind, (name, one) in zip(wanted, columns.items(), strict=True):
        numbers = one.values[chosen].astype(np.float64)
        transform = transform_of(kind, encoded, numbers)
        fitted.append(fit_target(rows, one, train, name, transform, constants))
    return tuple(fitted)


def _wanted(scale: TargetScale, rows: Rows, targets: Targets, name: str) -> TargetScale:
    """Return the scale of one target, with "standardize" for "auto" where it has no logarithm."""
    if scale == "standardize":
        return scale
    for part, numbers in number_parts(targets, rows.cells(name)):
        if (numbers > 0).all():
            continue
        if scale == "auto":
            return "standardize"
        row = int(np.argmin(numbers > 0))
        raise DataError(
            f"{rows.cells(name)(part.start + row)}: the target {numbers[row]} is not above 0, as "
            f"`target: {{scale: {scale}}}` needs it; take standardize, or auto"
        )
    return scale


def transform_of(scale: TargetScale, inputs: Array, targets: Floats) -> TargetTransform:
    """Return the transformation of one target on a scale.

    Args:
        scale: of the target.
        inputs: (n, D), encoded, or (n, H, W, C), of the rows that log and power are chosen by.
        targets: (n,), all above 0 where the scale is log or power.
    """
    if scale == "auto":
        return choose_transform(inputs, targets)
    if scale == "power":
        return best_power(inputs, targets)
    return LOG if scale == "log" else IDENTITY


def rows_to_choose_by(train: Array, features: int) -> Array:
    """Return which rows (R,) the choice is made by: training rows, each s-th of many.

    Args:
        train: (R,) bool.
        features: D, of an encoded row.
    """
    places = np.flatnonzero(train)
    most = max(FEWEST_ROWS, min(MOST_ROWS, _MOST_NUMBERS // features))
    chosen = np.zeros(len(train), bool)
    chosen[places[:: -(-len(places) // most)]] = True
    return chosen


def choose_transform(inputs: Array, targets: Floats) -> TargetTransform:
    """Return the transformation of one target: log, a power, or the identity where in doubt.

    Log or a power must have an NLL below the identity's by more than `MARGIN` and `ERRORS` standard
    errors of the paired difference; and a power must be better than log by as much.

    Args:
        inputs: (n, D), encoded, or (n, H, W, C).
        targets: (n,); any that is not above 0 rules transformations out, and equal ones do.
    """
    few = len(targets) < FEWEST_ROWS or np.ptp(targets) == 0
    if few or not (targets > 0).all():
        return IDENTITY
    candidates = (IDENTITY, LOG, *POWERS)
    same, logs, *powers = _Evidence.of(inputs, targets).nll(candidates)
    power = int(np.argmin(np.mean(powers, axis=1)))
    choices = [(LOG, logs), (POWERS[power], powers[power])]
    if _is_better(powers[power], logs):
        choices.reverse()
    return next((one for one, nll in choices if _is_better(nll, same)), IDENTITY)


def best_power(inputs: Array, targets: Floats) -> TargetTransform:
    """Return the power of the lowest held-out NLL, however good the others are.

    Args:
        inputs: (n, D), encoded, or (n, H, W, C).
        targets: (n,), all above 0; fewer than `FEWEST_ROWS` get the square root.
    """
    if len(targets) < FEWEST_ROWS:
        return POWERS[len(POWERS) // 2]
    nll = _Evidence.of(inputs, targets).nll(POWERS)
    return POWERS[int(np.argmin(nll.mean(axis=1)))]


def _is_better(first: Floats, second: Floats) -> bool:
    """Whether NLLs (n,) are below others, row by row, by the margin and its standard errors."""
    with np.errstate(invalid="ignore"):
        gain = second - first
        error = float(gain.std()) / np.sqrt(len(gain))
    return bool(np.isfinite(gain).all() and gain.mean() > max(MARGIN, ERRORS * error))


class _Evidence(NamedTuple):
    """Rows by which transformations are compared.

    Attributes:
        features: (n, P) float64.
        targets: (n,) float64, above 0.
        fold_of: (n,).
    """

    features: Floats
    targets: Floats
    fold_of: Integers

    @classmethod
    def of(cls, inputs: Array, targets: Floats) -> "_Evidence":
        fold_of = generator(0, Purpose.TARGET_SCALE).permutation(len(targets)) % _FOLDS
        return cls(_features(inputs), targets, fold_of)

    def nll(self, transforms: Sequence[TargetTransform]) -> Floats:
        """Return the held-out NLL (C, n), in the target's own units, of C transformations."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is no number is never better
            return self._nll(transforms)

    def _nll(self, transforms: Sequence[TargetTransform]) -> Floats:
        values = np.stack([one.forward(self.targets) for one in transforms], axis=1)
        deviations = np.maximum(values.std(axis=0), np.finfo(np.float64).tiny)
        values = (values - values.mean(axis=0)) / deviations
        means = np.clip(self._held_out(values), values.min(axis=0), values.max(axis=0))
        found = np.empty((len(transforms), len(values)))
        for c, transform in enumerate(transforms):
            own = self._noise_nll(means[:, c], values[:, c] - means[:, c])
            found[c] = own + np.log(deviations[c]) - transform.log_slope(self.targets)
        return found

    def _held_out(self, values: Floats) -> Floats:
        """Return predictions (n, C) of standardised values (n, C), each by the other folds.

        Of the penalties each column has the one of the lowest squared error.
        """
        found = np.empty((len(_PENALTIES), *values.shape))
        for fold in range(_FOLDS):
            out = self.fold_of == fold
            design = self.features[~out]
            gram, moments = design.T @ design, design.T @ values[~out]
            diagonal = np.full(len(gram), float(np.trace(gram)) / len(gram))
            diagonal[0] = 0.0  # the intercept
            for place, penalty in enumerate(_PENALTIES):
                solved = np.linalg.solve(gram + np.diag(penalty * diagonal), moments)
                found[place, out] = self.features[out] @ solved
        best = ((found - values) ** 2).mean(axis=1).argmin(axis=0)
        return found[best, :, np.arange(values.shape[1])].T

    def _noise_nll(self, means: Floats, errors: Floats) -> Floats:
        """Return the mean NLL (n,) of errors (n,) under common noise and noise by the mean.

        The latter is that of `_BINS` bins of the mean, from the rows of the other folds.
        """
        squares = errors**2 + np.finfo(np.float64).tiny
        bins = max(1, min(_BINS, len(means) // _BIN_ROWS))
        inner = np.quantile(means, np.linspace(0.0, 1.0, bins + 1)[1:-1])
        place = np.searchsorted(inner, means, side="right")
        common, varying = np.empty((2, len(means)))
        for fold in range(_FOLDS):
            out = self.fold_of == fold
            mean = float(squares[~out].mean())
            sums = np.bincount(place[~out], squares[~out], minlength=bins)
            counts = np.bincount(place[~out], minlength=bins)
            own = (sums + _PRIOR_ROWS * mean) / (counts + _PRIOR_ROWS)
            common[out], varying[out] = mean, own[place[out]]
        pair = [0.5 * np.log(2 * np.pi * v) + squares / (2 * v) for v in (common, varying)]
        nll: Floats = np.mean(pair, axis=0)
        return nll


def _features(inputs: Array) -> Floats:
    """Return an intercept, the standardised features, and random rectified sums of them, (n, P)."""
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    flat -= flat.mean(axis=0)
    deviations = flat.std(axis=0)
    flat = flat[:, deviations > 0] / deviations[deviations > 0]
    np.clip(flat, -_FAR, _FAR, out=flat)
    random, width = generator(0, Purpose.TARGET_SCALE, step=1), max(flat.shape[1], 1)
    slopes = random.standard_normal((flat.shape[1], _SUMS)) / np.sqrt(width)
    sums = np.maximum(flat @ slopes + random.standard_normal(_SUMS), 0.0)
    if flat.shape[1] > _MOST_LINEAR:
        flat = flat @ (random.standard_normal((flat.shape[1], _MOST_LINEAR)) / np.sqrt(width))
    return np.concatenate([np.ones((len(flat), 1)), flat, sums], axis=1)
