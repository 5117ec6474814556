"""Augmentations of images: one table of promises that each of them keeps."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from conftest import Prepared

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    Blur,
    ColorJitter,
    Cutout,
    HorizontalFlip,
    LensDistortion,
    Noise,
    RandomResizedCrop,
    Rotation,
    Shear,
    ShiftCrop,
    Stretch,
    Translate,
    VerticalFlip,
)
from ensemble_pipe.data.augment.policy import augment

# Of each: at strength zero, and as strong as it gets, always.
TABLE: dict[str, tuple[Augmentation, Augmentation]] = {
    "horizontal_flip": (HorizontalFlip(probability=0.0), HorizontalFlip(probability=1.0)),
    "vertical_flip": (VerticalFlip(probability=0.0), VerticalFlip(probability=1.0)),
    "shift_crop": (ShiftCrop(pixels=0), ShiftCrop(pixels=3)),
    "random_resized_crop": (
        RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0)),
        RandomResizedCrop(scale=(0.1, 0.5), ratio=(0.1, 10.0)),
    ),
    "rotation": (Rotation(degrees=0), Rotation(degrees=180)),
    "stretch": (Stretch(zoom=(1.0, 1.0)), Stretch(zoom=(0.1, 10.0))),
    "shear": (Shear(degrees=0), Shear(degrees=60)),
    "translate": (Translate(share=0), Translate(share=1)),
    "lens_distortion": (
        LensDistortion(curvature=(0.0, 0.0)),
        LensDistortion(curvature=(-0.3, 1.0)),
    ),
    "color_jitter": (
        ColorJitter(brightness=0, contrast=0, saturation=0, hue=0),
        ColorJitter(brightness=10, contrast=10, saturation=10, hue=0.5),
    ),
    "blur": (Blur(sigma=(0.0, 0.0)), Blur(sigma=(3.0, 20.0))),
    "noise": (Noise(deviation=0), Noise(deviation=255)),
    "cutout": (
        Cutout(area=(0.0, 0.0), probability=1.0),
        Cutout(area=(0.1, 1.0), fill="mean", probability=1.0),
    ),
}
SHAPES = [(50, 8, 8, 1), (50, 5, 7, 3), (20, 40, 33, 2), (1, 4, 4, 1), (9, 1, 1, 3), (0, 4, 4, 1)]

each = pytest.mark.parametrize("name", AUGMENTATIONS)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def images_of(shape: tuple[int, ...]) -> Array:
    images = np.random.default_rng(3).integers(1, 256, shape).astype(np.uint8)
    images.setflags(write=False)  # as shards are: kernels are compiled for one kind of array
    return images


def at(epoch: int = 0, shard: int = 0) -> np.random.Generator:
    return seeds.generator(1, seeds.Purpose.AUGMENT, epoch=epoch, shard=shard)


def test_the_table_covers_every_augmentation() -> None:
    assert {name: type(weak) for name, (weak, _) in TABLE.items()} == AUGMENTATIONS
    assert all(strong.name == name for name, (_, strong) in TABLE.items())


@each
@each_shape
def test_shape_and_type_are_kept(name: str, shape: tuple[int, ...]) -> None:
    out = TABLE[name][1].apply(images_of(shape), at())
    assert out.shape == shape
    assert out.dtype == np.uint8


@each
@each_shape
def test_the_input_is_left_alone(name: str, shape: tuple[int, ...]) -> None:
    images = images_of(shape)
    out = TABLE[name][1].apply(images, at())
    assert np.array_equal(images, images_of(shape))
    assert not np.shares_memory(out, images)


@each
@each_shape
def test_strength_zero_is_the_identity(name: str, shape: tuple[int, ...]) -> None:
    assert np.array_equal(TABLE[name][0].apply(images_of(shape), at()), images_of(shape))


@each
@each_shape
def test_probability_zero_is_the_identity(name: str, shape: tuple[int, ...]) -> None:
    never = replace(TABLE[name][1], probability=0.0)
    assert np.array_equal(never.apply(images_of(shape), at()), images_of(shape))


@each
def test_full_strength_is_not(name: str) -> None:
    out = TABLE[name][1].apply(images_of(SHAPES[0]), at())
    assert not np.array_equal(out, images_of(SHAPES[0]))


@each
def test_each_image_is_augmented_or_not_with_its_probability(name: str) -> None:
    images = images_of((4000, 7, 7, 3))
    often = replace(TABLE[name][1], probability=0.25).apply(images, at())
    changed = (often != images).any((1, 2, 3)).mean()
    certain = (TABLE[name][1].apply(images, at()) != images).any((1, 2, 3)).mean()
    assert certain > 0.9
    assert changed == pytest.approx(0.25 * certain, abs=0.025)


@each
def test_the_same_address_gives_the_same_bits(name: str) -> None:
    often = replace(AUGMENTATIONS[name](), probability=0.5)
    images = images_of(SHAPES[1])
    first = often.apply(images, at(epoch=2))
    assert np.array_equal(often.apply(images, at(epoch=2)), first)
    assert not np.array_equal(often.apply(images, at(epoch=3)), first)
    assert not np.array_equal(often.apply(images, at(epoch=2, shard=1)), first)


@each
def test_an_image_is_augmented_the_same_whatever_the_others_show(name: str) -> None:
    often = replace(TABLE[name][1], probability=0.5)
    images, others = images_of(SHAPES[1]), images_of(SHAPES[1]).copy()
    others[1:] = 255 - others[1:]
    others.setflags(write=False)
    assert np.array_equal(often.apply(images, at())[0], often.apply(others, at())[0])
    first, second = at(), at()
    often.apply(images, first)
    often.apply(others, second)
    assert first.random() == second.random()


@each
def test_the_layout_in_memory_does_not_matter(name: str) -> None:
    images = images_of(SHAPES[1])
    turned = np.asfortranarray(images)
    policy = (TABLE[name][1],)
    assert np.array_equal(augment(turned, policy, at()), augment(images, policy, at()))
    assert turned.flags.writeable


# Each channel has noise of its own.
@pytest.mark.parametrize("name", sorted(AUGMENTATIONS.keys() - {"noise"}))
def test_channels_that_are_equal_stay_equal(name: str) -> None:
    gray = images_of((30, 9, 6, 1))
    strong = TABLE[name][1]
    three = strong.apply(np.repeat(gray, 3, axis=3), at())
    assert np.array_equal(three, np.repeat(strong.apply(gray, at()), 3, axis=3))


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        (name, field.name)
        for name, kind in AUGMENTATIONS.items()
        for field in fields(kind)
        if isinstance(field.default, tuple)
    ],
)
def test_a_range_in_the_wrong_order_is_refused(name: str, setting: str) -> None:
    kind: Any = AUGMENTATIONS[name]
    message = rf"^{setting}: the first number \(1.0\) must not be above"
    with pytest.raises(ValueError, match=message):
        kind(**{setting: (1.0, 0.5)})


def test_a_policy_is_applied_in_its_order() -> None:
    images = images_of((40, 6, 6, 1))
    shift, flip = ShiftCrop(pixels=2), HorizontalFlip(probability=0.5)
    random = at()
    expected = flip.apply(shift.apply(images, random), random)
    assert np.array_equal(augment(images, (shift, flip), at()), expected)
    assert not np.array_equal(augment(images, (flip, shift), at()), expected)


def test_no_policy_changes_nothing() -> None:
    assert np.array_equal(augment(images_of((4, 6, 6, 1)), (), at()), images_of((4, 6, 6, 1)))


def test_a_shift_that_may_leave_nothing_is_refused(prepare: Callable[..., Prepared]) -> None:
    prepare(augment=[{"name": "shift_crop", "pixels": 7}])
    message = "augment: shift_crop by up to 8 pixels may leave nothing of images of 8x8; take fewer"
    with pytest.raises(ConfigError, match=message):
        prepare(augment=[{"name": "shift_crop", "pixels": 8}])
