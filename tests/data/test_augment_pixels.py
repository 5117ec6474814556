"""Augmentations that change values, beside Pillow, colorsys, scipy.ndimage and their statistics."""

import colorsys
from typing import Any

import numpy as np
import pytest
from augment_inputs import at, images_of
from PIL import Image, ImageEnhance
from scipy import ndimage, stats

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.augment import Blur, ColorJitter, Cutout, Noise
from ensemble_pipe.data.augment.pixels import gaussian_weights, normal_quantiles
from ensemble_pipe.data.kernels.color import jitter

FACTORS = [0.0, 0.3, 0.9, 1.0, 1.3, 4.0]
ENHANCE = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


def jittered(images: Array, **changes: float) -> Array:
    """Return images changed by given factors, and by a turn in sixths of the circle."""
    numbers = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "turns": 0.0, **changes}
    out = np.empty_like(images)
    each = {name: np.full(len(images), number) for name, number in numbers.items()}
    jitter(images, out=out, **each)
    return out


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("kind", ENHANCE)
def test_colours_change_as_in_pillow(kind: str, factor: float) -> None:
    images = images_of((5, 17, 13, 3))
    for image, found in zip(images, jittered(images, **{kind: factor}), strict=True):
        expected = np.asarray(ENHANCE[kind](Image.fromarray(image)).enhance(factor))
        # Pillow rounds the mean and the grey to whole levels, and then down.
        tolerance = 1 if kind != "contrast" else 1 + abs(1 - factor) / 2
        assert np.abs(found.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("kind", ["brightness", "contrast"])
def test_grey_images_change_as_in_pillow(kind: str) -> None:
    images = images_of((5, 17, 13, 1))
    for image, found in zip(images, jittered(images, **{kind: 1.3}), strict=True):
        expected = ENHANCE[kind](Image.fromarray(image[..., 0])).enhance(1.3)
        assert np.abs(found[..., 0].astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("turn", [-3.0, -1.7, -0.2, 0.4, 1.0, 2.9, 3.0])
def test_hues_turn_as_in_colorsys(turn: float) -> None:
    image = images_of((1, 20, 20, 3))[0].copy()
    image[0] = np.repeat(image[0, :, :1], 3, axis=1)  # greys
    image[1, ::2], image[1, 1::2] = [255, 0, 0], [0, 255, 255]
    (found,) = jittered(image[None], turns=turn)
    for pixel, value in zip(image.reshape(-1, 3), found.reshape(-1, 3), strict=True):
        hue, saturation, brightness = colorsys.rgb_to_hsv(*(pixel / 255))
        expected = colorsys.hsv_to_rgb((hue + turn / 6) % 1, saturation, brightness)
        assert np.abs(value - 255 * np.array(expected)).max() <= 0.51


def test_a_third_of_a_turn_exchanges_the_channels() -> None:
    images = images_of((5, 9, 9, 3))
    assert np.array_equal(jittered(images, turns=2.0), images[..., [2, 0, 1]])


def test_changes_follow_one_another() -> None:
    images = images_of((5, 9, 9, 3))
    one = jittered(images, brightness=1.2, contrast=0.7, saturation=1.5, turns=0.4)
    other = images
    for change in ({"brightness": 1.2}, {"contrast": 0.7}, {"saturation": 1.5}, {"turns": 0.4}):
        other = jittered(other, **change)
    assert np.array_equal(one, other)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_without_three_channels_there_is_no_colour(channels: int) -> None:
    images = images_of((20, 9, 9, channels))
    colour = ColorJitter(brightness=0, contrast=0, saturation=1.0, hue=0.5)
    assert np.array_equal(colour.apply(images, at()), images)


def test_a_strength_is_the_largest_change() -> None:
    images = np.full((3000, 2, 2, 1), 100, np.uint8)
    out = ColorJitter(brightness=0.3, contrast=0).apply(images, at())
    assert (out.min(), out.max()) == (70, 130)
    assert out.mean() == pytest.approx(100, abs=1)


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.7, 1.0, 2.5, 9.0])
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (3, 40, 2)], ids=str)
def test_a_blur_is_scipys_gaussian_filter(sigma: float, shape: tuple[int, ...]) -> None:
    images = images_of((3, *shape))
    out = Blur(sigma=(sigma, sigma)).apply(images, at())
    for image, found in zip(images, out, strict=True):
        for channel in range(shape[2]):
            plane = image[..., channel].astype(float)
            expected = ndimage.gaussian_filter(plane, sigma, mode="reflect", truncate=3)
            assert np.abs(found[..., channel] - expected).max() < 0.51


