"""The contact sheet of augmentation: training rows beside augmented versions.

The versions are those of the run's own shards. Mixing is shown among the rows of the sheet; in a
training their partners are the other rows of a batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.messages import printable
from ensemble_pipe.core.storage import RunPaths, part_file
from ensemble_pipe.data.augment.mixing import mix, with_addresses, write_shares
from ensemble_pipe.data.base import Base, open_base, values_of
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, make_shard
from ensemble_pipe.data.tables.spans import code_places
from ensemble_pipe.report.drawing import SOFT, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS, VERSIONS, MIXED = 8, 7, 3
# A whole shard is made for each row that is shown of it: of more only where classes are lacking.
SHARDS = 4
# Images are shown at no more pixels than this a side.
PIXELS = 128
FEATURE_NAMES = 80
SERIES = 3

Place = tuple[int, int]  # a shard, and a row of it


@dataclass(frozen=True)
class Version:
    """The rows of the sheet, augmented as in one epoch.

    Attributes:
        title: for a person.
        rows: (N, *shape), in the units of base files.
        captions: mixed targets of the rows; empty where rows are not mixed.
    """

    title: str
    rows: Array
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """Rows of the training part, and augmented versions of them.

    Attributes:
        rows: (N, *shape), in the units of base files.
        labels: class or number of each.
        versions: of different epochs.
    """

    rows: Array
    labels: tuple[str, ...]
    versions: tuple[Version, ...]


def draw_contact_sheet(paths: RunPaths, recipe: Recipe, schema: Schema, epochs: int) -> Path:
    """Draw the contact sheet of a run whose pipeline augments; return the file.

    Args:
        paths: of the run.
        recipe: of its training data.
        schema: of the data.
        epochs: of the training.
    """
    sheet = make_sheet(recipe, schema, epochs)
    if schema.is_image:
        figure = _images(sheet)
    elif any(step.rows == "series" for step in recipe.augment.policy):
        figure = _series(sheet)
    else:
        figure = _table(sheet, schema)
    save_figure(figure, paths.contact_sheet)
    return paths.contact_sheet


def make_sheet(recipe: Recipe, schema: Schema, epochs: int) -> Sheet:
    """Return rows of some shards, and their versions in the first epochs that differ."""
    base, policy = open_base(part_file(recipe.base, "train")), recipe.augment
    chosen = _chosen(base, schema)
    targets = _rows(chosen, lambda shard: values_of(base.table.column("target").chunk(shard)))
    count = min(VERSIONS, epochs, policy.pool or VERSIONS)
    plain = count - min(MIXED, -(-count // 2)) if policy.shard_policy else 0
    stream = int(policy.share == "per_learner")  # the first learner's, where each has its own
    versions = []
    for epoch in range(count):
        made = partial(make_shard, base, recipe, stream, policy.version(epoch))
        rows = _rows(chosen, lambda shard: _inputs(made(shard), 0))  # noqa: B023
        version = Version(f"epoch {epoch + 1}", rows)
        if policy.mixings and epoch >= plain:
            version = _mixed(version, targets, recipe, schema, epoch)
        versions.append(version)
    labels = tuple(_label(target, schema) for target in targets)
    originals = _rows(chosen, lambda shard: _inputs(base.table, shard))
    return Sheet(originals, labels, tuple(versions))


def _inputs(table: pa.Table, shard: int) -> Array:
    return np.asarray(table.column("input").chunk(shard).to_numpy_ndarray())


def _rows(chosen: Sequence[Place], values: Callable[[int], Array]) -> Array:
    """Return the chosen rows of what values(shard) returns of whole shards."""
    shards = groupby(chosen, key=lambda place: place[0])
    return np.concatenate([values(shard)[[row for _, row in rows]] for shard, rows in shards])


def _chosen(base: Base, schema: Schema) -> list[Place]:
    """Return the rows to show, from shards that are spread over the training part, in order."""
    column, classes = base.table.column("target"), len(schema.classes)
    for most in (SHARDS, ROWS):
        shards = np.unique(np.linspace(0, base.shards - 1, most).astype(int)).tolist()
        for shard in shards:
            base.verify(shard)
        targets = {shard: values_of(column.chunk(shard)) for shard in shards}
        firsts = _of_each_class(targets) if classes else []
        if len(firsts) >= min(ROWS, classes):
            break
    return sorted([*dict.fromkeys([*firsts, *_evenly(targets)])][:ROWS])


def _of_each_class(targets: dict[int, Array]) -> list[Place]:
    """Return a row of each class present, from the shards in turn."""
    classes = {shard: np.unique(own, return_index=True) for shard, own in targets.items()}
    waiting = {
        shard: dict(zip(names.tolist(), rows.tolist(), strict=True))
        for shard, (names, rows) in classes.items()
    }
    found: dict[int, Place] = {}
    while any(waiting.values()):
        for shard, rows in waiting.items():
            for name in [name for name in rows if name in found]:
                del rows[name]
            if rows:
                name = next(iter(rows))
                found[name] = (shard, rows[name])
    return list(found.values())


def _evenly(targets: dict[int, Array]) -> list[Place]:
    """Return rows at equal distances in each shard, from the shards in turn."""
    counts = {shard: len(own) for shard, own in targets.items()}
    shares = np.linspace(0, 1, ROWS)
    return [(shard, int(share * (counts[shard] - 1))) for share in shares for shard in counts]


def _mixed(version: Version, targets: Array, recipe: Recipe, schema: Schema, epoch: int) -> Version:
    """Return the rows mixed with one another, as a batch of them would be."""
    scale, shift = schema.input_scale()
    inputs = np.ascontiguousarray(version.rows * scale + shift, np.float32)
    width = len(schema.classes) or schema.target_count
    shares = np.empty((len(targets), width), np.float32)
    write_shares(targets, shares)
    weights, scratch = np.ones(len(targets), np.float32), np.empty_like(inputs)
    draws, codes = seeds.Draws(recipe.seed, seeds.Purpose.MIX, [0]), code_places(recipe.spans)
    for address, mixing in with_addresses(recipe.augment.mixings):
        (random,) = draws.at(epoch, address)
        mix(mixing, inputs, shares, weights, random, scratch, codes)
    captions = tuple(_caption(row, schema) for row in shares)
    return Version(f"{version.title}, mixed", (inputs - shift) / scale, captions)


def _label(target: Any, schema: Schema) -> str:
    if schema.classes:
        return str(schema.classes[target])
    numbers = schema.decode_targets(np.reshape(target, (1, -1)))[0]
    return ", ".join(f"{number:.4g}" for number in numbers)


def _caption(shares: Floats, schema: Schema) -> str:
    if not schema.classes:
        return _label(shares, schema)
    largest = [int(place) for place in np.argsort(-shares, kind="stable")[:2]]
    names = [(_short(_label(place, schema)), shares[place]) for place in largest]
    return ", ".join(f"{name}: {share:.0%}" for name, share in names if share >= 0.005)


def _short(name: str, length: int = 12) -> str:
    name = printable(name)
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _images(sheet: Sheet) -> "Figure":
    """Draw a row of images for each original: itself, a gap, and its versions."""
    step = -(-max(sheet.rows.shape[1:3]) // PIXELS)
    whole = [sheet.rows, *(version.rows for version in sheet.versions)]
    columns = [np.clip(rows[:, ::step, ::step], 0, 255) for rows in whole]
    brightest = max(float(images.max()) for images in columns)
    gain = 1.0 if brightest > 127 else 255 / max(brightest, 1.0)  # else all would look black
    columns = [_pixels(images * gain) for images in columns]
    count, height, width, _ = columns[0].shape
    captioned = any(version.captions for version in sheet.versions)
    down, across = height + max(2, height * (3 if captioned else 1) // 16), width + 2 + width // 16
    apart = across // 4  # between an original and its versions
    # What is between the images is of the page's colour.
    canvas = np.zeros((count * down, len(columns) * across + apart, 4), np.uint8)
    figure = new_figure(10.0, min(0.6 + 10.0 * canvas.shape[0] / canvas.shape[1], 40.0))
    axis = figure.add_subplot()
    titles = ["original", *(version.title.replace(", ", "\n") for version in sheet.versions)]
    for index, images in enumerate(columns):
        left = index * across + (apart if index else 0)
        centre = left + (width - 1) / 2  # of its pixels
        axis.text(centre, -0.5 - height / 12, titles[index], va="bottom", ha="center", fontsize=9)
        for row, image in enumerate(images):
            here = canvas[row * down : row * down + height, left : left + width]
            here[...] = np.dstack([image, np.full((height, width), 255, np.uint8)])
            captions = sheet.versions[index - 1].captions if index else ()
            if captions:
                low = row * down + height - 0.5 + height / 32
                _plain_text(axis, centre, low, captions[row], va="top", ha="center")
    for row, label in enumerate(sheet.labels):
        middle = row * down + (height - 1) / 2
        _plain_text(axis, -0.5 - width / 16, middle, _short(label), va="center", ha="right")
    axis.imshow(canvas, interpolation="nearest")
    axis.axis("off")
    return figure


def _pixels(images: Array) -> Array:
    """Return images (N, H, W, C) as (N, H, W, 3) uint8; but for 3 channels, their mean as grey."""
    seen = np.rint(images)
    if seen.shape[3] != 3:
        seen = seen.mean(axis=3, keepdims=True)
    return np.broadcast_to(seen, (*seen.shape[:3], 3)).astype(np.uint8)


def _plain_text(axis: Any, x: float, y: float, text: str, **where: Any) -> None:
    axis.text(x, y, text, fontsize=7, parse_math=False, **where)


def _series(sheet: Sheet) -> "Figure":
    """Draw each original in grey, and some of its versions over it, mixed ones dashed."""
    plain = [version for version in sheet.versions if not version.captions]
    mixed = [version for version in sheet.versions if version.captions]
    figure = new_figure(10.0, 9.0)
    for index, label in enumerate(sheet.labels):
        axis = figure.add_subplot(-(-len(sheet.labels) // 2), 2, index + 1)
        axis.plot(sheet.rows[index], color=SOFT, linewidth=3.5, label="original")
        for version in (*plain[:SERIES], *mixed[:SERIES]):
            style = "--" if version.captions else "-"
            axis.plot(version.rows[index], style, linewidth=0.9, label=version.title)
        axis.set_title(_short(label, 30), fontsize=9, parse_math=False)
        axis.spines[["top", "right"]].set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _table(sheet: Sheet, schema: Schema) -> "Figure":
    """Draw encoded features as colours: original, a version of each kind, and differences."""
    kinds = {bool(version.captions): version for version in reversed(sheet.versions)}
    panels = [("original", sheet.rows)]
    for version in sorted(kinds.values(), key=lambda version: version.title):
        panels.append((version.title, version.rows))
        panels.append((f"change in {version.title}", version.rows - sheet.rows))
    figure = new_figure(10.0, 1.4 + 1.9 * len(panels))
    axes = [figure.add_subplot(len(panels), 1, index + 1) for index in range(len(panels))]
    for axis, (title, rows) in zip(axes, panels, strict=True):
        picture = axis.imshow(rows, cmap="RdBu_r", vmin=-3, vmax=3, aspect="auto")
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_xticks([])
        names = [_short(label) for label in sheet.labels]
        axis.set_yticks(range(len(names)), names, fontsize=7, parse_math=False)
    features = schema.encoded_names
    every = range(0, len(features), -(-len(features) // FEATURE_NAMES))
    shown = [_short(features[place], 24) for place in every]
    axes[-1].set_xticks(every, shown, rotation=90, fontsize=7, parse_math=False)
    figure.colorbar(picture, ax=axes, label="encoded feature", shrink=0.6)
    return figure
