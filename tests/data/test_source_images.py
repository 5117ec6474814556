"""Images: IDX files, arrays, columns of tensors and folders by class, all read as one column."""

import gzip
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pytest
from conftest import shared
from PIL import Image
from pyarrow import parquet
from source_files import idx_bytes, pixels, save_arrow, values_of

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources import Bundled, Idx, ImageFolder, open_rows
from ensemble_pipe.data.sources.idx import labels_beside, read_idx, read_labels
from ensemble_pipe.data.sources.rows import image_array

SHAPES = [(3, 5, 4), (3, 5, 4, 1), (3, 5, 4, 3), (1, 1, 1)]


def numbered_images(shape: tuple[int, ...]) -> Array:
    return np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)


def save_images(folder: Path, images: Array, ending: str = ".png") -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03}{ending}")


# Files


@pytest.mark.parametrize("shape", SHAPES)
def test_every_format_gives_the_same_images(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = numbered_images(shape)
    np.save(tmp_path / "t.npy", images)
    np.savez(tmp_path / "t.npz", images=images, y=np.arange(len(images)))
    table = pa.table({"a": image_array(images), "y": pa.array(range(len(images)))})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    save_arrow(table, tmp_path / "t.arrow")
    (tmp_path / "t-idx3-ubyte").write_bytes(idx_bytes(images))
    for name in ("t.npy", "t.npz", "t.parquet", "t.arrow", "t-idx3-ubyte"):
        rows = open_rows(str(tmp_path / name))
        assert rows.is_image
        assert rows.count == len(images)
        assert np.array_equal(pixels(rows), images.reshape(*shape[:3], -1)), name
        if "y" in rows.schema.names:
            assert values_of(rows, "y")["y"] == list(range(len(images)))


def test_a_tensor_of_height_and_width_gets_a_channel(tmp_path: Path) -> None:
    images = numbered_images((3, 5, 4))
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(images)
    parquet.write_table(pa.table({"a": tensors, "y": [1, 2, 3]}), tmp_path / "t.parquet")
    rows = open_rows(str(tmp_path / "t.parquet"))
    assert rows.schema.names == ["image", "y"]
    assert np.array_equal(pixels(rows), images[..., None])


def test_large_images_come_in_short_blocks(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros((3, 4096, 4096, 3), np.uint8))
    rows = open_rows(str(tmp_path / "t.npy"))
    assert [first for first, _ in rows.blocks(["image"])] == [0, 1, 2]


# IDX


@pytest.mark.parametrize("name", ["x-idx3-ubyte", "x-idx3-ubyte.gz"])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_idx_file_of_images_reads_as_written(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    values = numbered_images(shape)
    content = idx_bytes(values)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert np.array_equal(pixels(open_rows(str(path))), values.reshape(*shape[:3], -1))


def test_labels_are_found_beside_their_images(tmp_path: Path) -> None:
    images = tmp_path / "t10k-images-idx3-ubyte"
    images.write_bytes(idx_bytes(np.zeros((2, 3, 3))))
    assert labels_beside(images) is None
    assert open_rows(str(images)).schema.names == ["image"]
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.array([3, 1])))
    assert labels_beside(images) == labels
    assert read_labels(labels, 2).tolist() == [3, 1]
    assert values_of(open_rows(str(images)), "label") == {"label": [3, 1]}


def test_a_folder_without_test_files_has_no_test_part(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((2, 3, 3))))
    with pytest.raises(DataError, match="has no train-labels-idx1-ubyte, with"):
        Idx(folder=str(tmp_path)).open()
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1])))
    source = Idx(folder=str(tmp_path))
    rows, test = source.open()
    assert rows.count == 2
    assert test is None
    assert (source.roles(rows).features, source.roles(rows).label) == (("image",), "label")


