"""Augmentations that warp images: affine maps and a lens, bilinear.

Each takes uint8 images (R, H, W, C) and returns new ones of the same shape and type. What comes
from outside an image is zero, and its edge fades into that over one pixel. At strength zero each
is the identity. `probability` is that of each image of being augmented. Affine distortions of
training images go back to Simard, Steinkraus & Platt 2003, "Best practices for convolutional neural
networks applied to visual document analysis".
"""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment import matrices
from ensemble_pipe.data.augment.draws import (
    Share,
    both_sides,
    check_range,
    choose_rows,
    log_uniform,
    uniform,
)
from ensemble_pipe.data.augment.kinds import ImageAugmentation
from ensemble_pipe.data.kernels.warp import warp

Zoom = Annotated[float, Ge(0.1), Le(10)]
Curvature = Annotated[float, Ge(-0.3), Le(1)]


def warp_images(images: Array, maps: Floats, bends: Floats | None = None, reach: int = 1) -> Array:
    """Return images (R, H, W, C) under maps (R, 2, 3); see `data.kernels.warp.warp`."""
    out = np.empty(images.shape, np.uint8)
    warp(images, maps, np.zeros(len(images)) if bends is None else bends, reach, out)
    return out


@settings
class RandomResizedCrop(ImageAugmentation):
    """Cut out a part and blow it up to the size of the image (Szegedy et al. 2015, section 6).

    Attributes:
        scale: range of the part's share of the area, drawn uniformly.
        ratio: range of the part's width over its height, as a multiple of the image's own, drawn
            uniformly in the logarithm. A side that would be longer than the image's is cut to it.
    """

    name: Literal["random_resized_crop"] = "random_resized_crop"
    scale: tuple[
        Annotated[float, Gt(0), Le(1)], Annotated[float, Gt(0), Le(1)]
    ] = (0.5, 1.0)  # fmt: skip
    ratio: tuple[Zoom, Zoom] = (3 / 4, 4 / 3)
    probability: Share = 1.0

    def __post_init__(self) -> None:
        check_range("scale", self.scale)
        check_range("ratio", self.ratio)

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows, height, width, _ = images.shape
        wanted = choose_rows(random, rows, self.probability)
        area = np.where(wanted, uniform(random, rows, self.scale), 1)
        ratio = np.where(wanted, log_uniform(random, rows, self.ratio), 1)
        places = random.random((2, rows)) - 0.5
        # Shares of the sides.
        high, wide = np.minimum(np.sqrt(area / ratio), 1), np.minimum(np.sqrt(area * ratio), 1)
        maps = matrices.zoom(1 / high, 1 / wide)
        maps[:, 0, 2] = places[0] * height * (1 - high)
        maps[:, 1, 2] = places[1] * width * (1 - wide)
        return warp_images(images, maps, reach=0)


@settings
class Rotation(ImageAugmentation):
    """Turn about the middle.

    Attributes:
        degrees: the largest angle, to either side.
    """

    name: Literal["rotation"] = "rotation"
    degrees: Annotated[float, Ge(0), Le(180)] = 10.0
    probability: Share = 1.0

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        (angles,) = both_sides(random, (1, len(images)), self.degrees, self.probability)
        return warp_images(images, matrices.rotation(np.radians(angles)))


@settings
class Stretch(ImageAugmentation):
    """Stretch or squeeze each axis, about the middle.

    Attributes:
        zoom: range of the factor, drawn for each axis, uniformly in the logarithm.
    """

    name: Literal["stretch"] = "stretch"
    zoom: tuple[Zoom, Zoom] = (0.8, 1.25)
    probability: Share = 1.0

    def __post_init__(self) -> None:
        check_range("zoom", self.zoom)

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows = len(images)
        wanted = choose_rows(random, rows, self.probability)
        down, right = log_uniform(random, 2 * rows, self.zoom).reshape(2, rows)
        return warp_images(
            images, matrices.zoom(np.where(wanted, down, 1), np.where(wanted, right, 1))
        )


@settings
class Shear(ImageAugmentation):
    """Slant the columns by one angle, then the rows by another, about the middle.

    Attributes:
        degrees: the largest angle, to either side.
    """

    name: Literal["shear"] = "shear"
    degrees: Annotated[float, Ge(0), Le(60)] = 10.0
    probability: Share = 1.0

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        angles = both_sides(random, (2, len(images)), self.degrees, self.probability)
        return warp_images(images, matrices.shear(*np.tan(np.radians(angles))))


@settings
class Translate(ImageAugmentation):
    """Move by a part of the side, and by parts of a pixel.

    Attributes:
        share: the largest move, to either side, as a share of the height and of the width.
    """

    name: Literal["translate"] = "translate"
    share: Share = 0.1
    probability: Share = 1.0

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows, height, width, _ = images.shape
        down, right = both_sides(random, (2, rows), self.share, self.probability)
        return warp_images(images, matrices.translation(down * height, right * width))


@settings
class LensDistortion(ImageAugmentation):
    """Bend straight lines as a lens does: r' = r (1 + curvature r^2) (Brown 1966).

    r is the distance from the middle in the new image, 1 in its corners, and r' that in the old
    one. Above zero lines bulge outwards (a barrel), below zero inwards (a pincushion); from -1/3
    on the picture would fold over in the corners.

    Attributes:
        curvature: range of the first radial coefficient, k1.
    """

    name: Literal["lens_distortion"] = "lens_distortion"
    curvature: tuple[Curvature, Curvature] = (-0.15, 0.15)
    probability: Share = 1.0

    def __post_init__(self) -> None:
        check_range("curvature", self.curvature)

    def apply(self, images: Array, random: np.random.Generator) -> Array:
        rows, height, width, _ = images.shape
        wanted = choose_rows(random, rows, self.probability)
        curvatures = uniform(random, rows, self.curvature) * wanted
        corner = max((height - 1) ** 2 + (width - 1) ** 2, 1) / 4  # squared distance
        still = np.zeros(rows)
        return warp_images(images, matrices.translation(still, still), curvatures / corner)
