"""Augmentations of the rows of tables.

Each takes float32 rows (R, D) as the schema encodes them, and the spans of their source columns,
which cover all D features; it returns new rows of the same shape and type. At strength zero each is
the identity.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment.draws import Share
from ensemble_pipe.data.augment.kinds import TableAugmentation
from ensemble_pipe.data.tables.spans import Span, columns_of


@settings
class FeatureNoise(TableAugmentation):
    """Add Gaussian noise to numbers (Bishop 1995, "Training with noise is equivalent to Tikhonov
    regularization"); missing-indicators, one-hot features and codes stay as they are.

    Attributes:
        deviation: of the noise, in standard deviations of the column on the training part.
    """

    name: Literal["feature_noise"] = "feature_noise"
    deviation: Annotated[float, Ge(0), Le(100)] = 0.1

    def apply(self, rows: Floats, random: np.random.Generator, spans: Sequence[Span]) -> Floats:
        out = rows.copy()
        numbers = [span for span in spans if span.kind == "number"]
        if self.deviation > 0:  # adding 0 would turn -0 into 0
            scale = np.array([self.deviation * span.deviation for span in numbers], np.float32)
            noise = random.standard_normal((len(rows), len(numbers)), np.float32)
            out[:, [span.start for span in numbers]] += noise * scale
        return out


@settings
class FeatureDropout(TableAugmentation):
    """Make source columns of a row say nothing (van der Maaten et al. 2013, "Learning with
    marginalized corrupted features", blankout noise; without their rescaling).

    A number becomes its mean, not missing; a one-hot column becomes all zeros, and a code 0, as a
    category that the training part does not have.

    Attributes:
        probability: of losing its value, for each source column of each row.
    """

    name: Literal["feature_dropout"] = "feature_dropout"
    probability: Share = 0.1

    def apply(self, rows: Floats, random: np.random.Generator, spans: Sequence[Span]) -> Floats:
        blank = np.zeros(rows.shape[1], np.float32)
        for span in spans:
            if span.kind == "number":
                blank[span.start] = span.mean
        lost = random.random((len(rows), len(spans))) < self.probability
        return np.where(lost[:, columns_of(spans, rows.shape[1])], blank, rows)


@settings
class SwapNoise(TableAugmentation):
    """Take source columns of a row from other rows of the shard (Jahrer 2017, the winner of the
    competition "Porto Seguro's safe driver prediction").

    Each column takes its value from a row of its own, drawn among all others, so every value is
    one that its column has. All features of a column go together. A row alone keeps its values.

    Attributes:
        probability: of being taken from another row, for each source column of each row.
    """

    name: Literal["swap_noise"] = "swap_noise"
    probability: Share = 0.15

    def apply(self, rows: Floats, random: np.random.Generator, spans: Sequence[Span]) -> Floats:
        count = len(rows)
        swapped = random.random((count, len(spans))) < self.probability
        own = np.arange(count)[:, None]
        others = (own + random.integers(1, max(count, 2), swapped.shape)) % max(count, 1)
        donors = np.where(swapped, others, own)[:, columns_of(spans, rows.shape[1])]
        return np.take_along_axis(rows, donors, axis=0)
