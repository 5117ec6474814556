"""Fitting of scales to statistics of the training rows: moments, correlations and quantiles."""

from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.seeds import Purpose, generator
from ensemble_pipe.data.tables.moments import ColumnMoments
from ensemble_pipe.data.tables.scaling import (
    LEAST_SHARE,
    Pca,
    Quantile,
    RangeScale,
    RobustClip,
    Scale,
    Scaling,
    Zca,
)

# The divisor of constant columns: all values up to float32's largest become 0.
_CONSTANT_UNIT = 2.0**400
_SMALLEST = float(np.finfo(np.float64).smallest_subnormal)
# A direction with a smaller share of the largest variance is rounding, not variation.
_RANK_SHARE = 1e-10
# Quantiles are fitted to a sample: of each column, and of all columns together.
_MOST_SAMPLED_ROWS = 1 << 18
_MOST_SAMPLED_NUMBERS = 1 << 23
# The deviation of the noise that spreads equal values out, in units of the column.
_NOISE = 1e-5
_ROWS_A_QUANTILE, _FEWEST_QUANTILES, _MOST_QUANTILES = 30, 10, 1000
# Of all columns together, for they stand in the schema.
_MOST_STORED = 1 << 17


def fit_columns(scale: Scale, moments: ColumnMoments) -> Scaling:
    """Fit to the training moments of C columns.

    `whiten` completes it for PCA and ZCA, `fit_sample` for what is fitted to quantiles.
    """
    if isinstance(scale, RangeScale):
        spreads = moments.high - moments.low
        units = _units(spreads > 0, spreads / (scale.high - scale.low))
        centers = moments.low - scale.low * units
    else:
        units = _units(~moments.constant, moments.deviations)
        centers = moments.means
    return Scaling(
        name=scale.name,
        centers=_floats(centers),
        units=_floats(units),
        means=_floats((moments.means - centers) / units),
        deviations=_floats(moments.deviations / units),
    )


def _units(varies: Array, spreads: Floats) -> Floats:
    """Return the divisors (C,) of the columns: their spreads, positive however small."""
    return np.where(varies, np.maximum(spreads, _SMALLEST), _CONSTANT_UNIT)


def whiten(scale: Pca | Zca, fitted: Scaling, correlation: Floats) -> Scaling:
    """Complete the scaling by the correlation matrix (C, C) of the standardised numbers.

    Raises:
        ConfigError: there are fewer components that vary than are asked for.
    """
    variances, vectors = np.linalg.eigh(correlation)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    varying = variances > _RANK_SHARE * max(variances[0], 0.0)
    variances, vectors = variances[varying], vectors[:, varying]
    # The sign of an eigenvector is arbitrary: its largest entry is made positive.
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    vectors = vectors * np.sign(largest)
    if isinstance(scale, Pca):
        if not len(variances):
            raise ConfigError(
                "scale.name: pca keeps the directions that the number columns vary along, but all "
                "are constant in the training part; take standardize"
            )
        kept = len(variances) if scale.components is None else scale.components
        if kept > len(variances):
            raise ConfigError(
                f"scale.components: {kept}, but the number columns vary along {len(variances)} "
                "directions"
            )
        variances, vectors = variances[:kept], vectors[:, :kept]
    matrix = vectors / np.sqrt(variances + scale.epsilon)
    if isinstance(scale, Zca):
        matrix = matrix @ vectors.T
    spread = np.sqrt(np.maximum(np.einsum("ck,cd,dk->k", matrix, correlation, matrix), 0.0))
    return Scaling(
        name=fitted.name,
        centers=fitted.centers,
        units=fitted.units,
        means=(0.0,) * matrix.shape[1],
        deviations=_floats(spread),
        matrix=tuple(_floats(row) for row in matrix),
    )


def fit_pixels(scale: Scale, sums: Integers, squares: Integers, count: int) -> Scaling:
    """Fit to the channels of images.

    Args:
        scale: standardize, or range.
        sums, squares: (C,) int64 of the pixels and of their squares; they are exact.
        count: pixels of each channel.
    """
    moments = ColumnMoments.empty(len(sums))
    moments.counts += count
    moments.means = sums / count
    exact = [count * int(q) - int(s) ** 2 for s, q in zip(sums, squares, strict=True)]
    moments.squares = np.array([value / count for value in exact])
    moments.low[:], moments.high[:] = 0.0, 255.0
    return fit_columns(scale, moments)


def sampled_rows(train: Array, columns: int) -> Array:
    """Return which rows (R,) quantiles are fitted to: every training row, or each s-th of many.

    They are at most 2^18 (262,144) rows, and at most 2^23 numbers (64 MiB) of all columns.

    Args:
        train: (R,) bool.
        columns: how many are fitted, at least one.
    """
    places = np.flatnonzero(train)
    most = max(1, min(_MOST_SAMPLED_ROWS, _MOST_SAMPLED_NUMBERS // columns))
    sampled = np.zeros(len(train), bool)
    sampled[places[:: -(-len(places) // most)]] = True
    return sampled


def fit_sample(
    scale: RobustClip | Quantile,
    fitted: Scaling,
    moments: ColumnMoments,
    sample: Floats,
    names: Sequence[str],
    rows: int,
) -> Scaling:
    """Complete a scaling by quantiles of its columns.

    Args:
        scale: whose quantiles are fitted.
        fitted: of `fit_columns`.
        moments: of the C columns on the training part.
        sample: (C, n), of the training rows of `sampled_rows`.
        names: of the C columns, which their noise is addressed by.
        rows: of the training part.
    """
    if isinstance(scale, RobustClip):
        low, medians, high = np.array([np.quantile(x, [0.25, 0.5, 0.75]) for x in sample]).T
        spreads = np.where(high > low, high - low, (moments.high - moments.low) / 2)
        divisors = _floats(_units(spreads > 0, spreads))
        found = replace(fitted, centers=_floats(medians), units=divisors)
    else:
        count = min(rows // _ROWS_A_QUANTILE, _MOST_QUANTILES, _MOST_STORED // len(names))
        count = max(count, _FEWEST_QUANTILES)
        pairs = zip(sample, names, strict=True)
        columns = [_quantiles(values, name, count) for values, name in pairs]
        centers, units, quantiles = zip(*columns, strict=True)
        least = max(LEAST_SHARE, 0.5 / max(rows, 2))
        found = replace(
            fitted, centers=centers, units=units, quantiles=quantiles, least_share=least
        )
    encoded = found.apply(sample)
    return replace(
        found, means=_floats(encoded.mean(axis=1)), deviations=_floats(encoded.std(axis=1))
    )


def _quantiles(values: Floats, name: str, count: int) -> tuple[float, float, tuple[float, ...]]:
    """Return center, unit and standardised quantiles, with noise, at `count` shares from 0 to 1.

    Median and interquartile range of the distinct values (n,) are center and unit, since one value
    far out would make mean and deviation so large that all others were one in float64, and a heavy
    mass at one value would make an interquartile range 0.
    """
    distinct = np.unique(values)
    low, center, high = np.quantile(distinct, [0.25, 0.5, 0.75]).tolist()
    if not high > low:
        return center, _CONSTANT_UNIT, ()
    random = generator(0, Purpose.QUANTILE_NOISE, shard=crc32(name.encode()))
    noisy = (values - center) / (high - low) + _NOISE * random.standard_normal(len(values))
    found = np.quantile(noisy, np.linspace(0.0, 1.0, count))
    return center, high - low, _floats(np.maximum.accumulate(found))  # rounding may lead below


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
