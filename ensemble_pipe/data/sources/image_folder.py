"""Folders of PNG and JPEG images, one for each class or without classes, read block by block."""

import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources.paths import reading, require_folder, require_inside
from ensemble_pipe.data.sources.rows import (
    BLOCK_BYTES,
    IMAGE,
    LABEL,
    Rows,
    block_reader,
    image_array,
    image_type,
)  # fmt: skip

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".png", ".jpg", ".jpeg")
# What Pillow calls a way of storing colours -> what is read from it; transparency is left out.
_MODES = {
    "1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB", "PA": "RGB",
    "CMYK": "RGB", "YCbCr": "RGB",
}  # fmt: skip
_CHANNELS = {"L": 1, "RGB": 3}
_ORIENTATION = 0x0112  # the tag of EXIF
# EXIF orientation -> the operation that turns the pixels upright.
_TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
    7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
_MP_ENTRIES = 0xB002  # of the pictures that a JPEG of several pictures lists


@dataclass(frozen=True)
class _Format:
    """The common format of a folder's images, after orientation."""

    path: Path
    width: int
    height: int
    mode: str

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, _CHANNELS[self.mode]

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {'grey' if self.mode == 'L' else 'colour'}"


def open_image_folder(folder: Path) -> Rows:
    """Open the images under `folder`; the name of an image's folder is its label.

    Classes and files come in the order of their names. All images have one size, are grey (one
    channel) or colour (three; palettes are resolved, transparency is dropped), and are oriented by
    EXIF. Hidden files are skipped.

    Raises:
        DataError: a class has no images, a file is no PNG or JPEG, or a link leads out of it;
            while reading, an image is damaged, unlike the first one, or one of several in a file.
    """
    require_folder(folder, "name a folder that has a folder of images for each class")
    classes = [path for path in _inside(folder, folder) if _require_class(path)]
    if not classes:
        raise DataError(f"{folder}: has no folders; each class needs a folder with its images")
    return _rows(
        folder, [path for name in classes for path in _images(name, folder)], (IMAGE, LABEL)
    )


def open_images(path: Path) -> Rows:
    """Open one image, or those of a folder in the order of their names; they have no labels.

    Raises:
        DataError: as `open_image_folder`.
    """
    return _rows(path, _images(path, path) if path.is_dir() else [path], (IMAGE,))


def has_parts(folder: Path) -> bool:
    """Return whether a folder has a training and a test part, each with folders of classes."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return {"train", "test"} <= {path.name for path in inside if path.is_dir()}


def is_image_file(path: Path) -> bool:
    """Return whether a file's name is that of a PNG or JPEG."""
    return path.suffix.lower() in ENDINGS and path.is_file()


def _rows(root: Path, paths: Sequence[Path], columns: Sequence[str]) -> Rows:
    """Return images, and the names of their folders where `columns` has LABEL."""
    first = _format(paths[0])
    kinds = {IMAGE: image_type(first.shape), LABEL: pa.string()}
    schema = pa.schema([(name, kinds[name]) for name in columns])
    above = root if root.is_dir() else root.parent

    def column(name: str, part: slice) -> pa.Array:
        if name == IMAGE:
            return image_array(_decode(paths[part], first))
        return pa.array([path.parent.name for path in paths[part]])

    def place(row: int) -> str:
        return str(paths[row])

    def file(row: int) -> str:
        return paths[row].relative_to(above).as_posix()

    places = {LABEL: place} if LABEL in columns else {}
    read = block_reader(schema, len(paths), column)
    return Rows(str(root), len(paths), schema, read, place, places, file)


def _inside(folder: Path, home: Path) -> list[Path]:
    """Return a folder's entries by name, without hidden files; links must stay within `home`."""
    with reading(folder):
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    require_inside(home, paths)
    return paths


def _require_class(path: Path) -> bool:
    if not path.is_dir():
        raise DataError(f"{path}: is a file beside the folders of the classes; remove it")
    return True


def _images(folder: Path, home: Path) -> list[Path]:
    paths = _inside(folder, home)
    for path in paths:
        if not is_image_file(path):
            raise DataError(f"{path}: is no image; {', '.join(ENDINGS)} can be read")
    if not paths:
        raise DataError(f"{folder}: the class has no images; add some or remove the folder")
    return paths


def _format(path: Path) -> _Format:
    with reading(path), _open(path) as image:
        found = _stored_format(path, image)
        if np.prod(found.shape) > BLOCK_BYTES:
            raise DataError(
                f"{path}: its header announces {found}; images of at most {BLOCK_BYTES >> 20} MB "
                "are read, so scale them down"
            )
        return _upright(found, _orientation(image))


def _stored_format(path: Path, image: "Image") -> _Format:
    """Return the format that the header of a file declares.

    Raises:
        DataError: its pixels are of another kind, or it contains several pictures.
    """
    if image.mode not in _MODES:
        raise DataError(f"{path}: pixels of mode {image.mode}; 8 bits of grey or colour are needed")
    pictures = getattr(image, "n_frames", 1) - _previews(image)
    if pictures > 1:
        raise DataError(
            f"{path}: holds {pictures} pictures, but one image is read of a file; save those that "
            "are wanted as files of their own"
        )
    return _Format(path, *image.size, _MODES[image.mode])


def _previews(image: "Image") -> int:
    """Return the number of previews in a JPEG, smaller copies of its first picture by cameras."""
    entries = getattr(image, "mpinfo", {}).get(_MP_ENTRIES, ())
    return sum(entry["Attribute"]["MPType"].startswith("Large Thumbnail") for entry in entries)


def _orientation(image: "Image") -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, where it is missing or unreadable.

    The pixels are decoded first, since in a PNG it may stand behind them.
    """
    image.load()
    with warnings.catch_warnings(action="ignore"):
        try:
            found = image.getexif().get(_ORIENTATION)
            return found if found in _TURNS else 1
        except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
            return 1


def _upright(stored: _Format, orientation: int) -> _Format:
    on_its_side = orientation >= 5
    return replace(stored, width=stored.height, height=stored.width) if on_its_side else stored


def _decode(paths: Sequence[Path], first: _Format) -> Array:
    """Return images (R, H, W, C) uint8, upright."""
    from PIL.Image import Transpose

    values = np.empty((len(paths), *first.shape), np.uint8)
    for index, path in enumerate(paths):
        with reading(path), _open(path) as image:
            stored = _stored_format(path, image)
            if {stored.width, stored.height} != {first.width, first.height}:
                raise _unlike(stored, first)
            orientation = _orientation(image)
            found = _upright(stored, orientation)
            if (found.shape, found.mode) != (first.shape, first.mode):
                raise _unlike(found, first)
            turned = image.convert(first.mode)
            if orientation in _TURNS:
                turned = turned.transpose(Transpose[_TURNS[orientation]])
            values[index] = np.asarray(turned).reshape(first.shape)
    return values


def _unlike(found: _Format, first: _Format) -> DataError:
    return DataError(
        f"{found.path}: is {found}, but {first.path} is {first}; all images need one size and all "
        "grey or all colour"
    )


def _open(path: Path) -> "Image":
    from PIL import Image

    try:
        # Of sizes, which are judged by our own limits, and of EXIF and indices that are damaged.
        with warnings.catch_warnings(action="ignore"):
            return Image.open(path, formats=("PNG", "JPEG"))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None
