"""Augmentations: pure functions of (rows, generator), by the name that pipelines write."""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.augment.geometry import HorizontalFlip, ShiftCrop, VerticalFlip
from ensemble_pipe.data.augment.pixels import Blur, ColorJitter, Cutout, Noise
from ensemble_pipe.data.augment.warps import (
    LensDistortion,
    RandomResizedCrop,
    Rotation,
    Shear,
    Stretch,
    Translate,
)

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Blur",
    "ColorJitter",
    "Cutout",
    "HorizontalFlip",
    "LensDistortion",
    "Noise",
    "RandomResizedCrop",
    "Rotation",
    "Shear",
    "ShiftCrop",
    "Stretch",
    "Translate",
    "VerticalFlip",
    "augment",
]

Augmentation = (
    HorizontalFlip
    | VerticalFlip
    | ShiftCrop
    | RandomResizedCrop
    | Rotation
    | Stretch
    | Shear
    | Translate
    | LensDistortion
    | ColorJitter
    | Blur
    | Noise
    | Cutout
)

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "horizontal_flip": HorizontalFlip,
    "vertical_flip": VerticalFlip,
    "shift_crop": ShiftCrop,
    "random_resized_crop": RandomResizedCrop,
    "rotation": Rotation,
    "stretch": Stretch,
    "shear": Shear,
    "translate": Translate,
    "lens_distortion": LensDistortion,
    "color_jitter": ColorJitter,
    "blur": Blur,
    "noise": Noise,
    "cutout": Cutout,
}


def augment(images: Array, policy: Sequence[Augmentation], random: np.random.Generator) -> Array:
    """Apply a policy, one augmentation after another, to images (R, H, W, C)."""
    for augmentation in policy:
        images = augmentation.apply(images, random)
    return images
