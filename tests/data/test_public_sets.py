"""The catalogue's sums against real files rebuilt from their contents, and what is made of them."""

import csv
import gzip
import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from conftest import shared
from pyarrow import parquet

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import CorruptFileError, DataError
from ensemble_pipe.data.public.catalogue import BUNDLED, CATALOGUE, find_set
from ensemble_pipe.data.public.fetch import DOWNLOADS, data_section, fetch
from ensemble_pipe.data.public.prepare import (
    CIFAR10_CLASSES,
    prepare,
    read_cifar10,
    read_delimited,
)


def quiet(*_: object) -> None:
    return None


# The files as their hosts have them, from the values that lie here


def fashion_mnist_file(name: str) -> bytes:
    """Give a repackaged gzip file the header it was published with."""
    stem = name.removesuffix(".gz")
    packed_at = 1504176606 + (21 if stem.startswith("t10k") else 0)
    header = struct.pack("<4sIBB", b"\x1f\x8b\x08\x08", packed_at, 0, 3) + stem.encode() + b"\0"
    return header + shared(f"fashion-mnist/{name}").read_bytes()[10:]


def adult_file(name: str) -> bytes:
    part = "train" if name == "adult.data" else "test"
    with gzip.open(shared(f"adult/{part}.csv.gz"), "rt") as stream:
        rows = list(csv.reader(stream))[1:]
    first, ending = ("", "") if part == "train" else ("|1x3 Cross validator\n", ".")
    return (first + "".join(", ".join(row) + ending + "\n" for row in rows) + "\n").encode()


def letter_file(_: str) -> bytes:
    return shared("letter/letter.csv").read_bytes().split(b"\n", 1)[1]


def regression_file(name: str, formats: tuple[str, ...], ending: str, last: str) -> bytes:
    table = parquet.read_table(shared(f"uci_regression/{name}.parquet"))
    columns = [c for c in table.column_names if not c.startswith("test_")]
    rows = zip(*(table[column].to_pylist() for column in columns), strict=True)
    line = "".join(formats) + ending
    return ("".join(line % row for row in rows) + last).encode()


BOSTON = ("%8.5f", " %6.2f", " %7.3f", "  %d", " %7.4f", " %7.4f", " %6.2f", " %7.4f", " %3d",
          " %6.1f", *[" %6.2f"] * 4)  # fmt: skip
ENERGY = (*["%.2f\t"] * 5, "%d\t", "%.2f\t", "%d\t", "%.2f")
REAL: dict[str, Callable[[str], bytes]] = {
    "fashion_mnist": fashion_mnist_file,
    "adult": adult_file,
    "letter": letter_file,
    "boston": lambda _: regression_file("boston", BOSTON, "\n", ""),
    "concrete": lambda _: regression_file(
        "concrete", (*["%.1f \t"] * 7, "%d \t", "%.2f "), "\n", "\n"
    ),
    "energy": lambda _: regression_file("energy", ENERGY, "\n", "\n"),
    "kin8nm": lambda _: regression_file("kin8nm", ("%16.7e",) * 9, "\n", ""),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_the_published_sums_and_become_what_a_pipeline_reads(
    name: str, tmp_path: Path
) -> None:
    entry = CATALOGUE[name]
    downloads = tmp_path / name / DOWNLOADS
    downloads.mkdir(parents=True)
    for file in entry.files:
        (downloads / file.name).write_bytes(REAL[name](file.name))
        assert (downloads / file.name).stat().st_size == file.size
    assert fetch(entry, tmp_path, quiet, quiet)  # brought by hand, so no network is needed
    assert not fetch(entry, tmp_path, quiet, quiet)
    data = data_section(entry, tmp_path)["data"]
    if entry.form == "idx":
        assert len(list(Path(data["folder"]).glob("*-ubyte.gz"))) == 4
        return
    parts = [parquet.read_table(data[key]) for key in ("path", "test_path") if key in data]
    assert tuple(part.num_rows for part in parts) == entry.rows
    assert all(entry.label in part.column_names for part in parts)


def test_adult_is_the_table_that_it_was(tmp_path: Path) -> None:
    for name in ("adult.data", "adult.test"):
        (tmp_path / name).write_bytes(adult_file(name))
    prepare("adult", {name: tmp_path / name for name in ("adult.data", "adult.test")}, tmp_path)
    for part, rows in (("train", 32_561), ("test", 16_281)):
        table = parquet.read_table(tmp_path / f"{part}.parquet")
        with gzip.open(shared(f"adult/{part}.csv.gz"), "rt") as stream:
            expected = list(csv.DictReader(stream))
        assert table.num_rows == rows
        found = [
            {k: "?" if v is None else str(v) for k, v in row.items()} for row in table.to_pylist()
        ]
        assert found == expected
        assert set(table["income"].to_pylist()) == {"<=50K", ">50K"}


# The catalogue


def test_every_file_has_a_sum_and_every_sum_a_source() -> None:
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert len(entry.sum_source) > 20
        for file in entry.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size > 0
            assert file.url.endswith(f"/{file.name}")
    assert not set(BUNDLED) & set(CATALOGUE)


@pytest.mark.parametrize("name", ["fashion_mnist", "fashion-mnist", "Fashion-MNIST"])
def test_names_are_found_as_people_write_them(name: str) -> None:
    assert find_set(name).name == "fashion_mnist"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"did you mean 'cifar10'.* fashion_mnist, mnist"):
        find_set("cifar100")


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_section_is_valid_yaml_without_rules(name: str) -> None:
    section = data_section(CATALOGUE[name], Path("data"))
    assert yaml.safe_load(yaml.safe_dump(section)) == section
    assert "columns" not in section["data"]


