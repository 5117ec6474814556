"""Feature scaling: standardisation, ranges, PCA and ZCA whitening; fitted and applied."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.tables.moments import ColumnMoments

# Products are made of this many rows, always, so that a row has the same bits in any block.
CHUNK = 256
# The divisor of constant columns: all values up to float32's largest become 0.
_CONSTANT_UNIT = 2.0**400
_SMALLEST = float(np.finfo(np.float64).smallest_subnormal)
# A direction with a smaller share of the largest variance is rounding, not variation.
_RANK_SHARE = 1e-10


@settings
class Standardize:
    """(x - mean) / deviation of each column, or of each image channel, on the training part.

    A column that is constant there is uninformative, and always becomes 0. Source: LeCun,
    Bottou, Orr & Mueller 1998, "Efficient BackProp", 4.3.
    """

    name: Literal["standardize"] = "standardize"


@settings
class RangeScale:
    """Each column's least and greatest training value become `low` and `high`, linearly.

    What lies beyond the training values lies beyond the range. Of images the pixels 0 and 255
    become `low` and `high`. A constant column always becomes `low`.
    """

    name: Literal["range"] = "range"
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")


@settings
class Pca:
    """Principal components of the standardised numbers, each divided by its deviation.

    z = V' x / sqrt(variance + epsilon), V the eigenvectors of the correlation matrix by falling
    variance. Sources: CS231n notes, "PCA and whitening"; PCA-cor of Kessy, Lewin & Strimmer 2018,
    "Optimal whitening and decorrelation".

    Attributes:
        components: how many are kept; None for all that vary.
        epsilon: added to the variances, so that directions of little variance are not blown up.
    """

    name: Literal["pca"] = "pca"
    components: Annotated[int, Gt(0)] | None = None
    epsilon: Annotated[float, Ge(0)] = 1e-5


@settings
class Zca:
    """The whitening that changes the standardised numbers least: z = V (V' x / sqrt(variance + e)).

    Sources: Krizhevsky 2009, "Learning multiple layers of features from tiny images", appendix A;
    ZCA-cor of Kessy, Lewin & Strimmer 2018.

    Attributes:
        epsilon: added to the variances, so that directions of little variance are not blown up.
    """

    name: Literal["zca"] = "zca"
    epsilon: Annotated[float, Ge(0)] = 1e-5


Scale = Standardize | RangeScale | Pca | Zca

SCALES: Registry[Scale] = Registry("scale", Scale)


@dataclass(frozen=True)
class Scaling:
    """A fitted scaling: encoded = ((x - center) / unit) matrix.

    Attributes:
        name: of the scale.
        centers, units: of each of C number columns, less their offsets, or of C image channels.
        matrix: (C, K), for K encoded numbers; empty where columns are not mixed, and K is C.
        means, deviations: of each of the K encoded numbers on the training part.
    """

    name: Literal["standardize", "range", "pca", "zca"]
    centers: tuple[float, ...]
    units: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...] = ()

    @property
    def mixes(self) -> bool:
        """Whether encoded numbers are mixtures of columns."""
        return self.name in ("pca", "zca")

    @cached_property
    def _columns(self) -> tuple[Floats, Floats]:
        return np.array(self.centers)[:, None], np.array(self.units)[:, None]

    @cached_property
    def _transposed(self) -> Floats:
        return np.ascontiguousarray(np.array(self.matrix, np.float64).T)

    def apply(self, numbers: Floats) -> Floats:
        """Return (K, n) float64 of (C, n) float64, which are overwritten."""
        centers, units = self._columns
        numbers -= centers
        numbers /= units
        return _product(self._transposed, numbers) if self.mixes else numbers


def fit_columns(scale: Scale, moments: ColumnMoments) -> Scaling:
    """Fit to the training moments of C columns; `whiten` completes it for PCA and ZCA."""
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


def _product(matrix: Floats, numbers: Floats) -> Floats:
    """Return matrix (K, C) times numbers (C, n), in chunks of one size, the last one padded."""
    columns, rows = numbers.shape
    out = np.empty((len(matrix), rows))
    chunk = np.zeros((columns, CHUNK))
    for start in range(0, rows, CHUNK):
        part = numbers[:, start : start + CHUNK]
        chunk[:, : part.shape[1]] = part
        out[:, start : start + CHUNK] = np.dot(matrix, chunk)[:, : part.shape[1]]
    return out


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
