"""What the first layer of a network of images looks for: its filters, as pictures."""

from pathlib import Path

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members.network import NetworkMember
from ensemble_pipe.report.page import NOTHING, Html, element, joined, raster
from ensemble_pipe.report.rows import image_data
from ensemble_pipe.serving.model import load

MOST_FILTERS, LEAST_SIDE = 64, 3


def filters(model: Path, schema: Schema) -> Html:
    """Return the filters of the first member of a model; nothing where it has none of images.

    Args:
        model: its folder.
        schema: of the data.
    """
    found = first_kernel(model, schema) if schema.is_image else None
    if found is None:
        return NOTHING
    name, kernel = found
    pictures = [
        raster(image_data(_pixels(one), brighten=False), f"filter {place} of {name}", "pixels")
        for place, one in enumerate(kernel[:MOST_FILTERS])
    ]
    note = (
        f"The first {len(pictures)} of {len(kernel)} filters of the layer {name} of the first "
        "member, each stretched over its own range: grey is 0, white the largest weight. Smooth "
        "patterns, edges and spots are learned; noise is what the layer began with."
    )
    return Html(element("p", note, kind="note") + element("div", joined(pictures), kind="filters"))


def first_kernel(model: Path, schema: Schema) -> tuple[str, Floats] | None:
    """Return the name of the first layer that reads pixels, and its filters (F, H, W, C)."""
    try:
        members = load(model).members
    except ConfigError:  # it has components of a caller's own, which are not here
        return None
    for member in members:
        if isinstance(member, NetworkMember) and member.part is None:
            views = member.built(schema).layout.views(member.row[None])
            kernels = {name: view[0] for name, view in views.items() if name.endswith("kernel")}
            for name, kernel in kernels.items():
                return _filters(name, kernel, schema)
    return None


def _filters(name: str, kernel: Floats, schema: Schema) -> tuple[str, Floats] | None:
    """Return filters (F, H, W, C) of a convolution, or of a dense layer of all pixels."""
    layer = name.partition("/")[0]
    if kernel.ndim == 4 and min(kernel.shape[:2]) >= LEAST_SIDE:
        return layer, kernel.transpose(3, 0, 1, 2)
    if kernel.ndim == 2 and len(kernel) == np.prod(schema.input_shape):
        return layer, kernel.T.reshape(-1, *schema.input_shape)
    return None


def _pixels(one: Floats) -> Floats:
    """Return a filter (H, W, C) as pixels uint8, 128 for a weight of 0."""
    if one.shape[2] != 3:
        one = one.mean(axis=2, keepdims=True)
    largest = float(np.abs(one).max()) or 1.0
    pixels: Floats = np.rint(127.5 + 127.5 * one / largest).astype(np.uint8)
    return np.broadcast_to(pixels, (*one.shape[:2], pixels.shape[2]))
