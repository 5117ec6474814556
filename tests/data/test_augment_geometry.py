"""Augmentations that move pixels, beside numpy, scipy.ndimage and Pillow."""

import numpy as np
import pytest
from augment_inputs import at, nonzero_images
from PIL import Image
from scipy import ndimage

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.augment import (
    HorizontalFlip,
    LensDistortion,
    RandomResizedCrop,
    ShiftCrop,
    Translate,
    VerticalFlip,
    matrices,
)
from ensemble_pipe.data.augment.warps import warp_images

SIZES = [(28, 28, 1), (32, 32, 3), (5, 7, 2), (50, 41, 3)]


def resampled(image: Array, places: Array) -> Array:
    """Return an image (H, W, C) read at places (2, H, W) by scipy, bilinearly."""
    planes = [
        ndimage.map_coordinates(plane.astype(float), places, order=1, mode="grid-constant")
        for plane in np.moveaxis(image, 2, 0)
    ]
    return np.stack(planes, 2)


def offsets(image: Array) -> Array:
    """Return the offsets (2, H, W) of the pixels from the middle."""
    height, width, _ = image.shape
    rows, columns = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    return np.stack(np.meshgrid(rows, columns, indexing="ij"))


def test_flips_exchange_sides() -> None:
    images = nonzero_images((20, 5, 7, 3))
    across, upside = HorizontalFlip(probability=1.0), VerticalFlip(probability=1.0)
    assert np.array_equal(across.apply(images, at()), images[:, :, ::-1])
    assert np.array_equal(upside.apply(images, at()), images[:, ::-1])
    for flip in (across, upside):
        assert np.array_equal(flip.apply(flip.apply(images, at()), at()), images)


def shifted(image: Array, down: int, right: int, pixels: int) -> Array:
    """The definition: pad by `pixels` zeros on each side, and crop back."""
    height, width, _ = image.shape
    padded = np.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)))
    top, left = pixels - down, pixels - right
    return padded[top : top + height, left : left + width]


@pytest.mark.parametrize("pixels", [1, 3, 9])
def test_a_shift_is_a_crop_of_the_padded_image(pixels: int) -> None:
    images = nonzero_images((60, 5, 7, 2))
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


@pytest.mark.parametrize("quarters", [-2, -1, 0, 1, 2, 3])
@pytest.mark.parametrize("side", [1, 6, 7, 40])
def test_quarter_turns_are_exact(quarters: int, side: int) -> None:
    images = nonzero_images((3, side, side, 3))
    turned = warp_images(images, matrices.rotation(np.full(3, np.radians(90 * quarters))))
    assert np.array_equal(turned, np.rot90(images, quarters, axes=(1, 2)))


def test_half_turns_are_exact_on_any_image() -> None:
    images = nonzero_images((3, 6, 9, 2))
    turned = warp_images(images, matrices.rotation(np.full(3, np.pi)))
    assert np.array_equal(turned, images[:, ::-1, ::-1])


def test_whole_pixels_are_moved_exactly() -> None:
    images = nonzero_images((1, 6, 9, 2))
    moved = warp_images(images, matrices.translation(np.array([2.0]), np.array([-3.0])))
    assert np.array_equal(moved[0], shifted(images[0], 2, -3, 4))


def maps() -> Array:
    """Return matrices of every kind, twenty of each, wild ones among them."""
    random = np.random.default_rng(5)
    return np.concatenate([
        matrices.rotation(random.uniform(-np.pi, np.pi, 20)),
        matrices.zoom(*random.uniform(0.2, 5, (2, 20))),
        matrices.shear(*random.uniform(-1.7, 1.7, (2, 20))),
        matrices.translation(*random.uniform(-30, 30, (2, 20))),
        random.uniform(-2, 2, (20, 2, 3)),
    ])  # fmt: skip


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_a_warp_is_scipys_affine_transform(shape: tuple[int, ...]) -> None:
    every = maps()
    images = nonzero_images((len(every), *shape))
    out = warp_images(images, every)
    middle = (np.array(shape[:2]) - 1) / 2
    for image, matrix, found in zip(images, every, out, strict=True):
        linear, offset = matrix[:, :2], middle + matrix[:, 2] - matrix[:, :2] @ middle
        for channel in range(shape[2]):
            plane = image[..., channel].astype(float)
            expected = ndimage.affine_transform(
                plane, linear, offset, order=1, mode="grid-constant"
            )
            assert np.abs(found[..., channel] - expected).max() < 0.6
            # mode="constant" has a hard edge instead of one that fades over a pixel.
            hard = ndimage.affine_transform(plane, linear, offset, order=1, mode="constant")
            inside = np.isclose(hard, expected)
            assert np.abs(found[..., channel] - hard)[inside].max(initial=0) < 0.6


