"""Images to augment, and the address of the draws."""

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array


def at(epoch: int = 0) -> np.random.Generator:
    return seeds.generator(1, seeds.Purpose.AUGMENT, epoch=epoch)


def images_of(shape: tuple[int, ...], lowest: int = 0) -> Array:
    images = np.random.default_rng(3).integers(lowest, 256, shape).astype(np.uint8)
    images.setflags(write=False)  # as shards are: kernels are compiled for one kind of array
    return images


def nonzero_images(shape: tuple[int, ...]) -> Array:
    """Return images in which a zero can only come from a border."""
    return images_of(shape, lowest=1)
