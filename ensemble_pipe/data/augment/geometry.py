"""Augmentations that move whole pixels: flips and shifts.

Each takes uint8 images (R, H, W, C) and returns new ones of the same shape and type. At strength
zero each is the identity. `probability` is that of each image of being augmented.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment.draws import Share, choose_rows
from ensemble_pipe.data.augment.kinds import ImageAugmentation
from ensemble_pipe.data.kernels import geometry as kernels


def by_lines(images: Array, kernel: Callable[..., None], *arguments: Any) -> Array:
    """Return what a kernel (lines, *arguments, out) makes of images (R, H, W, C).

    Lines and out are the images as contiguous lines (R, H, W C).
    """
    rows, height, width, channels = images.shape
    lines = np.ascontiguousarray(images).reshape(rows, height, width * channels)
    out = np.empty_like(lines)
    kernel(lines, *arguments, out)
    return out.reshape(images.shape)


@settings
class HorizontalFlip(ImageAugmentation):
    """Exchange left and right (Krizhevsky, Sutskever & Hinton 2012, section 4.1)."""

    name: Literal["horizontal_flip"] = "horizontal_flip"
    probability: Share = 0.5

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        width, channels = images.shape[2:]
        flips = choose_rows(random, len(images), self.probability)
        places = np.arange(width * channels, dtype=np.uint32).reshape(width, channels)
        return by_lines(images, kernels.flip_horizontally, flips, places[::-1].ravel())


@settings
class VerticalFlip(ImageAugmentation):
    """Exchange top and bottom, where up and down mean nothing, as in pictures from above."""

    name: Literal["vertical_flip"] = "vertical_flip"
    probability: Share = 0.5

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        flips = choose_rows(random, len(images), self.probability)
        return by_lines(images, kernels.flip_vertically, flips)


@settings
class ShiftCrop(ImageAugmentation):
    """Pad with zeros and crop back at a random place (He et al. 2016, section 4.2).

    Attributes:
        pixels: width of the padding; the image moves by up to that much each way.
    """

    name: Literal["shift_crop"] = "shift_crop"
    pixels: Annotated[int, Ge(0), Le(1024)] = 2
    probability: Share = 1.0

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows = len(images)
        wanted = choose_rows(random, rows, self.probability)
        moves = random.integers(-self.pixels, self.pixels, (2, rows), endpoint=True) * wanted
        return by_lines(images, kernels.shift, moves[0], moves[1] * images.shape[3])