def test_fashion_mnist_has_its_official_test_part() -> None:
    rows, test = Idx(folder=str(shared("fashion-mnist"))).open()
    assert test is not None
    for part, count in ((rows, 60_000), (test, 10_000)):
        assert part.count == count
        assert part.schema.field("image").type.shape == [28, 28, 1]
        assert np.bincount(values_of(part, "label")["label"]).tolist() == [count // 10] * 10


def test_an_idx_file_reads_alike_with_and_without_gzip(tmp_path: Path) -> None:
    packed = shared("fashion-mnist") / "t10k-images-idx3-ubyte.gz"
    plain = tmp_path / "t10k-images-idx3-ubyte"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    assert np.array_equal(read_idx(plain), read_idx(packed))
    assert np.array_equal(pixels(open_rows(str(plain))), read_idx(packed)[..., None])


# Folders by class


@pytest.mark.parametrize("channels", [1, 3])
def test_the_folder_of_an_image_is_its_class(channels: int, tmp_path: Path) -> None:
    images = numbered_images((5, 6, 7, channels))
    flat = images[..., 0] if channels == 1 else images
    save_images(tmp_path / "dog", flat[:2])
    save_images(tmp_path / "cat", flat[2:])
    (tmp_path / ".DS_Store").write_text("hidden")
    source = ImageFolder(folder=str(tmp_path))
    rows, test = source.open()
    assert test is None
    assert source.roles(rows).features == ("image",)
    assert values_of(rows, "label")["label"] == ["cat", "cat", "cat", "dog", "dog"]
    assert np.array_equal(pixels(rows), images[[2, 3, 4, 0, 1]])
    assert rows.place(3) == str(tmp_path / "dog" / "000.png")
    assert np.array_equal(pixels(open_rows(str(tmp_path))), pixels(rows))


def test_train_and_test_folders_are_the_official_parts(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            save_images(tmp_path / part / name, numbered_images((count, 4, 4)))
    rows, test = ImageFolder(folder=str(tmp_path)).open()
    assert test is not None
    assert (rows.count, test.count) == (6, 4)
    assert set(values_of(test, "label")["label"]) == {"a", "b"}


def test_a_folder_of_parts_asks_for_one(tmp_path: Path) -> None:
    for part in ("train", "test"):
        save_images(tmp_path / part / "a", numbered_images((2, 4, 4)))
    with pytest.raises(DataError, match=r"holds a training and a test part; name one: .*train or"):
        open_rows(str(tmp_path))
    (tmp_path / "idx").mkdir()
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / "idx" / name).write_bytes(b"")
    with pytest.raises(
        DataError, match=r"name that of the images, such as .*t10k-images-idx3-ubyte"
    ):
        open_rows(str(tmp_path / "idx"))


def test_a_folder_without_classes_and_a_single_image_have_no_labels(tmp_path: Path) -> None:
    images = numbered_images((3, 4, 5))
    save_images(tmp_path / "flat", images)
    rows = open_rows(str(tmp_path / "flat"))
    assert (rows.schema.names, rows.count) == (["image"], 3)
    assert np.array_equal(pixels(rows)[..., 0], images)
    one = open_rows(str(tmp_path / "flat" / "001.png"))
    assert np.array_equal(pixels(one)[..., 0], images[1:2])
    (tmp_path / "flat" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"notes\.txt: is no image"):
        open_rows(str(tmp_path / "flat"))


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("L", 1), ("1", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)],
)
def test_colours_are_stored_in_many_ways_and_read_in_two(
    mode: str, channels: int, tmp_path: Path
) -> None:
    colours = Image.fromarray(np.tile(np.array([255, 0, 0], np.uint8), (4, 4, 1)))
    (tmp_path / "c").mkdir()
    colours.convert("L" if channels == 1 else "RGB").convert(mode).save(tmp_path / "c" / "0.png")
    rows = open_rows(str(tmp_path))
    assert rows.schema.field("image").type.shape == [4, 4, channels]
    if channels == 3:
        assert pixels(rows)[0, 0, 0].tolist() == [255, 0, 0]


def test_jpegs_are_read_too(tmp_path: Path) -> None:
    save_images(tmp_path / "c", np.full((2, 16, 16, 3), 128, np.uint8), ".JPG")
    assert np.abs(pixels(open_rows(str(tmp_path))).astype(int) - 128).max() <= 1


# Folders that cannot be read


def mixed_sizes(folder: Path) -> None:
    Image.new("L", (5, 4)).save(folder / "b" / "001.png")


def mixed_modes(folder: Path) -> None:
    Image.new("RGB", (4, 4)).save(folder / "b" / "001.png")


def truncated(folder: Path) -> None:
    path = folder / "b" / "000.png"
    path.write_bytes(path.read_bytes()[:-25])


def foreign(folder: Path) -> None:
    (folder / "b" / "000.png").write_bytes(b"GIF89a" + bytes(50))


