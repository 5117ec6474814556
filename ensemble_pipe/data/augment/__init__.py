"""Augmentations: pure functions of (rows, generator), by the name that pipelines write."""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.augment.geometry import HorizontalFlip, ShiftCrop

__all__ = ["AUGMENTATIONS", "Augmentation", "HorizontalFlip", "ShiftCrop", "augment"]

Augmentation = HorizontalFlip | ShiftCrop

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "horizontal_flip": HorizontalFlip,
    "shift_crop": ShiftCrop,
}


def augment(images: Array, policy: Sequence[Augmentation], random: np.random.Generator) -> Array:
    """Apply a policy, one augmentation after another, to images (R, H, W, C)."""
    for augmentation in policy:
        images = augmentation.apply(images, random)
    return images
