"""Augmentations that move whole pixels: flips and shifts.

Each takes uint8 images (R, H, W, C) and returns new ones of the same shape and type. At strength
zero each is the identity. `probability` is that of each image of being augmented.
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment.draws import Share, chosen
from ensemble_pipe.data.kernels import geometry as kernels


def lines_of(images: Array) -> Array:
    """Return images (R, H, W, C) as contiguous lines (R, H, W C)."""
    rows, height, width, channels = images.shape
    return np.ascontiguousarray(images).reshape(rows, height, width * channels)


@settings
class HorizontalFlip:
    """Exchange left and right (Krizhevsky, Sutskever & Hinton 2012, section 4.1)."""

    rows: ClassVar[Literal["images"]] = "images"

    name: Literal["horizontal_flip"] = "horizontal_flip"
    probability: Share = 0.5

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        flips = chosen(random, len(images), self.probability)
        lines = lines_of(images)
        out = np.empty_like(lines)
        places = np.arange(lines.shape[2], dtype=np.uint32).reshape(images.shape[2:])
        kernels.flip_horizontally(lines, flips, places[::-1].ravel(), out)
        return out.reshape(images.shape)


@settings
class VerticalFlip:
    """Exchange top and bottom, where up and down mean nothing, as in pictures from above."""

    rows: ClassVar[Literal["images"]] = "images"

    name: Literal["vertical_flip"] = "vertical_flip"
    probability: Share = 0.5

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        flips = chosen(random, len(images), self.probability)
        lines = lines_of(images)
        out = np.empty_like(lines)
        kernels.flip_vertically(lines, flips, out)
        return out.reshape(images.shape)


@settings
class ShiftCrop:
    """Pad with zeros and crop back at a random place (He et al. 2016, section 4.2).

    Attributes:
        pixels: width of the padding; the image moves by up to that much each way.
    """

    rows: ClassVar[Literal["images"]] = "images"

    name: Literal["shift_crop"] = "shift_crop"
    pixels: Annotated[int, Ge(0), Le(1024)] = 2
    probability: Share = 1.0

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows = len(images)
        wanted = chosen(random, rows, self.probability)
        moves = random.integers(-self.pixels, self.pixels, (2, rows), endpoint=True) * wanted
        lines = lines_of(images)
        out = np.empty_like(lines)
        kernels.shift(lines, moves[0], moves[1] * images.shape[3], out)
        return out.reshape(images.shape)