def announce(path: Path, side: int) -> None:
    """Make the header of a PNG announce another width and height."""
    content = bytearray(path.read_bytes())
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(content))


def announces_too_much(folder: Path) -> None:
    announce(folder / "b" / "000.png", 9_000)


def announces_what_pillow_warns_of(folder: Path) -> None:
    announce(folder / "b" / "000.png", 10_000)


def announces_far_too_much(folder: Path) -> None:
    announce(folder / "b" / "000.png", 60_000)


def sixteen_bits(folder: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(folder / "b" / "000.png")


def empty_class(folder: Path) -> None:
    (folder / "c").mkdir()


def a_link(folder: Path) -> None:
    (folder / "b" / "passwd.png").symlink_to("/etc/passwd")


def a_link_within(folder: Path) -> None:
    (folder / "b" / "002.png").symlink_to(folder / "a" / "000.png")
    mixed_sizes(folder)


def a_linked_class(folder: Path) -> None:
    (folder / "c").symlink_to("/tmp")


def another_file(folder: Path) -> None:
    (folder / "b" / "notes.txt").write_text("x")


def a_file_beside(folder: Path) -> None:
    (folder / "labels.csv").write_text("x")


def a_deeper_folder(folder: Path) -> None:
    (folder / "b" / "more.png").mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (mixed_sizes, r"b/001\.png: is 5x4 grey, but .*/a/000\.png is 4x4 grey; all images need"),
        (mixed_modes, r"b/001\.png: is 4x4 colour, but .*/a/000\.png is 4x4 grey"),
        (truncated, r"b/000\.png: cannot be read \("),
        (foreign, r"b/000\.png: cannot be read \(cannot identify image file"),
        (announces_too_much, r"b/000\.png: is 9000x9000 grey, but .*/a/000\.png is 4x4 grey"),
        (announces_what_pillow_warns_of, r"b/000\.png: is 10000x10000 grey, but"),
        (announces_far_too_much, r"b/000\.png: cannot be read \(Image size \(3600000000 pixels"),
        (sixteen_bits, r"b/000\.png: pixels of mode I;16; 8 bits of grey or colour are needed"),
        (empty_class, r"/c: the class has no images; add some or remove the folder"),
        (a_link, r"b/passwd\.png: is a link that leads out of .*; copy what it leads to"),
        (a_linked_class, r"/c: is a link that leads out of"),
        (a_link_within, r"b/001\.png: is 5x4 grey"),
        (another_file, r"b/notes\.txt: is no image; \.png, \.jpg, \.jpeg can be read"),
        (a_file_beside, r"labels\.csv: is a file beside the folders of the classes; remove it"),
        (a_deeper_folder, r"b/more\.png: is no image"),
    ],
)
@pytest.mark.filterwarnings("error")  # nothing is printed before the message
def test_what_is_no_folder_of_alike_images_is_refused(
    damage: Any, message: str, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        save_images(tmp_path / name, numbered_images((2, 4, 4)))
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        pixels(open_rows(str(tmp_path)))


def test_an_image_too_large_to_train_on_is_refused_undecoded(tmp_path: Path) -> None:
    save_images(tmp_path / "a", numbered_images((1, 4, 4)))
    announce(tmp_path / "a" / "000.png", 9_000)
    with pytest.raises(DataError, match="9000x9000 grey; images of at most 64 MB are read"):
        open_rows(str(tmp_path))


# Bundled sets


def test_digits_are_all_there() -> None:
    source = Bundled(set="digits")
    rows, test = source.open()
    images = pixels(rows)
    assert images.shape == (1797, 8, 8, 1)
    assert images.dtype == np.uint8
    assert images.max() == 16
    labels = values_of(rows, "label")["label"]
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert test is None


@pytest.mark.parametrize(
    ("name", "rows", "features", "label"),
    [
        ("iris", 150, 4, "setosa"),
        ("wine", 178, 13, "class_0"),
        ("breast_cancer", 569, 30, "malignant"),
        ("diabetes", 442, 10, 151.0),
    ],
)
def test_bundled_tables_have_names_and_classes(
    name: Any, rows: int, features: int, label: object
) -> None:
    source = Bundled(set=name)
    found, _ = source.open()
    roles = source.roles(found)
    assert found.count == rows
    assert len(roles.features) == features
    assert values_of(found, "label")["label"][0] == label