def test_images_of_one_batch_are_blurred_by_deviations_of_their_own() -> None:
    weights, radii = gaussian_weights(np.array([0.0, 0.1, 0.5, 2.0]))
    assert radii.tolist() == [0, 0, 2, 6]
    assert 2 * weights.sum(1) - weights[:, 0] == pytest.approx(np.ones(4))
    images = images_of((60, 9, 9, 1))
    together = Blur(sigma=(0.0, 2.0)).apply(images, at())
    sigmas = 2 * at().random(60)
    alone = [
        Blur(sigma=(sigma, sigma)).apply(images[i : i + 1], at())[0]
        for i, sigma in enumerate(sigmas.tolist())
    ]
    assert np.array_equal(together, alone)


def test_noise_is_normal_with_its_deviation() -> None:
    images = np.full((50, 20, 20, 3), 128, np.uint8)
    noise = Noise(deviation=20).apply(images, at()).astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=0.3)
    assert noise.std() == pytest.approx(20, rel=0.01)
    levels = np.arange(-100.5, 101)
    shares, _ = np.histogram(noise, levels)
    expected = noise.size * np.diff(stats.norm.cdf(levels / 20))
    common = expected > 20
    assert stats.chisquare(shares[common], expected[common] * shares[common].sum()
        / expected[common].sum()).pvalue > 1e-3  # fmt: skip
    neighbours = np.corrcoef(noise.ravel()[:-1], noise.ravel()[1:])[0, 1]
    assert abs(neighbours) < 0.02


def test_the_quantiles_are_those_of_the_normal() -> None:
    table = normal_quantiles()
    exact = stats.norm.ppf((np.arange(65536) + 0.5) / 65536)
    assert np.abs(table - exact).max() < 1e-3
    assert table.astype(float).mean() == 0
    assert table.astype(float).std() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("fill", [0, 77, "mean"])
def test_a_cutout_is_one_box_of_its_fill(fill: Any) -> None:
    images = images_of((200, 12, 15, 3)) // 2 + 128  # no 0 and no 77
    out = Cutout(area=(0.1, 0.4), fill=fill, probability=1.0).apply(images, at())
    shares = []
    for image, found in zip(images, out, strict=True):
        color = np.floor(image.mean((0, 1)) + 0.5) if fill == "mean" else fill
        erased = (found == color).all(2)
        rows, columns = np.flatnonzero(erased.any(1)), np.flatnonzero(erased.any(0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert erased[box].all()
        assert np.array_equal(found[~erased], image[~erased])
        shares.append(erased.mean())
    assert np.mean(shares) == pytest.approx(0.25, abs=0.02)


def test_a_cutout_has_the_area_and_the_aspect_it_says() -> None:
    images = np.ones((500, 100, 80, 1), np.uint8)
    out = Cutout(area=(0.2, 0.2), aspect=(0.5, 2.0), probability=1.0).apply(images, at())
    assert (out == 0).mean((1, 2, 3)) == pytest.approx(np.full(500, 0.2), abs=0.01)
    heights, widths = (out == 0).any(2).sum(1), (out == 0).any(1).sum(1)
    ratios = (heights / widths)[:, 0]
    assert ratios.min() == pytest.approx(0.5, abs=0.05)
    assert ratios.max() == pytest.approx(2, abs=0.1)


def test_boxes_are_cut_out_everywhere() -> None:
    images = np.ones((3000, 6, 9, 1), np.uint8)
    out = Cutout(area=(0.1, 0.3), probability=1.0).apply(images, at())
    assert (out == 0).mean(0).min() > 0.04
