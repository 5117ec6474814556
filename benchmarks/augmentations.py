"""Augmented images per second and core, beside Pillow and scipy.ndimage, image by image.

    python benchmarks/augmentations.py --folder /path/to/fashion-mnist

augments 1,000 images of 28 x 28 x 1 (Fashion-MNIST where a folder is given, else made up) and 1,000
of 32 x 32 x 3 (made up), in one process with one thread, and divides by the CPU time. Both sides
draw random numbers, take uint8 arrays and return uint8 arrays; the peer goes through the images one
by one, as data loaders do. The two take turns for a moment each, round after round; the ratio is
the median over rounds of that round's two rates. Prints a table and one JSON line, which `--write`
keeps under benchmarks/results and docs/augmentation.md shows.
"""

import math
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from keeping import publish
from PIL import Image, ImageEnhance
from scipy import ndimage
from turns import turns_parser

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.augment import AUGMENTATIONS, Augmentation
from ensemble_pipe.data.sources import Idx

COUNT = 1000  # images

Random = np.random.Generator
Peer = Callable[[Array, Any, Random], Array]  # (image (H, W, C), settings, random) -> image


def as_picture(image: Array) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def as_array(picture: Image.Image) -> Array:
    found = np.asarray(picture)
    return found[..., None] if found.ndim == 2 else found


def affine(image: Array, linear: Floats, move: Floats | float = 0.0) -> Array:
    """Warp by Pillow: the inverse map, of offsets (x, y) from the middle."""
    height, width, _ = image.shape
    middle = np.array([width, height]) / 2
    offset = middle + move - linear @ middle
    numbers = (*linear[0], offset[0], *linear[1], offset[1])
    transform = Image.Transform.AFFINE
    picture = as_picture(image).transform(
        (width, height), transform, numbers, Image.Resampling.BILINEAR
    )
    return as_array(picture)


def log_uniform(random: Random, bounds: tuple[float, float], count: int) -> Floats:
    low, high = np.log(bounds)
    found: Floats = np.exp(random.uniform(low, high, count))
    return found


def flip(direction: Image.Transpose) -> Peer:
    def apply(image: Array, settings: Any, random: Random) -> Array:
        return as_array(as_picture(image).transpose(direction))

    return apply


def shift_crop(image: Array, settings: Any, random: Random) -> Array:
    height, width, _ = image.shape
    left, top = random.integers(-settings.pixels, settings.pixels, 2, endpoint=True).tolist()
    return as_array(as_picture(image).crop((left, top, left + width, top + height)))


def resized_crop(image: Array, settings: Any, random: Random) -> Array:
    height, width, _ = image.shape
    area = random.uniform(*settings.scale)
    ratio = float(log_uniform(random, settings.ratio, 1)[0])
    high, wide = height * min(math.sqrt(area / ratio), 1), width * min(math.sqrt(area * ratio), 1)
    top, left = random.uniform(0, height - high), random.uniform(0, width - wide)
    box = (left, top, left + wide, top + high)
    return as_array(as_picture(image).resize((width, height), Image.Resampling.BILINEAR, box))


def rotation(image: Array, settings: Any, random: Random) -> Array:
    degrees = random.uniform(-settings.degrees, settings.degrees)
    return as_array(as_picture(image).rotate(degrees, Image.Resampling.BILINEAR))


def stretch(image: Array, settings: Any, random: Random) -> Array:
    return affine(image, np.diag(np.exp(-log_uniform(random, settings.zoom, 2))))


def shear(image: Array, settings: Any, random: Random) -> Array:
    down, right = np.tan(np.radians(random.uniform(-settings.degrees, settings.degrees, 2)))
    return affine(image, np.array([[1, -down], [-right, 1 + down * right]]))


def translate(image: Array, settings: Any, random: Random) -> Array:
    share = random.uniform(-settings.share, settings.share, 2)
    return affine(image, np.eye(2), share * image.shape[:2])


def lens_distortion(image: Array, settings: Any, random: Random) -> Array:
    height, width, channels = image.shape
    dy = np.arange(height)[:, None] - (height - 1) / 2
    dx = np.arange(width) - (width - 1) / 2
    squares = dy**2 + dx**2
    bent = 1 + random.uniform(*settings.curvature) * squares / squares.max()
    places = [dy * bent + (height - 1) / 2, dx * bent + (width - 1) / 2]
    out = np.empty_like(image)
    for c in range(channels):
        out[..., c] = ndimage.map_coordinates(image[..., c], places, order=1, mode="constant")
    return out


def color_jitter(image: Array, settings: Any, random: Random) -> Array:
    def factor(strength: float) -> float:
        return random.uniform(1 - strength, 1 + strength)

    picture = ImageEnhance.Brightness(as_picture(image)).enhance(factor(settings.brightness))
    picture = ImageEnhance.Contrast(picture).enhance(factor(settings.contrast))
    if image.shape[2] == 3:
        picture = ImageEnhance.Color(picture).enhance(factor(settings.saturation))
        turned = np.array(picture.convert("HSV"))
        turned[..., 0] += np.uint8(round(256 * random.uniform(-settings.hue, settings.hue)) % 256)
        picture = Image.fromarray(turned, "HSV").convert("RGB")
    return as_array(picture)


