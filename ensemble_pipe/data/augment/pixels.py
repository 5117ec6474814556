"""Augmentations that change pixel values: colour, blur, noise, and parts erased.

Each takes uint8 images (R, H, W, C) and returns new ones of the same shape and type. At strength
zero each is the identity. `probability` is that of each image of being augmented.
"""

from functools import cache
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment.draws import Share, check_range, choose_rows, log_uniform, uniform
from ensemble_pipe.data.augment.geometry import by_lines
from ensemble_pipe.data.augment.kinds import ImageAugmentation
from ensemble_pipe.data.kernels.blur import blur
from ensemble_pipe.data.kernels.color import jitter
from ensemble_pipe.data.kernels.pixels import add_noise, channel_means, erase

Sigma = Annotated[float, Ge(0), Le(64)]
Aspect = Annotated[float, Ge(0.01), Le(100)]
TRUNCATE = 3.0  # the blur's kernel ends at so many deviations


@settings
class ColorJitter(ImageAugmentation):
    """Change brightness, contrast, saturation and hue, in this order.

    With v a value, each factor f drawn from max(0, 1 - strength) to 1 + strength, and every result
    clipped and rounded: brightness f v; contrast m + f (v - m), m the mean of the grey image;
    saturation g + f (v - g), g the pixel's grey, 0.299 R + 0.587 G + 0.114 B; the hue is turned by
    up to its strength, in turns of the circle, to either side. These are torchvision's
    definitions, whose order is drawn too (PyTorch's `ColorJitter`; Howard 2013, "Some improvements
    on deep convolutional neural network based image classification"; Krizhevsky et al. 2012 shift
    colours along their principal axes instead).

    Images without three channels have no colour: saturation and hue do nothing to them, and their
    grey is the mean of their channels.
    """

    name: Literal["color_jitter"] = "color_jitter"
    brightness: Annotated[float, Ge(0), Le(10)] = 0.2
    contrast: Annotated[float, Ge(0), Le(10)] = 0.2
    saturation: Annotated[float, Ge(0), Le(10)] = 0.2
    hue: Annotated[float, Ge(0), Le(0.5)] = 0.05
    probability: Share = 1.0

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows = len(images)
        wanted = choose_rows(random, rows, self.probability)
        brightness, contrast, saturation = (
            np.where(wanted, uniform(random, rows, (max(0.0, 1 - strength), 1 + strength)), 1)
            for strength in (self.brightness, self.contrast, self.saturation)
        )
        turns = 6 * uniform(random, rows, (-self.hue, self.hue)) * wanted
        out = np.empty(images.shape, np.uint8)
        jitter(images, brightness, contrast, saturation, turns, out)
        return out


@settings
class Blur(ImageAugmentation):
    """Blur with a Gaussian, mirrored at the edges, that ends at three deviations.

    The kernel is sampled at whole pixels up to floor(3 sigma + 1/2) and scaled to the sum 1, as
    scipy.ndimage.gaussian_filter does with `truncate=3` (Gonzalez & Woods, "Digital image
    processing", section 3.5; in augmentation: Chen et al. 2020, "A simple framework for
    contrastive learning", appendix A).

    Attributes:
        sigma: range of the deviation, in pixels, drawn uniformly; below 1/6 nothing happens.
    """

    name: Literal["blur"] = "blur"
    sigma: tuple[Sigma, Sigma] = (0.0, 1.0)
    probability: Share = 1.0

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma)

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows = len(images)
        wanted = choose_rows(random, rows, self.probability)
        weights, radii = gaussian_weights(uniform(random, rows, self.sigma) * wanted)
        return by_lines(images, blur, images.shape[3], weights, radii)


@settings
class Noise(ImageAugmentation):
    """Add independent Gaussian noise to every value, clipped to 0 ... 255 and rounded.

    Noise on the inputs is a penalty on the gradient (Bishop 1995, "Training with noise is
    equivalent to Tikhonov regularization").

    Attributes:
        deviation: of the noise, in grey levels.
    """

    name: Literal["noise"] = "noise"
    deviation: Annotated[float, Ge(0), Le(255)] = 8.0
    probability: Share = 1.0

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows, size = len(images), int(np.prod(images.shape[1:]))
        deviations = self.deviation * choose_rows(random, rows, self.probability)
        # Four 16-bit words from each draw.
        words = random.integers(0, 2**64, (rows, -(-size // 4)), np.uint64).view(np.uint16)
        out = np.empty(images.shape, np.uint8)
        add_noise(images, deviations, normal_quantiles(), words, out)
        return out


@settings
class Cutout(ImageAugmentation):
    """Erase a box (DeVries & Taylor 2017; Zhong et al. 2020, "Random erasing").

    Attributes:
        area: range of the box's share of the area, drawn uniformly, before its sides are rounded
            to pixels and cut to those of the image.
        aspect: range of its height over its width, in pixels, drawn uniformly in the logarithm.
        fill: what it is filled with: a grey level, or "mean" for the image's own mean colour.
    """

    name: Literal["cutout"] = "cutout"
    area: tuple[Share, Share] = (0.02, 0.33)
    aspect: tuple[Aspect, Aspect] = (0.3, 3.3)
    fill: Annotated[int, Ge(0), Le(255)] | Literal["mean"] = 0
    probability: Share = 0.5

    def __post_init__(self) -> None:
        check_range("area", self.area)
        check_range("aspect", self.aspect)

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows, height, width, channels = images.shape
        wanted = choose_rows(random, rows, self.probability)
        pixels = uniform(random, rows, self.area) * wanted * (height * width)
        aspect = log_uniform(random, rows, self.aspect)
        high = np.minimum(np.rint(np.sqrt(pixels * aspect)), height)
        wide = np.minimum(np.rint(np.sqrt(pixels / aspect)), width)
        top, left = random.random((2, rows)) * (height - high + 1, width - wide + 1)
        fills = np.empty((rows, channels), np.uint8)
        if self.fill == "mean":
            channel_means(images, fills)
        else:
            fills[:] = self.fill
        out = images.copy()
        erase(np.stack([top, left, high, wide]).astype(np.int64), fills, out)
        return out


def gaussian_weights(sigmas: Floats) -> tuple[Floats, Array]:
    """Return half kernels, (R, 1 + the largest radius) float32 from the middle on, and radii (R,).

    Args:
        sigmas: (R,) pixels.
    """
    radii = np.floor(TRUNCATE * sigmas + 0.5).astype(np.int64)
    places = np.arange(radii.max(initial=0) + 1)
    # Where the radius is zero, any positive deviation gives the same.
    exponents = -0.5 * (places / np.where(radii > 0, sigmas, 1)[:, None]) ** 2
    weights = np.where(places <= radii[:, None], np.exp(exponents), 0)
    weights /= 2 * weights.sum(1, keepdims=True) - 1
    return weights.astype(np.float32), radii


@cache
def normal_quantiles() -> Floats:
    """Return (65536,) float32: as many equally likely numbers, of mean 0 and deviation 1.

    They reach to 4.3 deviations and lie within 0.001 of the normal's own quantiles, which is less
    than the rounding to grey levels; looking one up is faster than drawing a normal number.
    """
    normal, half = NormalDist(), 2**15
    positive = np.array([normal.inv_cdf(0.5 + (i + 0.5) / 2**16) for i in range(half)])
    positive /= np.sqrt(np.mean(positive**2))
    return np.concatenate([-positive[::-1], positive]).astype(np.float32)
