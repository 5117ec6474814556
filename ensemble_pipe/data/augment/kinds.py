"""What an augmentation of single rows is: settings that say for which rows, and `apply`.

At strength zero each is the identity; none changes the array that it is given.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.tables.spans import Span


class ImageAugmentation(ABC):
    """An augmentation of images."""

    rows: ClassVar[Literal["images"]] = "images"

    @abstractmethod
    def apply(self, images: Array, random: np.random.Generator) -> Array:
        """Return new uint8 images (R, H, W, C) of the same shape."""


class SeriesAugmentation(ABC):
    """An augmentation of rows whose features are a series."""

    rows: ClassVar[Literal["series"]] = "series"

    @abstractmethod
    def apply(self, rows: Floats, random: np.random.Generator) -> Floats:
        """Return new float32 rows (R, D) of the same shape."""


class TableAugmentation(ABC):
    """An augmentation of rows whose features come from columns of a table."""

    rows: ClassVar[Literal["table"]] = "table"

    @abstractmethod
    def apply(self, rows: Floats, random: np.random.Generator, spans: Sequence[Span]) -> Floats:
        """Return new float32 rows (R, D) of the same shape.

        Args:
            rows: (R, D) float32.
            random: a generator.
            spans: which features are made of which column.
        """
