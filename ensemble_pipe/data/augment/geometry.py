"""Augmentations that move pixels.

Each takes uint8 images (R, H, W, C) and returns new ones of the same shape and type. At strength
zero each is the identity.
"""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.kernels import geometry as kernels
from ensemble_pipe.settings import settings


@settings
class HorizontalFlip:
    """Exchange left and right.

    Attributes:
        probability: of a flip, for each image.
    """

    name: Literal["horizontal_flip"] = "horizontal_flip"
    probability: Annotated[float, Ge(0), Le(1)] = 0.5

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        flips = random.random(len(images)) < self.probability
        out = np.empty_like(images)
        kernels.flip_horizontally(images, flips, out)
        return out


@settings
class ShiftCrop:
    """Pad with zeros and crop back at a random place (He et al. 2016, section 4.2).

    Attributes:
        pixels: width of the padding; the image moves by up to that much each way.
    """

    name: Literal["shift_crop"] = "shift_crop"
    pixels: Annotated[int, Ge(0), Le(1024)] = 2

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        moves = random.integers(-self.pixels, self.pixels, (2, len(images)), endpoint=True)
        out = np.empty_like(images)
        kernels.shift(images, moves[0], moves[1], out)
        return out