# Texts


@pytest.mark.parametrize(("text", "message"), [
    ("a, 1\nb, 2, 3\n", "line 2 has 3 values, not 2"),
    ("a, 1\nb, x\n", "holds what it must not"),
    ("", "holds what it must not"),
])  # fmt: skip
def test_a_broken_text_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "f.data"
    path.write_text(text)
    with pytest.raises(CorruptFileError, match=message):
        read_delimited(path, {"name": pa.string(), "n": pa.int64()}, ",")


# CIFAR-10


def archive(path: Path, *extra: tarfile.TarInfo, rows: int = 3, **changes: bytes) -> Path:
    """Write a small archive of CIFAR-10's form, with other members before its own."""
    with tarfile.open(path, "w:gz") as tar:
        for member in extra:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
        for name in [*(f"data_batch_{n}" for n in (1, 3, 2, 5, 4)), "test_batch"]:
            content = changes.get(name, cifar10_batch(rows).tobytes())
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def cifar10_batch(rows: int) -> Array:
    """Rows whose image holds 10 * channel + row of the image at each pixel."""
    labels = np.arange(rows, dtype=np.uint8)[:, None]
    planes = np.empty((rows, 3, 32, 32), np.uint8)
    planes[:] = 10 * np.arange(3)[:, None, None] + np.arange(32)[:, None]
    return np.concatenate([labels, planes.reshape(rows, -1)], axis=1)


def test_planes_become_channels(tmp_path: Path) -> None:
    train, (images, labels) = read_cifar10(archive(tmp_path / "c.tar.gz"), 3)
    assert len(list(train)) == 5
    assert images.shape == (3, 32, 32, 3)
    assert images[0, 7, 4].tolist() == [7, 17, 27]
    assert labels.tolist() == [0, 1, 2]


def test_cifar10_is_written_as_images_with_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ensemble_pipe.data.public import prepare as module

    reading = module.read_cifar10
    monkeypatch.setattr(module, "read_cifar10", lambda path: reading(path, 3))
    path = archive(tmp_path / "cifar-10-binary.tar.gz")
    assert prepare("cifar10", {path.name: path}, tmp_path) == ["train.parquet", "test.parquet"]
    train = parquet.read_table(tmp_path / "train.parquet")
    assert train.num_rows == 15
    assert train.schema.field("image").type == pa.fixed_shape_tensor(pa.uint8(), (32, 32, 3))
    assert train["image"].chunk(0).to_numpy_ndarray()[0, 7, 4].tolist() == [7, 17, 27]
    assert train["label"].to_pylist()[:3] == list(CIFAR10_CLASSES[:3])


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    return info


@pytest.mark.parametrize(("extra", "message"), [
    (member("/etc/passwd"), "leads out of the archive"),
    (member("cifar-10-batches-bin/../../x"), "leads out of the archive"),
    (member("cifar-10-batches-bin/test_batch.bin", tarfile.SYMTYPE), "neither a file nor a folder"),
    (member("x", tarfile.LNKTYPE), "neither a file nor a folder"),
    (member("x", tarfile.FIFOTYPE), "neither a file nor a folder"),
    (member("x", size=1 << 24), "does not belong there"),
    (member("cifar-10-batches-bin/test_batch.bin", size=99), "has 99 bytes, not 9219"),
])  # fmt: skip
def test_an_archive_that_is_not_as_it_must_be_is_refused(
    tmp_path: Path, extra: tarfile.TarInfo, message: str
) -> None:
    with pytest.raises(CorruptFileError, match=message):
        read_cifar10(archive(tmp_path / "c.tar.gz", extra), 3)


def test_damage_of_an_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "c.tar.gz")
    whole = path.read_bytes()
    for cut in (0, 5, len(whole) // 2):
        path.write_bytes(whole[:cut])
        with pytest.raises(CorruptFileError):
            read_cifar10(path, 3)
    bad_label = cifar10_batch(3)
    bad_label[1, 0] = 10
    with pytest.raises(CorruptFileError, match="label above 9"):
        read_cifar10(archive(path, test_batch=bad_label.tobytes()), 3)
