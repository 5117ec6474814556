"""Augmentations of series: rows of D values at equal distances in time.

Each takes float32 rows (R, D) and returns new ones of the same shape and type. At strength zero
each is the identity. A row is changed with `probability`, and left as it is bit for bit otherwise.
Amplitudes and zeros are those of the encoded rows.
"""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment.draws import Share
from ensemble_pipe.data.augment.kinds import SeriesAugmentation


@settings
class SignalShift(SeriesAugmentation):
    """Move a series in time; its first or last value fills the gap, so that no step arises.

    Attributes:
        steps: the furthest it moves, each way; every whole number up to it is equally likely.
        probability: of being moved, for each row.
    """

    name: Literal["signal_shift"] = "signal_shift"
    steps: Annotated[int, Ge(0), Le(1_000_000)] = 2
    probability: Share = 1.0

    def apply(self, rows: Floats, random: np.random.Generator) -> Floats:
        count, width = rows.shape
        moved = random.random(count) < self.probability
        moves = np.where(moved, random.integers(-self.steps, self.steps, count, endpoint=True), 0)
        sources = np.clip(np.arange(width) - moves[:, None], 0, width - 1)
        return np.take_along_axis(rows, sources, axis=1)


@settings
class SignalScale(SeriesAugmentation):
    """Multiply a series with one factor (Um et al. 2017, "Data augmentation of wearable sensor
    data for Parkinson's disease monitoring", scaling).

    Attributes:
        factor: the largest; factors lie between 1 / factor and factor, evenly in their logarithm,
            so that none is favoured over its inverse.
        probability: of being scaled, for each row.
    """

    name: Literal["signal_scale"] = "signal_scale"
    factor: Annotated[float, Ge(1), Le(1000)] = 1.2
    probability: Share = 1.0

    def apply(self, rows: Floats, random: np.random.Generator) -> Floats:
        scaled = random.random(len(rows)) < self.probability
        logarithms = random.uniform(-1, 1, len(rows)) * np.log(self.factor) * scaled
        out: Floats = rows * np.exp(logarithms).astype(np.float32)[:, None]
        return out


@settings
class TimeMask(SeriesAugmentation):
    """Set a stretch of a series to zero (Park et al. 2019, "SpecAugment", section 2).

    Its length is drawn evenly from 0 to share * D, then its place.

    Attributes:
        share: of the series, the longest stretch.
        probability: of being masked, for each row.
    """

    name: Literal["time_mask"] = "time_mask"
    share: Share = 0.2
    probability: Share = 1.0

    def apply(self, rows: Floats, random: np.random.Generator) -> Floats:
        mask = _masks(rows.shape, self.share, self.probability, random)
        return np.where(mask, np.float32(0), rows)


@settings
class FrequencyMask(SeriesAugmentation):
    """Take a band of frequencies out of a series, as `TimeMask` does with time (Park et al. 2019,
    "SpecAugment", section 2, who mask bands of a mel spectrogram).

    The bands are those of the real Fourier transform: bins 0 (the row's mean) to D // 2.

    Attributes:
        share: of the D // 2 + 1 bins, the widest band.
        probability: of being masked, for each row.
    """

    name: Literal["frequency_mask"] = "frequency_mask"
    share: Share = 0.2
    probability: Share = 1.0

    def apply(self, rows: Floats, random: np.random.Generator) -> Floats:
        count, width = rows.shape
        mask = _masks((count, width // 2 + 1), self.share, self.probability, random)
        masked = np.flatnonzero(mask.any(axis=1))
        spectrum = np.fft.rfft(rows[masked])
        spectrum[mask[masked]] = 0
        out = rows.copy()
        out[masked] = np.fft.irfft(spectrum, width)
        return out


@settings
class SignalNoise(SeriesAugmentation):
    """Add Gaussian noise of its own to every value of a series (Bishop 1995, "Training with noise
    is equivalent to Tikhonov regularization").

    Attributes:
        deviation: of the noise, in the units of the encoded rows.
        probability: of being noisy, for each row.
    """

    name: Literal["signal_noise"] = "signal_noise"
    deviation: Annotated[float, Ge(0), Le(100)] = 0.05
    probability: Share = 1.0

    def apply(self, rows: Floats, random: np.random.Generator) -> Floats:
        out = rows.copy()
        noisy = np.flatnonzero(random.random(len(rows)) < self.probability)
        if self.deviation > 0:  # adding 0 would turn -0 into 0
            noise = random.standard_normal((len(noisy), rows.shape[1]), np.float32)
            out[noisy] += noise * np.float32(self.deviation)
        return out


def _masks(
    shape: tuple[int, ...], share: float, probability: float, random: np.random.Generator
) -> Array:
    """Return (R, width), true along one stretch of a row; the longest takes `share` of it."""
    count, width = shape
    masked = random.random(count) < probability
    lengths = random.integers(0, int(share * width), count, endpoint=True) * masked
    starts = random.integers(0, width - lengths, endpoint=True)
    places = np.arange(width)
    return (places >= starts[:, None]) & (places < (starts + lengths)[:, None])
