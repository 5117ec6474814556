"""Augmentations of images: pure functions of (images, generator), by their names in pipelines."""

from ensemble_pipe.core.registry import Registry
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

AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation", Augmentation)