def blur(image: Array, settings: Any, random: Random) -> Array:
    sigma = random.uniform(*settings.sigma)
    blurred: Array = ndimage.gaussian_filter(image, (sigma, sigma, 0), truncate=3)
    return blurred


def noise(image: Array, settings: Any, random: Random) -> Array:
    drawn = settings.deviation * random.standard_normal(image.shape, np.float32)
    noisy: Array = np.rint(image + drawn).clip(0, 255).astype(np.uint8)
    return noisy


def cutout(image: Array, settings: Any, random: Random) -> Array:
    height, width, channels = image.shape
    area = height * width * random.uniform(*settings.area)
    aspect = float(log_uniform(random, settings.aspect, 1)[0])
    high = min(round(math.sqrt(area * aspect)), height)
    wide = min(round(math.sqrt(area / aspect)), width)
    top, left = random.integers(height - high + 1), random.integers(width - wide + 1)
    picture = as_picture(image)
    picture.paste((0,) * channels, (int(left), int(top), int(left) + wide, int(top) + high))
    return as_array(picture)


PEERS: dict[str, tuple[str, Peer]] = {
    "horizontal_flip": ("Pillow transpose", flip(Image.Transpose.FLIP_LEFT_RIGHT)),
    "vertical_flip": ("Pillow transpose", flip(Image.Transpose.FLIP_TOP_BOTTOM)),
    "shift_crop": ("Pillow crop", shift_crop),
    "random_resized_crop": ("Pillow resize", resized_crop),
    "rotation": ("Pillow rotate", rotation),
    "stretch": ("Pillow transform", stretch),
    "shear": ("Pillow transform", shear),
    "translate": ("Pillow transform", translate),
    "lens_distortion": ("scipy map_coordinates", lens_distortion),
    "color_jitter": ("Pillow ImageEnhance", color_jitter),
    "blur": ("scipy gaussian_filter", blur),
    "noise": ("NumPy", noise),
    "cutout": ("Pillow paste", cutout),
}


def images_of(shape: tuple[int, int, int], folder: str | None) -> tuple[str, Array]:
    """Return what the images are, and (COUNT, H, W, C) of them."""
    if folder and shape[2] == 1:
        rows, _ = Idx(folder=folder).open()
        _, block = next(rows.blocks(["image"]))
        images = block.column("image").to_numpy_ndarray()[:COUNT]
        return "Fashion-MNIST", np.ascontiguousarray(images.reshape(COUNT, *shape))
    coarse = np.random.default_rng(0).uniform(0, 255, (COUNT, 5, 5, shape[2]))
    zoom = (1, shape[0] / 5, shape[1] / 5, 1)
    return "made up", ndimage.zoom(coarse, zoom, order=1).astype(np.uint8)


def rate_of(step: Callable[[], int], seconds: float) -> float:
    """Return images per CPU second, over at least `seconds`; a step says how many it did."""
    images, began = 0, time.process_time()
    while True:
        images += step()
        passed = time.process_time() - began
        if passed >= seconds:
            return images / passed


def measure(augmentation: Augmentation, images: Array, rounds: int, seconds: float) -> Any:
    """Return both rates and their ratio."""
    random = seeds.generator(1, seeds.Purpose.AUGMENT)
    title, peer = PEERS[augmentation.name]
    place = 0

    def ours() -> int:
        return len(augmentation.apply(images, random))

    def theirs() -> int:
        nonlocal place
        place = (place + 10) % COUNT
        for image in images[place : place + 10]:
            peer(image, augmentation, random)
        return 10

    for step in (ours, theirs):
        step()
    rates = [(rate_of(ours, seconds), rate_of(theirs, seconds)) for _ in range(rounds)]
    return {
        "images_per_second": round(median(own for own, _ in rates)),
        "peer": title,
        "peer_images_per_second": round(median(other for _, other in rates)),
        "over_peer": round(median(own / other for own, other in rates), 1),
    }


def table(results: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = []
    for size, found in results.items():
        lines += [
            f"| augmentation, {size}, {found['images']} | images/s | peer | its images/s | ratio |",
            "|---|---|---|---|---|",
        ]
        for name, row in found["augmentations"].items():
            lines.append(
                f"| `{name}` | {row['images_per_second']:,} | {row['peer']} | "
                f"{row['peer_images_per_second']:,} | {row['over_peer']} |"
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def main() -> None:
    """Measure, and print a table and one JSON line."""
    parser = turns_parser(__doc__, instead="made-up images", rounds=5, seconds=0.05)
    parser.add_argument("--names", nargs="*", choices=[*PEERS], default=[*PEERS])
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for shape in ((28, 28, 1), (32, 32, 3)):
        kind, images = images_of(shape, arguments.folder)
        rows = {
            name: measure(
                AUGMENTATIONS[name](probability=1.0), images, arguments.rounds, arguments.seconds
            )
            for name in arguments.names
        }
        results["x".join(map(str, shape))] = {"images": kind, "augmentations": rows}
    print(table(results), file=sys.stderr)
    publish("augmentations", results, arguments.write)


if __name__ == "__main__":
    main()
