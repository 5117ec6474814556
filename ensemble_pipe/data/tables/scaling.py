"""Feature scaling: its settings, and fitted scalings, which are applied to blocks of rows."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings

# Products are made of this many rows, always, so that a row has the same bits in any block.
CHUNK = 256
# What x / sqrt(1 + (x / _BEND)**2) tends to; beyond _FAR it is that to the last bit.
_BEND = 3.0
_FAR = 1e9
LEAST_SHARE = 1e-7


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


@settings
class RobustClip:
    """z / sqrt(1 + (z/3)^2), with z = (x - median) / (interquartile range) of the training part.

    Smooth, and between -3 and 3, so that no value far out is seen as one. Where the interquartile
    range is 0, half the range stands for it; where that is 0, the column is constant, and always
    becomes 0. Source: Holzmueller, Grinsztajn & Steinwart 2024, "Better by default", section 3.1.
    """

    name: Literal["robust_clip"] = "robust_clip"


@settings
class Quantile:
    """Each column's distribution becomes the standard normal one.

    The least and the largest of n values become the quantiles of 1/(2n) and 1 - 1/(2n), and so does
    all beyond them: 3.3 of 1,000 rows, 4.3 of 50,000, never beyond 5.2.

    max(min(n/30, 1000), 10) quantiles of the n training rows are fitted to the column plus noise,
    which spreads equal values out: of a deviation of 1e-5 interquartile ranges of its distinct
    values. Between quantiles the distribution is linear. A constant column becomes 0. Sources:
    Gorishniy et al. 2021, "Revisiting deep learning models for tabular data", 4.3; scikit-learn's
    `QuantileTransformer`.
    """

    name: Literal["quantile"] = "quantile"


Scale = Standardize | RangeScale | Pca | Zca | RobustClip | Quantile

SCALES: Registry[Scale] = Registry("scale", Scale)
# Those of which an encoded number is a mixture of columns, and those that are linear in each.
MIXING = ("pca", "zca")
LINEAR = ("standardize", "range")


@dataclass(frozen=True)
class Scaling:
    """A fitted scaling: encoded = bend((x - center) / unit) matrix.

    `bend` is the identity, but for `robust_clip` and `quantile`.

    Attributes:
        name: of the scale.
        centers, units: of each of C number columns, less their offsets, or of C image channels.
        matrix: (C, K), for K encoded numbers; empty where columns are not mixed, and K is C.
        means, deviations: of each of the K encoded numbers on the training part.
        quantiles: of `quantile`, of each column the ascending quantiles of (x - center) / unit, at
            equal steps from share 0 to 1; () of a constant one. Empty for other scales.
        least_share: of `quantile`, the least and, from 1, the largest share of a normal
            distribution that a quantile becomes.
    """

    name: Literal["standardize", "range", "pca", "zca", "robust_clip", "quantile"]
    centers: tuple[float, ...]
    units: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...] = ()
    quantiles: tuple[tuple[float, ...], ...] = ()
    least_share: float = LEAST_SHARE

    @property
    def mixes(self) -> bool:
        """Whether encoded numbers are mixtures of columns."""
        return self.name in MIXING

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
        with np.errstate(over="ignore"):
            numbers /= units
        if self.name == "robust_clip":
            return _bounded(numbers)
        if self.name == "quantile":
            return self._to_normal(numbers)
        return _product(self._transposed, numbers) if self.mixes else numbers

    def inverse(self, column: int, encoded: Floats) -> Floats:
        """Return the numbers (n,) float64 of a column that is not mixed, for encoded ones (n,).

        Beyond the ends of what `robust_clip` and `quantile` tell apart they are those ends.
        """
        if self.mixes:
            raise ValueError(f"{self.name} mixes columns, so that none has a number of its own")
        numbers = encoded
        if self.name == "robust_clip":
            bent = np.clip(encoded / _BEND, -1 + 1e-6, 1 - 1e-6)
            numbers = _BEND * bent / np.sqrt(1.0 - bent**2)
        if self.name == "quantile":
            from scipy.special import ndtr

            quantiles = self._quantile_arrays[column]
            known = len(quantiles) > 0
            shares = _shares(len(quantiles))
            numbers = (
                np.interp(ndtr(encoded), shares, quantiles) if known else np.zeros_like(encoded)
            )
        found: Floats = numbers * self.units[column] + self.centers[column]
        return found

    def _to_normal(self, numbers: Floats) -> Floats:
        """Return the normal quantiles (C, n) of standardised numbers (C, n), overwriting them."""
        from scipy.special import ndtri

        for values, quantiles in zip(numbers, self._quantile_arrays, strict=True):
            if len(quantiles):
                values[:] = np.interp(values, quantiles, _shares(len(quantiles)))
            else:
                values[:] = 0.5
        np.clip(numbers, self.least_share, 1.0 - self.least_share, out=numbers)
        found: Floats = ndtri(numbers, out=numbers)
        return found

    @cached_property
    def _quantile_arrays(self) -> list[Floats]:
        return [np.array(quantiles, np.float64) for quantiles in self.quantiles]

    def factors(self, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Return (scale, shift), float32 of a shape (H, W, C): scaled = pixels * scale + shift."""
        scale = 1.0 / np.array(self.units)
        pair = scale, -np.array(self.centers) * scale
        first, second = (np.broadcast_to(one, shape).astype(np.float32) for one in pair)
        return first, second

    def agrees(self, columns: int) -> bool:
        """Whether its parts fit C columns of numbers, or channels, and each other."""
        encoded, known = len(self.means), {len(self.centers), len(self.units)}
        if known != {columns} or len(self.deviations) != encoded:
            return False
        if self.mixes and [len(row) for row in self.matrix] != [encoded] * columns:
            return False
        if not self.mixes and encoded != columns:
            return False
        if len(self.quantiles) != (columns if self.name == "quantile" else 0):
            return False
        vectors = (self.centers, self.units, self.means, self.deviations, *self.quantiles)
        finite = all(np.isfinite(one).all() for one in (*vectors, *self.matrix))
        rising = all((np.diff(one) >= 0).all() for one in self._quantile_arrays)
        if not 0 < self.least_share < 0.5:
            return False
        return finite and rising and min(self.units, default=1.0) > 0


@lru_cache(maxsize=8)
def _shares(count: int) -> Floats:
    """Return the shares of the quantiles, at equal steps; batch by batch they are the same."""
    shares = np.linspace(0.0, 1.0, count)
    shares.setflags(write=False)
    return shares


def _bounded(numbers: Floats) -> Floats:
    """Return x / sqrt(1 + (x / 3)^2), of numbers that are overwritten and may be infinite."""
    np.clip(numbers, -_FAR, _FAR, out=numbers)
    numbers /= np.sqrt(1.0 + (numbers / _BEND) ** 2)
    return numbers


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
