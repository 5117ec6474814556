"""Augmentations: one table of promises that each of them keeps."""

import numpy as np
import pytest

from ensemble_pipe import seeds
from ensemble_pipe.arrays import Array
from ensemble_pipe.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    HorizontalFlip,
    ShiftCrop,
    augment,
)

# Of each: at strength zero, and as strong as it gets.
TABLE: dict[str, tuple[Augmentation, Augmentation]] = {
    "horizontal_flip": (HorizontalFlip(probability=0.0), HorizontalFlip(probability=1.0)),
    "shift_crop": (ShiftCrop(pixels=0), ShiftCrop(pixels=3)),
}
SHAPES = [(50, 8, 8, 1), (50, 5, 7, 3), (1, 4, 4, 1), (0, 4, 4, 1)]

each = pytest.mark.parametrize("name", AUGMENTATIONS)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def images_of(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(3).integers(1, 256, shape).astype(np.uint8)


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
    images.setflags(write=False)
    out = TABLE[name][1].apply(images, at())
    assert np.array_equal(images, images_of(shape))
    assert not np.shares_memory(out, images)


@each
@each_shape
def test_strength_zero_is_the_identity(name: str, shape: tuple[int, ...]) -> None:
    assert np.array_equal(TABLE[name][0].apply(images_of(shape), at()), images_of(shape))


@each
def test_full_strength_is_not(name: str) -> None:
    assert not np.array_equal(
        TABLE[name][1].apply(images_of(SHAPES[0]), at()), images_of(SHAPES[0])
    )


@each
def test_the_same_address_gives_the_same_bits(name: str) -> None:
    default = AUGMENTATIONS[name]()
    images = images_of(SHAPES[0])
    first = default.apply(images, at(epoch=2))
    assert np.array_equal(default.apply(images, at(epoch=2)), first)
    assert not np.array_equal(default.apply(images, at(epoch=3)), first)
    assert not np.array_equal(default.apply(images, at(epoch=2, shard=1)), first)


def test_a_flip_exchanges_left_and_right() -> None:
    images = images_of((20, 5, 7, 3))
    flipped = HorizontalFlip(probability=1.0).apply(images, at())
    assert np.array_equal(flipped, images[:, :, ::-1])


def test_each_image_is_flipped_or_not_with_its_probability() -> None:
    images = images_of((4000, 4, 4, 1))
    out = HorizontalFlip(probability=0.25).apply(images, at())
    kept = (out == images).all((1, 2, 3))
    flipped = (out == images[:, :, ::-1]).all((1, 2, 3))
    assert (kept | flipped).all()
    assert flipped.mean() == pytest.approx(0.25, abs=0.03)


def shifted(image: Array, down: int, right: int, pixels: int) -> Array:
    """The definition: pad by `pixels` zeros on each side, and crop back."""
    height, width, _ = image.shape
    padded = np.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)))
    top, left = pixels - down, pixels - right
    return padded[top : top + height, left : left + width]


@pytest.mark.parametrize("pixels", [1, 3, 9])
def test_a_shift_is_a_crop_of_the_padded_image(pixels: int) -> None:
    images = images_of((60, 5, 7, 2))
    moves = at().integers(-pixels, pixels, (2, len(images)), endpoint=True)
    expected = [
        shifted(image, down, right, pixels)
        for image, down, right in zip(images, *moves.tolist(), strict=True)
    ]
    assert np.array_equal(ShiftCrop(pixels=pixels).apply(images, at()), expected)


def test_shifts_go_everywhere_they_may() -> None:
    image = np.zeros((2000, 5, 5, 1), np.uint8)
    image[:, 2, 2] = 1
    where = ShiftCrop(pixels=2).apply(image, at()).sum(0)[..., 0]
    assert where.sum() == 2000
    assert where.min() > 40


def test_a_policy_is_applied_in_its_order() -> None:
    images = images_of((40, 6, 6, 1))
    shift, flip = ShiftCrop(pixels=2), HorizontalFlip(probability=0.5)
    random = at()
    expected = flip.apply(shift.apply(images, random), random)
    assert np.array_equal(augment(images, (shift, flip), at()), expected)
    assert not np.array_equal(augment(images, (flip, shift), at()), expected)


def test_no_policy_changes_nothing() -> None:
    assert np.array_equal(augment(images_of((4, 6, 6, 1)), (), at()), images_of((4, 6, 6, 1)))
