"""Augmentations of images: pure functions of (images, generator), by their names in pipelines."""

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
