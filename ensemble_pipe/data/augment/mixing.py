"""Mixing of the rows of a batch, with soft targets: mixup and CutMix.

Unlike other augmentations these work on the batches of a training, in place, and on targets too.
Every row n of a batch gets a partner p(n), by a permutation of the batch, and a share l(n) of its
own, drawn from Beta(alpha, alpha): it keeps the share l of itself and takes 1 - l of its partner.
"""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.augment.draws import Share
from ensemble_pipe.data.kernels import mixing as kernels

Alpha = Annotated[float, Gt(0), Le(1000)]


class Pairs(NamedTuple):
    """The rows of a batch, each with its partner.

    Attributes:
        originals: the rows as they were.
        partners: (N,), the number of each row's partner.
        out: a copy of `originals`, which the mixed rows replace.
    """

    originals: Floats
    partners: Integers
    out: Floats

    def reshaped(self, *shape: int) -> "Pairs":
        """Return the same pairs as views, rows of another shape."""
        originals, out = (
            rows.reshape((len(rows), *shape), copy=False) for rows in (self.originals, self.out)
        )
        return Pairs(originals, self.partners, out)


@settings
class Mixup:
    """Rows become weighted means of two (Zhang et al. 2018, "mixup: beyond empirical risk
    minimization"): l x_n + (1 - l) x_p.

    Attributes:
        alpha: of the Beta distribution; small ones leave most rows nearly as they are, 1 makes all
            shares equally likely.
        probability: of being mixed, for each row.
    """

    rows: ClassVar[Literal["any"]] = "any"

    name: Literal["mixup"] = "mixup"
    alpha: Alpha = 0.2
    probability: Share = 1.0

    def combine(self, pairs: Pairs, shares: Floats, random: np.random.Generator) -> Floats:
        """Mix every row with its partner; return the share (N,) that each row keeps of itself."""
        originals, partners, out = pairs.reshaped(math.prod(pairs.out.shape[1:]))
        kernels.blend(originals, partners, shares, out)
        return shares


@settings
class CutMix:
    """A box of each image comes from another (Yun et al. 2019, "CutMix: regularization strategy to
    train strong classifiers with localizable features", section 3).

    The box has the share sqrt(1 - l) of the image's height and width, rounded down, and its centre
    anywhere in the image, evenly; it is moved to whole pixels, and what lies outside of the image
    is cut off. l is then set to the share of pixels that the image keeps.

    Attributes:
        alpha: of the Beta distribution; 1 makes all areas equally likely.
        probability: of being mixed, for each image.
    """

    rows: ClassVar[Literal["images"]] = "images"

    name: Literal["cutmix"] = "cutmix"
    alpha: Alpha = 1.0
    probability: Share = 0.5

    def combine(self, pairs: Pairs, shares: Floats, random: np.random.Generator) -> Floats:
        """Mix every row with its partner; return the share (N,) that each row keeps of itself."""
        height, width, channels = pairs.out.shape[1:]
        side = np.sqrt(1 - shares)
        top, bottom = _interval(height, side, random)
        left, right = _interval(width, side, random)
        boxes = np.stack([top, bottom, left * channels, right * channels])
        originals, partners, out = pairs.reshaped(height, width * channels)
        kernels.paste(originals, partners, boxes, out)
        return np.asarray(1 - (bottom - top) * (right - left) / (height * width))


Mixing = Mixup | CutMix

MIXINGS: Registry[Mixing] = Registry("mixing", Mixing)


def with_addresses(mixings: Sequence[Mixing]) -> list[tuple[str, Mixing]]:
    """Return mixings with the names that their draws stand at; two of one kind draw apart."""
    return [(f"{place} {mixing.name}", mixing) for place, mixing in enumerate(mixings)]


def write_shares(targets: Array, shares: Floats) -> None:
    """Write class numbers (N,) as shares (N, T); other targets (N,) or (N, T) as they are."""
    if targets.ndim == 2 or shares.shape[1] == 1:
        shares[:] = targets.reshape(shares.shape)
    else:
        shares[:] = 0.0
        np.put_along_axis(shares, targets[:, None].astype(np.intp), 1, 1)


def mix(
    mixing: Mixing,
    inputs: Floats,
    targets: Floats,
    weights: Floats,
    random: np.random.Generator,
    scratch: Floats,
    codes: Integers,
) -> None:
    """Mix the rows of a batch in place.

    For every output of a network, a loss that is linear in the target, such as cross-entropy, then
    gives row n the mixed loss l w_n loss(t_n) + (1 - l) w_p loss(t_p): its weight becomes
    l w_n + (1 - l) w_p, and its target the mean of both weighted with those two parts. Under the
    squared error that holds for the gradient.

    Args:
        mixing: how.
        inputs: (N, *shape) float32, contiguous.
        targets: (N, T) float32, shares of classes or numbers.
        weights: (N,) float32, none negative.
        random: at the address of this batch.
        scratch: like inputs; overwritten.
        codes: places of features that are codes of categories, which have no mean: each row has
            that of the one of its two rows that it has the larger share of.

    Raises:
        ValueError: the mixing is for images, and the rows are none.
    """
    if mixing.rows == "images" and inputs.ndim != 4:
        raise ValueError(f"{mixing.name} is for images, not for rows of shape {inputs.shape[1:]}")
    rows = len(inputs)
    partners = random.permutation(rows)
    mixed = (random.random(rows) < mixing.probability) & (partners != np.arange(rows))
    shares = np.where(mixed, random.beta(mixing.alpha, mixing.alpha, rows), 1.0)
    scratch[...] = inputs
    shares = mixing.combine(Pairs(scratch, partners, inputs), shares, random)
    if len(codes):
        larger = np.where(shares >= 0.5, np.arange(rows), partners)
        inputs[:, codes] = scratch[larger[:, None], codes]
    kernels.blend_targets(partners, shares, targets.copy(), weights.copy(), targets, weights)


def _interval(length: int, share: Floats, random: np.random.Generator) -> tuple[Integers, Integers]:
    """Return where (N,) intervals start and stop that take `share` (N,) of 0 .. length - 1."""
    sizes = (length * share).astype(np.int64)
    centres = length * random.random(len(share))
    starts = np.rint(centres - sizes / 2).astype(np.int64)
    return np.maximum(starts, 0), np.minimum(starts + sizes, length)
