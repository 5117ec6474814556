"""Files that cannot be read: each is refused by file, row and column, and says what would do."""

import gzip
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from source_files import FORMATS, idx_bytes, save_arrow, small_columns, values_of, write

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources import Idx, open_rows
from ensemble_pipe.data.sources.idx import read_idx
from ensemble_pipe.data.sources.rows import TEXT_PLACE

WITHOUT_SUMS = (".parquet", ".feather", ".arrow")  # of their metadata, or of all


def refusal(location: object, *names: str) -> str:
    with pytest.raises(DataError) as raised:
        values_of(open_rows(str(location)), *names)
    return str(raised.value)


def outcome(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return all values, or None and the message."""
    try:
        return values_of(open_rows(str(path))), ""
    except DataError as error:
        return None, str(error)


# Places


def test_places_where_nothing_can_be_read_are_refused(tmp_path: Path) -> None:
    for name in ("empty.csv", "empty.parquet", "empty.npz"):
        (tmp_path / name).write_text("")
        assert refusal(tmp_path / name) == f"{tmp_path / name}: the file is empty"
    assert "no such file; paths are taken from the current directory" in refusal("nowhere.csv")
    assert "no .parquet file is found there" in refusal(tmp_path / "no*.parquet")
    (tmp_path / "folder").mkdir()
    assert "is a folder without .parquet files or images" in refusal(tmp_path / "folder")
    (tmp_path / "t.xlsx").write_text("x")
    assert "unknown format '.xlsx'; .parquet, .arrow, .feather, .csv" in refusal(
        tmp_path / "t.xlsx"
    )
    assert "no .parquet file is found there" in refusal(f"file://{tmp_path}/nothing")
    (tmp_path / "a.csv").write_text("a\n1\n")
    assert "a.csv is among what it finds; only .parquet files are read several at" in refusal(
        tmp_path / "a*"
    )
    os.mkfifo(tmp_path / "pipe.csv")
    for path in ("/dev/zero", tmp_path / "pipe.csv"):
        assert refusal(path) == (
            f"{path}: is no regular file but a device or pipe; write it to a file"
        )
    assert refusal("gopher://host/x").startswith("gopher://host/x: cannot be read (Unrecognized")


@pytest.mark.parametrize("ending", FORMATS)
def test_files_without_rows_are_refused(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"t{ending}", {"a": np.zeros(0), "b": np.zeros(0)})
    assert refusal(path) == f"{path}: has no rows"


def test_an_npy_file_without_rows_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros((0, 3)))
    assert "has no rows" in refusal(tmp_path / "t.npy")


@pytest.mark.parametrize("shape", [(3, 0), (3, 0, 4, 1), (3, 4, 0)])
def test_rows_without_values_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros(shape, np.uint8))
    problem = f"its rows hold no values (shape {shape})"
    assert refusal(tmp_path / "t.npy") == f"{tmp_path}/t.npy: {problem}"
    np.savez(tmp_path / "t.npz", x=np.zeros(shape, np.uint8))
    assert problem in refusal(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("side", "problem"),
    [(1 << 20, "Product of shape dimensions"), ((1 << 32) - 1, "cannot be read (")],
)
def test_images_of_an_impossible_size_are_refused_where_there_are_none(
    side: int, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "x-idx3-ubyte"
    path.write_bytes(bytes([0, 0, 8, 3]) + np.array([0, side, side], ">u4").tobytes())
    assert problem in refusal(path)


# Damage that any file may suffer


@pytest.mark.parametrize("ending", [*FORMATS[1:], ".npy", "-idx3-ubyte", "-idx3-ubyte.gz"])
def test_a_truncated_file_is_refused_by_name(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{ending}"
    if ending == ".npy":
        np.save(path, np.ones((50, 3)))
    elif "idx3" in ending:
        content = idx_bytes(np.ones((50, 3, 3)))
        path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    else:
        write(path, {"a": np.arange(500) * 0.37, "b": np.arange(500)})
    content = path.read_bytes()
    for kept in (len(content) - 1, len(content) * 2 // 3, 9):
        path.write_bytes(content[:kept])
        assert refusal(path).startswith(f"{path}: ")


@pytest.mark.parametrize("ending", [".parquet", ".feather", ".csv.gz", ".npz", ".arrow"])
def test_flipped_bits_never_crash_and_are_seen_where_the_format_has_sums(
    ending: str, tmp_path: Path
) -> None:
    columns = {"a": np.arange(40) * 0.37, "b": np.array([f"k{row}" for row in range(40)])}
    path = write(tmp_path / f"t{ending}", columns)
    content, expected = path.read_bytes(), {name: v.tolist() for name, v in columns.items()}
    draws = np.random.default_rng(7)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[draws.integers(len(content))] ^= 1 << int(draws.integers(8))
        path.write_bytes(bytes(damaged))
        found, problem = outcome(path)
        assert problem.startswith(f"{path}: " if found is None else "")
        assert found in (None, expected) or ending in WITHOUT_SUMS


def test_a_flipped_bit_in_a_page_of_parquet_is_seen(tmp_path: Path) -> None:
    values = np.arange(4000) * 0.37
    path = tmp_path / "t.parquet"
    parquet.write_table(
        pa.table({"a": values}), path, write_page_checksum=True, compression=None,
        use_dictionary=False,
    )  # fmt: skip
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))
    assert "page integrity" in refusal(path)


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".arrow", ".stream.arrow"])
def test_a_column_name_stands_there_once(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{ending}"
    table = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], ["a", "b", "a"])
    if ending == ".csv":
        path.write_text("a,b, a\n1,2,3\n")
    elif ending == ".parquet":
        parquet.write_table(table, path)
    else:
        make = pa.ipc.new_stream if "stream" in ending else pa.ipc.new_file
        with pa.OSFile(str(path), "wb") as stream, make(stream, table.schema) as writer:
            writer.write_table(table)
    assert refusal(path) == f"{path}: column 'a' is there more than once"


# Parquet


def test_files_of_one_folder_have_the_same_columns(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "0.parquet")
    for table, problem in (
        (pa.table({"a": [1], "b": [2.5]}), "column 'b' is double, but int64 in"),
        (pa.table({"a": [1]}), "column 'b' is missing, but int64 in"),
        (pa.table({"a": [1], "b": [2], "c": [3]}), "column 'c' is int64, but missing in"),
    ):
        parquet.write_table(table, tmp_path / "1.parquet")
        message = refusal(tmp_path)
        assert message.startswith(f"{tmp_path}/1.parquet: {problem} {tmp_path}/0.parquet")


def test_images_of_a_table_are_one_column_and_all_there(tmp_path: Path) -> None:
    images = pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((3, 4, 4), np.uint8))
    parquet.write_table(pa.table({"a": images, "b": images}), tmp_path / "t.parquet")
    assert "holds several columns of images (a, b); keep one" in refusal(tmp_path / "t.parquet")
    holes = pa.array([[1, 2], None, [3, 4]], pa.list_(pa.uint8(), 2))
    tensors = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), (1, 2)), holes)
    table = pa.table({"a": tensors})
    save_arrow(table, tmp_path / "t.arrow")
    message = refusal(tmp_path / "t.arrow")
    assert message.startswith(f"{tmp_path}/t.arrow: row 1 (from 0), column 'image': the image is m")


# CSV


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\n1,2\n\n3\n", "row 1 (from 0, line 4): has 1 fields where the header has 2"),
        ('a,b\n"1\n",2\n1,2,3\n', "row 1 (from 0, line 4): has 3 fields where the header has 2"),
        ("a,b\n1,2\n\xff\n3,4\n", "row 1 (from 0, line 3): has 1 fields where the header has 2"),
        ("a,b\n1,x\n2,\xff\n", "row 1 (from 0, line 3), column 'b': b'\\xff' is not UTF-8"),
        ("a,gr\xf6\xdfe\n1,2\n", "its column names are not UTF-8; save it as UTF-8"),
        ('a,b\n1,2\n3,"4\n5,6\n', "row 1 (from 0, line 3): a quote that opens there is never clos"),
        ("\n\n", "no line of column names"),
        ("a,b\n", "has no rows"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_broken_text_is_refused_by_row_and_line(
    text: str, problem: str, ending: str, tmp_path: Path
) -> None:
    content = text.encode("latin-1")
    path = tmp_path / f"t{ending}"
    path.write_bytes(gzip.compress(content) if ending == ".csv.gz" else content)
    message = refusal(path)
    assert message.startswith(str(path))
    assert problem in message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "is text in UTF-16; save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "holds zero bytes, so it is no text in UTF-8; save"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "is compressed by gzip; rename it to t.csv.gz"),
        (b"PAR1\x15\x04", "is a Parquet file; rename it to end in .parquet"),
        (b"ARROW1\0\0", "is an Arrow file; rename it to end in .arrow"),
        (b"PK\x03\x04\x14\0", "is a zip archive or a spreadsheet; unpack it, or save it as CSV"),
        (b"a;b\n1,5;2\n", "its column names are separated by semicolons; save it with commas"),
        (b'"a,c"\tb\r\n1\t2\r\n', "its column names are separated by tabs; save it with commas"),
        (b"\na|b\n1|2\n", "its column names are separated by bars; save it with commas"),
    ],
)  # fmt: skip
def test_what_a_csv_file_really_is_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: {problem}")


def test_text_that_is_not_packed_though_it_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_text("a,b\n1,2\n")
    assert refusal(path) == f"{path}: is not compressed by gzip; rename it to t.csv"


def test_links_lead_nowhere_out_of_a_data_folder(tmp_path: Path) -> None:
    home, secret = tmp_path / "home", tmp_path / "t.parquet"
    home.mkdir()
    parquet.write_table(pa.table({"a": [1]}), secret)
    parquet.write_table(pa.table({"a": [2]}), home / "0.parquet")
    (home / "1.parquet").symlink_to(home / "0.parquet")
    assert values_of(open_rows(str(home)))["a"] == [2, 2]
    (home / "2.parquet").symlink_to(secret)
    problem = f"{home}/2.parquet: is a link that leads out of {home}; copy what it leads to"
    assert refusal(home) == refusal(f"file://{home}") == problem
    images, labels = (home / f"train-{name}-ubyte" for name in ("images-idx3", "labels-idx1"))
    images.write_bytes(idx_bytes(np.ones((2, 2, 2))))
    labels.symlink_to(secret)
    with pytest.raises(DataError, match=f"^{labels}: is a link that leads out of {home}"):
        Idx(folder=str(home)).open()


@pytest.mark.parametrize("where", [0, 40, 4000])
def test_a_broken_row_is_counted_over_all_blocks(
    where: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ensemble_pipe.data.sources.csv.BLOCK", 1 << 10)
    lines = ["1,2"] * 5000
    lines[where] = "1,2,3"
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(lines) + "\n")
    problem = f"row {where} (from 0, line {where + 2}): has 3 fields where the header has 2"
    assert refusal(path) == f"{path}: {problem}"
    lines[where] = "99999999999999999999,2"
    path.write_text("a,b\n" + "\n".join(lines) + "\n")
    found = open_rows(str(path)).schema.field("a").metadata
    assert found[TEXT_PLACE].decode() == f"{path}: row {where} (from 0, line {where + 2})"


def test_a_file_that_grows_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    rows = open_rows(str(path))
    with path.open("a") as stream:
        stream.write("2\n")
    with pytest.raises(DataError, match="2 rows were read where 1 were announced"):
        values_of(rows)
    path.write_text("a\nx\n")
    with pytest.raises(DataError, match="was it written to meanwhile"):
        values_of(rows)


# NPY, NPZ and IDX


def npy_header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    header = io.BytesIO()
    facts = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((2, 2)), "x0": np.ones(2)}, "column 'x0' is there more than once"),
        ({"x": np.ones(3), "y": np.ones(2)}, "its arrays differ in length (x 3, y 2)"),
        ({"x": np.ones((2, 2, 2))}, "array 'x' is float64 of shape (2, 2, 2)"),
        ({"x": np.array(3)}, "array 'x' is int64 of shape ()"),
        ({"x": np.ones(2, complex)}, "plain arrays of numbers or text are needed"),
        ({"x": np.ones(2, np.longdouble)}, "plain arrays of numbers or text are needed"),
        ({"x": np.zeros(2, "i4,f4")}, "of shape (2,); a column (R,)"),
        ({f"{n}": np.zeros((2, 3, 3), np.uint8) for n in "ab"}, "holds several columns of images"),
    ],
)
def test_npz_arrays_that_are_no_columns_are_refused(
    arrays: dict[str, Array], message: str, tmp_path: Path
) -> None:
    assert message in refusal(write(tmp_path / "t.npz", arrays))


@pytest.mark.parametrize(
    "values", [np.ones(3), np.ones((2, 2, 2)), np.array([["a"]]), np.zeros((2, 2, 2, 2, 2), "u1")]
)
def test_npy_arrays_that_are_no_rows_are_refused(values: Array, tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", values)
    assert "(R, D) numbers or uint8 images (R, H, W[, C]) are needed" in refusal(tmp_path / "t.npy")


def test_nothing_pickled_is_loaded(tmp_path: Path) -> None:
    for name, save in (("t.npy", np.save), ("t.npz", np.savez)):
        save(tmp_path / name, np.array([{"a": 1}], object))
        assert refusal(tmp_path / name).startswith(f"{tmp_path / name}: ")


def test_what_only_looks_like_an_npz_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))
    assert "no NPZ file, or not all of one" in refusal(path)
    for name, problem in (
        ("readme.txt", "'readme.txt' in it is no array"),
        ("../x.npy", "the name '../x.npy' in it leads outside"),
        ("a/../../x.npy", "leads outside"),
        ("/x.npy", "leads outside"),
        ("..\\x.npy", "leads outside"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, npy_header((1,)) + bytes(8))
        assert problem in refusal(path)


@pytest.mark.parametrize("values", [2**50, 3, 1])
def test_an_npy_header_is_not_believed_beyond_its_file(values: int, tmp_path: Path) -> None:
    content = npy_header((values, 1)) + bytes(16)
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", content)
    announced = len(content) - 16 + 8 * values
    assert (
        f"the header of 'x' announces {announced} bytes for shape ({values}, 1), "
        f"but the archive {len(content)}"
    ) in refusal(tmp_path / "t.npz")
    (tmp_path / "t.npy").write_bytes(content)
    assert f"announces {announced} bytes" in refusal(tmp_path / "t.npy")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_idx_header_is_not_believed_beyond_what_the_file_can_hold(
    pack: Any, tmp_path: Path
) -> None:
    path = tmp_path / "x.idx"
    path.write_bytes(pack(b"\0\0\x08\x04" + b"\xff" * 16 + b"abc"))
    with pytest.raises(DataError, match=r"which a file of \d+ bytes cannot hold"):
        read_idx(path)


def test_idx_files_of_other_things_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x-images-idx3-ubyte"
    path.write_bytes(idx_bytes(np.ones(5)))
    assert "holds an array of shape (5,), not images (R, H, W)" in refusal(path)
    path.write_bytes(b"\0\0\x0d\x03" + bytes(12))
    assert "not an IDX file of unsigned bytes (it starts with 00 00 0d 03" in refusal(path)
    path.write_bytes(idx_bytes(np.ones((2, 2, 2))))
    path.with_name("x-labels-idx1-ubyte").write_bytes(idx_bytes(np.ones(3)))
    assert "x-labels-idx1-ubyte: holds shape (3,), but there are 2 images" in refusal(path)


def test_small_columns_are_undamaged(tmp_path: Path) -> None:
    """The writers of these tests write what can be read."""
    for ending in FORMATS:
        assert open_rows(str(write(tmp_path / f"t{ending}", small_columns()))).count == 4
