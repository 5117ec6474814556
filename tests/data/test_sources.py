"""Sources: what each reads from real files, and that the format of a file changes nothing."""

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.sources import Digits, Idx, Table
from ensemble_pipe.data.sources.idx import labels_beside, read_idx, read_images, read_labels
from ensemble_pipe.data.sources.raw import Raw, check_rows
from ensemble_pipe.data.sources.table import read_table
from ensemble_pipe.errors import DataError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
FORMATS = (".csv", ".csv.gz", ".parquet", ".arrow", ".npz")


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not here: it is a user's to bring, in shared/data")
    return path


def idx_bytes(values: Array) -> bytes:
    sizes = np.array(values.shape, ">u4").tobytes()
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def write_columns(path: Path, columns: dict[str, Array]) -> Path:
    """Write columns in the format that the ending of `path` names."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
    elif path.suffix == ".npz":
        with path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **columns)
    else:
        text = io.BytesIO()
        csv.write_csv(table, text)
        content = text.getvalue()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def small_columns() -> dict[str, Array]:
    return {
        "real": np.array([0.1, -2.5e-8, 3.0, 1e20]),
        "whole": np.array([1, -2, 3, 4]),
        "yes": np.array([True, False, True, True]),
        "kind": np.array(["b", "a", "b", "a"]),
        "id": np.array([9, 8, 7, 6]),
    }


# Real data


def test_digits_are_all_there() -> None:
    raw, test = Digits().read()
    assert raw.inputs.shape == (1797, 8, 8, 1)
    assert raw.inputs.dtype == np.uint8
    assert raw.inputs.max() == 16
    assert raw.targets is not None
    assert np.bincount(raw.targets).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert test is None


def test_fashion_mnist_has_its_official_test_part() -> None:
    raw, test = Idx(folder=str(shared("fashion-mnist"))).read()
    assert test is not None
    for part, rows in ((raw, 60_000), (test, 10_000)):
        assert part.inputs.shape == (rows, 28, 28, 1)
        assert part.inputs.dtype == np.uint8
        assert part.targets is not None
        assert np.bincount(part.targets).tolist() == [rows // 10] * 10


def test_an_idx_file_reads_alike_with_and_without_gzip(tmp_path: Path) -> None:
    packed = shared("fashion-mnist") / "t10k-images-idx3-ubyte.gz"
    plain = tmp_path / "t10k-images-idx3-ubyte"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    assert np.array_equal(read_idx(plain), read_idx(packed))


def test_concrete_is_a_table_of_numbers_and_booleans() -> None:
    path = shared("uci_regression/concrete.parquet")
    folds = tuple(f"test_{fold}" for fold in range(20))
    raw, _ = Table(path=str(path), label="y", ignore=folds).read()
    assert raw.feature_names == tuple(f"x{column}" for column in range(8))
    assert raw.inputs.shape == (1030, 8)
    assert raw.targets is not None
    assert raw.targets.dtype == np.float64
    assert raw.inputs.dtype == np.float64
    assert np.array_equal(raw.inputs[:, 3], parquet.read_table(path)["x3"].to_numpy())


def test_letter_has_26_classes_in_the_order_of_its_lines() -> None:
    path = shared("letter/letter.csv")
    raw, _ = Table(path=str(path), label="letter").read()
    assert raw.inputs.shape == (20_000, 16)
    assert raw.targets is not None
    assert len(set(raw.targets.tolist())) == 26
    last = path.read_text().split()[-1].split(",")
    assert [raw.targets[-1], *raw.inputs[-1].tolist()] == [last[0], *map(float, last[1:])]


def test_adult_is_two_compressed_files_whose_text_columns_can_be_ignored() -> None:
    folder = shared("adult")
    text = ("workclass", "education", "marital_status", "occupation", "relationship", "race")
    raw, test = Table(
        path=str(folder / "train.csv.gz"),
        test_path=str(folder / "test.csv.gz"),
        label="income",
        ignore=(*text, "sex", "native_country"),
    ).read()
    assert test is not None
    assert (raw.rows, test.rows) == (32_561, 16_281)
    assert test.feature_names == raw.feature_names
    assert set(raw.targets.tolist() if raw.targets is not None else ()) == {"<=50K", ">50K"}


# Tables


@pytest.mark.parametrize("ending", FORMATS)
def test_the_format_changes_nothing(ending: str, tmp_path: Path) -> None:
    columns = small_columns()
    raw = read_table(write_columns(tmp_path / f"t{ending}", columns), "kind", ignore=("id",))
    assert raw.inputs.dtype == np.float64
    expected = np.stack([columns[name].astype(float) for name in ("real", "whole", "yes")], 1)
    assert np.array_equal(raw.inputs, expected)
    assert raw.targets is not None
    assert raw.targets.tolist() == ["b", "a", "b", "a"]
    assert raw.feature_names == ("real", "whole", "yes")
    assert raw.target_name == "kind"


@pytest.mark.parametrize("ending", FORMATS)
def test_features_come_in_the_order_asked_for(ending: str, tmp_path: Path) -> None:
    path = write_columns(tmp_path / f"t{ending}", small_columns())
    raw = read_table(path, None, features=("id", "real"))
    assert raw.feature_names == ("id", "real")
    assert raw.inputs[0].tolist() == [9.0, 0.1]
    assert raw.targets is None


@pytest.mark.parametrize("ending", FORMATS)
def test_boolean_labels_are_the_classes_0_and_1(ending: str, tmp_path: Path) -> None:
    path = write_columns(tmp_path / f"t{ending}", small_columns())
    raw = read_table(path, "yes", ignore=("kind",))
    assert raw.targets is not None
    assert raw.targets.tolist() == [1, 0, 1, 1]


def test_a_categorical_label_is_read_as_its_text(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    label = pa.array(["v", "u", "v"]).dictionary_encode()
    parquet.write_table(pa.table({"a": [1.0, 2.0, 3.0], "y": label}), path)
    raw = read_table(path, "y")
    assert raw.targets is not None
    assert raw.targets.tolist() == ["v", "u", "v"]


def test_a_block_of_an_npz_file_becomes_numbered_columns(tmp_path: Path) -> None:
    block = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "t.npz", x=block, y=np.array([0, 1, 0]))
    raw = read_table(tmp_path / "t.npz", "y")
    assert raw.feature_names == ("x0", "x1")
    assert np.array_equal(raw.inputs, block)


@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 5, 4, 1), (3, 5, 4, 3)])
def test_an_npz_file_may_hold_images(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
    np.savez(tmp_path / "t.npz", images=images, y=np.array([0, 1, 0]))
    raw = read_table(tmp_path / "t.npz", "y")
    assert raw.is_image
    assert np.array_equal(raw.inputs, images.reshape(*shape[:3], -1))


def test_lines_are_counted_in_text_files_only(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "t.csv.gz", small_columns())
    assert read_table(path, "kind").at(2) == f"{path}: row 3 (line 4)"
    path = write_columns(tmp_path / "t.parquet", small_columns())
    assert read_table(path, "kind").at(2) == f"{path}: row 3"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((2, 2)), "x0": np.ones(2)}, "column 'x0' stands there more than once"),
        ({"x": np.ones(3), "y": np.ones(2)}, r"its arrays differ in length \(x 3, y 2\)"),
        ({"x": np.ones((2, 2, 2))}, r"array 'x' is float64 of shape \(2, 2, 2\)"),
        ({"x": np.ones(2, complex)}, "plain arrays of numbers or text are needed"),
        ({"x": np.array(["2020-01-01"], "M8[D]")}, "column 'x' is of type date32"),
    ],
)
def test_npz_arrays_that_are_no_columns_are_refused(
    arrays: dict[str, Array], message: str, tmp_path: Path
) -> None:
    with (tmp_path / "t.npz").open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.npz", None)


def test_what_only_looks_like_an_npz_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))
    with pytest.raises(DataError, match=r"no NPZ file, or not all of one"):
        read_table(path, None)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no array")
    with pytest.raises(DataError, match=r"'readme.txt' in it is no array"):
        read_table(path, None)


def test_an_npz_header_that_announces_the_impossible_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    facts = {"descr": "<f8", "fortran_order": False, "shape": (2**50,)}
    np.lib.format.write_array_header_1_0(header, facts)
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    with pytest.raises(DataError, match="Unable to allocate 8"):
        read_table(tmp_path / "t.npz", None)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (pa.array([b"\xe9", b"u"]), "label 'y' is of type binary; labels are numbers, text in UTF"),
        (pa.array([[1], [2]]), "label 'y' is of type list"),
        (pa.array(["u", ""]), "row 2, column 'y': the label is missing"),
        (pa.array([0.0, float("nan")]), "row 2, column 'y': the label is missing"),
        (pa.array([None, 1]), "row 1, column 'y': the label is missing"),
    ],
)
def test_labels_that_are_no_classes_are_refused(
    label: pa.Array, message: str, tmp_path: Path
) -> None:
    parquet.write_table(pa.table({"a": [1.0, 2.0], "y": label}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.parquet", "y")


def test_column_names_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,gr\xf6\xdfe,y\n1,2,0\n")
    with pytest.raises(DataError, match="its column names are not UTF-8"):
        read_table(tmp_path / "t.csv", "y")


# IDX


@pytest.mark.parametrize("name", ["x-idx3-ubyte", "x-idx3-ubyte.gz"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 5, 2)])
def test_an_idx_file_of_images_reads_as_written(
    name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    values = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
    content = idx_bytes(values)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert np.array_equal(read_images(path), values.reshape(3, 4, 5, -1))


def test_labels_are_found_beside_their_images(tmp_path: Path) -> None:
    images = tmp_path / "t10k-images-idx3-ubyte"
    assert labels_beside(images) is None
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.array([3, 1])))
    assert labels_beside(images) == labels
    assert read_labels(labels, 2).tolist() == [3, 1]


def test_a_folder_without_test_files_has_no_test_part(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((2, 3, 3))))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1])))
    raw, test = Idx(folder=str(tmp_path)).read()
    assert raw.rows == 2
    assert test is None


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_header_is_not_believed_beyond_what_the_file_can_hold(
    pack: type[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "x.idx"
    path.write_bytes(pack(b"\0\0\x08\x04" + b"\xff" * 16 + b"abc"))
    with pytest.raises(DataError, match=r"which a file of \d+ bytes cannot hold"):
        read_idx(path)


def test_a_compressed_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x-idx3-ubyte.gz"
    zeros = gzip.compress(bytes(4 << 20))
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((2, 3, 3)))) + 64 * zeros)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"announces 18 bytes .* but it holds more"):
            read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20


# Checks of rows


def features(*rows: list[float]) -> Raw:
    return Raw("f.csv", np.array(rows), None, ("a", "b"), header_lines=1)


def test_finite_features_pass() -> None:
    check_rows(features([0.0, -1e38], [1e38, 2.0]))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (float("nan"), "a missing value or NaN"),
        (float("-inf"), "infinity"),
        (1e39, r"1e\+39 is too large for float32"),
    ],
)
def test_the_first_feature_that_is_no_number_is_named(value: float, what: str) -> None:
    raw = features([0.0, 1.0], [2.0, value], [value, 0.0])
    with pytest.raises(DataError, match=rf"^f\.csv: row 2 \(line 3\), column 'b': {what}; every"):
        check_rows(raw)


def test_a_column_without_a_name_is_numbered() -> None:
    with pytest.raises(DataError, match="row 1, column '2': a missing value"):
        check_rows(Raw("the array", np.array([[0.0, 1.0, np.nan]]), None, ("a", "b")))


@pytest.mark.parametrize(
    ("shape", "message"), [((0, 2), "has no rows"), ((3, 0, 4, 1), "its rows hold no values")]
)
def test_rows_without_values_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_rows(Raw("f", np.zeros(shape, np.uint8), None))