def test_the_matrices_do_what_they_say() -> None:
    image = np.zeros((1, 9, 9, 1), np.uint8)
    image[0, 2, 4] = 255  # two pixels above the middle
    one = np.array([1.0])
    turned = warp_images(image, matrices.rotation(one * np.pi / 2))
    assert np.argwhere(turned[0, ..., 0]).tolist() == [[4, 2]]  # anticlockwise: left of it
    slanted = warp_images(image, matrices.shear(one, 0 * one))
    assert np.argwhere(slanted[0, ..., 0]).tolist() == [[2, 2]]
    higher = warp_images(image, matrices.zoom(2 * one, one))
    assert higher[0, :, 4, 0].argmax() == 0
    for slopes in ([0.5, -1.2], [1.7, 1.7]):  # a shear keeps areas
        (matrix,) = matrices.shear(*(one * slope for slope in slopes))
        assert np.linalg.det(matrix[:, :2]) == pytest.approx(1)


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_a_resized_crop_is_pillows(shape: tuple[int, ...]) -> None:
    crop = RandomResizedCrop(scale=(0.1, 1.0), ratio=(0.5, 2.0))
    images = nonzero_images((40, *shape))
    out = crop.apply(images, at())
    random, (height, width, _) = at(), shape
    area = random.random(40) * 0.9 + 0.1
    ratio = np.exp(np.log(0.5) + (np.log(2) - np.log(0.5)) * random.random(40))
    high = np.minimum(np.sqrt(area / ratio), 1) * height
    wide = np.minimum(np.sqrt(area * ratio), 1) * width
    top, left = random.random((2, 40)) * (height - high, width - wide)
    boxes = np.stack([left, top, left + wide, top + high], 1).clip(0, [width, height] * 2)
    for image, box, found in zip(images, boxes.tolist(), out, strict=True):
        for channel in range(shape[2]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
            expected = plane.resize((width, height), Image.Resampling.BILINEAR, box=tuple(box))
            difference = found[..., channel].astype(int) - np.asarray(expected)
            assert np.abs(difference).max() <= 2  # Pillow rounds between the axes


def test_a_resized_crop_shows_no_edge() -> None:
    white = np.full((100, 8, 11, 1), 255, np.uint8)
    assert RandomResizedCrop(scale=(0.05, 1.0)).apply(white, at()).min() == 255


def test_a_translation_reaches_as_far_as_it_says() -> None:
    image = np.zeros((3000, 11, 11, 1), np.uint8)
    image[:, 5, 5] = 255
    out = Translate(share=0.2).apply(image, at())
    reached = np.argwhere(out.sum(0)[..., 0])
    assert reached.min() == 5 - 3  # 2.2 pixels, spread over two
    assert reached.max() == 5 + 3


@pytest.mark.parametrize("curvature", [-0.3, -0.1, 0.2, 1.0])
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_a_lens_moves_pixels_along_their_radius(curvature: float, shape: tuple[int, ...]) -> None:
    images = nonzero_images((2, *shape))
    out = LensDistortion(curvature=(curvature, curvature)).apply(images, at())
    offset = offsets(images[0])
    squares = (offset**2).sum(0)
    middle = (np.array(shape[:2]) - 1) / 2
    places = offset * (1 + curvature * squares / squares.max()) + middle[:, None, None]
    for image, found in zip(images, out, strict=True):
        assert np.abs(found - resampled(image, places)).max() < 0.6
