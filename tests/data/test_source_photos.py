"""Images as cameras write them: turned upright by their EXIF orientation, one picture of a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from source_files import pixels

import ensemble_pipe
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources import ImageFolder
from ensemble_pipe.data.sources.image_folder import open_images

ORIENTATION = 0x0112
# How the upright image is stored, by orientation: what EXIF says of row 0 and column 0.
STORED: dict[int, Callable[[Array], Array]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: image.transpose(1, 0, 2)[::-1],
    7: lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda image: image.transpose(1, 0, 2)[:, ::-1],
}


def upright(channels: int, height: int = 16, width: int = 24) -> Array:
    """Return an image (H, W, C) of smooth colours, which JPEG keeps nearly, without symmetry."""
    y, x = np.mgrid[:height, :width]
    planes = [x * 8, y * 12, x * 3 + y * 5][:channels] if channels > 1 else [x * 4 + y * 8]
    return np.stack(planes, axis=2).astype(np.uint8)


def save(path: Path, stored: Array, orientation: int | None = None) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    jpeg: dict[str, Any] = {} if path.suffix == ".png" else {"quality": 98, "subsampling": 0}
    Image.fromarray(np.ascontiguousarray(stored).squeeze()).save(path, exif=exif, **jpeg)


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_turned_upright(
    orientation: int, channels: int, ending: str, tmp_path: Path
) -> None:
    image = upright(channels)
    path = tmp_path / f"photo.{ending}"
    save(path, STORED[orientation](image), orientation)
    (found,) = pixels(open_images(path))
    assert found.shape == image.shape
    assert np.abs(found.astype(int) - image).max() <= (0 if ending == "png" else 4)
    by_pillow = np.asarray(ImageOps.exif_transpose(Image.open(path))).reshape(image.shape)
    assert np.array_equal(found, by_pillow)


def test_a_folder_of_photos_held_in_all_ways_has_one_shape(tmp_path: Path) -> None:
    image = upright(3)
    for orientation, stored in STORED.items():
        save(tmp_path / "a" / f"{orientation}.png", stored(image), orientation)
    save(tmp_path / "b" / "plain.png", image)
    rows, _ = ImageFolder(folder=str(tmp_path)).open()
    assert np.array_equal(pixels(rows), np.stack([image] * 9))
    assert np.array_equal(pixels(open_images(tmp_path / "a")), np.stack([image] * 8))


def test_photos_of_another_size_once_upright_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png", upright(3))
    save(tmp_path / "b" / "2.png", upright(3), 6)
    rows, _ = ImageFolder(folder=str(tmp_path)).open()
    with pytest.raises(DataError, match=r"2\.png: is 16x24 colour, but .*1\.png is 24x16 colour"):
        pixels(rows)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_means_nothing_is_none(orientation: int, tmp_path: Path) -> None:
    save(tmp_path / "photo.jpg", upright(3), orientation)
    assert pixels(open_images(tmp_path / "photo.jpg")).shape == (1, 16, 24, 3)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\xff\xff"])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_damaged_exif_leaves_the_image_as_it_is(exif: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(upright(3)).save(path, exif=exif)
    assert pixels(open_images(path)).shape == (1, 16, 24, 3)


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    save(path, STORED[6](upright(1)), 6)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(content[start : start + 4], "big")
    end = content.index(b"IEND") - 4
    path.write_bytes(content[:start] + content[stop:end] + content[start:stop] + content[end:])
    assert np.array_equal(pixels(open_images(path))[0], upright(1))


def test_an_orientation_in_xmp_counts(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    image = Image.fromarray(np.ascontiguousarray(STORED[8](upright(3))))
    image.save(tmp_path / "photo.jpg", xmp=xmp, quality=98, subsampling=0)
    (found,) = pixels(open_images(tmp_path / "photo.jpg"))
    assert np.abs(found.astype(int) - upright(3)).max() <= 4


def test_a_damaged_png_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    save(path, upright(3), 6)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"photo\.png: cannot be read"):
        pixels(open_images(path))


# Several pictures in a file


def animated_png(path: Path) -> None:
    frames = [Image.fromarray(upright(3) + shade) for shade in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def animated_png_behind_another_image(path: Path) -> None:
    frames = [Image.fromarray(upright(3) + shade) for shade in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], default_image=True)


def pictures_in_a_jpeg(path: Path) -> None:
    frames = [Image.fromarray(upright(3) + shade) for shade in range(3)]
    frames[0].save(path, format="MPO", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("write", "ending"),
    [
        (animated_png, "png"),
        (animated_png_behind_another_image, "png"),
        (pictures_in_a_jpeg, "jpg"),
        (pictures_in_a_jpeg, "jpeg"),
    ],
)
def test_a_file_of_several_pictures_is_refused(write: Any, ending: str, tmp_path: Path) -> None:
    path = tmp_path / "a" / f"2.{ending}"
    save(tmp_path / "a" / f"1.{ending}", upright(3))
    write(path)
    message = rf"a/2\.{ending}: holds 3 pictures, but one image is read of a file; save those that"
    with pytest.raises(DataError, match=message):
        open_images(path)
    rows = open_images(tmp_path / "a")
    with pytest.raises(DataError, match=message):
        pixels(rows)


def test_a_cameras_preview_is_no_second_picture(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    pictures_in_a_jpeg(path)
    content, index = path.read_bytes(), Image.open(path).info["mp"]
    first = content.index(index) + index.index((0x030000).to_bytes(4, "little"))
    for later in (first + 16, first + 32):  # the entries of the others, which begin with their kind
        preview = (0x010001).to_bytes(4, "little")
        content = content[:later] + preview + content[later + 4 :]
    path.write_bytes(content)
    assert pixels(open_images(path)).shape == (1, 16, 24, 3)


# From training to prediction


def test_a_model_reads_photos_upright_in_training_and_prediction(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for kind, values in {"top": [200, 20], "bottom": [20, 200]}.items():
        for number in range(24):
            image = np.repeat(values, 4)[:, None, None] + random.integers(-20, 20, (8, 12, 1))
            orientation = 1 + number % 8
            stored = STORED[orientation](image.clip(0, 255).astype(np.uint8))
            save(tmp_path / "photos" / kind / f"{number:02}.png", stored, orientation)
    pipeline = tmp_path / "photos.yaml"
    pipeline.write_text(f"""
name: photos
data: {{source: image_folder, folder: {tmp_path / "photos"}}}
splits: {{validation: 0.2, test: 0.3}}
network: {{name: mlp, hidden: [8]}}
training: {{epochs: 20, batch_size: 8}}
ensemble: {{learners: 1}}
tracking: {{mlflow: false}}
""")
    result = ensemble_pipe.run(pipeline, output=tmp_path / "runs", inline=True)
    assert result.metrics["test/accuracy"] == 1.0
    model = ensemble_pipe.load(result.run_dir)
    for place, count in [("top", 24), ("top/02.png", 1)]:
        found = pixels(open_images(tmp_path / "photos" / place))
        assert model.predict(found).tolist() == ["top"] * count
