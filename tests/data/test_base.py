"""Base files: written once, then read in place by memory map."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import CorruptFileError, DataError
from ensemble_pipe.data.base import base_writer, open_base, write_base
from ensemble_pipe.data.shard_view import ShardView

ROWS = 10
IMAGE = (4, 3, 2)


def write_images(path: Path, rows: int = ROWS, shard_rows: int = 4) -> Array:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (rows, *IMAGE)).astype(np.uint8)
    write_base(path, images, np.arange(rows, dtype=np.int32) % 3, np.arange(rows) * 7, shard_rows)
    return images


def mapped(path: Path) -> list[tuple[int, int]]:
    """Return the address ranges at which this process has mapped a file."""
    ranges = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(str(path)):
            first, last = line.split()[0].split("-")
            ranges.append((int(first, 16), int(last, 16)))
    return ranges


def test_every_row_comes_back_as_it_was(tmp_path: Path) -> None:
    images = write_images(tmp_path / "b.arrow")
    table = open_base(tmp_path / "b.arrow").table
    inputs = [chunk.to_numpy_ndarray() for chunk in table.column("input").chunks]
    assert np.array_equal(np.concatenate(inputs), images)
    assert table.column("target").to_pylist() == [row % 3 for row in range(ROWS)]
    assert table.column("row").to_pylist() == [row * 7 for row in range(ROWS)]


def test_a_record_batch_is_a_shard(tmp_path: Path) -> None:
    write_images(tmp_path / "b.arrow")
    table = open_base(tmp_path / "b.arrow").table
    assert [len(chunk) for chunk in table.column("input").chunks] == [4, 4, 2]


def test_images_stay_tensors_of_bytes(tmp_path: Path) -> None:
    write_images(tmp_path / "b.arrow")
    kinds = open_base(tmp_path / "b.arrow").table.schema
    assert kinds.field("input").type == pa.fixed_shape_tensor(pa.uint8(), IMAGE)
    assert kinds.field("target").type == pa.int32()
    assert kinds.field("row").type == pa.int64()


def test_features_and_numeric_targets_stay_float32(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    targets = np.linspace(-1, 1, 5, dtype=np.float32)
    write_base(tmp_path / "b.arrow", inputs, targets, np.arange(5), 8)
    table = open_base(tmp_path / "b.arrow").table
    assert table.schema.field("input").type == pa.fixed_shape_tensor(pa.float32(), (3,))
    assert np.array_equal(table.column("input").chunk(0).to_numpy_ndarray(), inputs)
    assert np.array_equal(table.column("target").chunk(0).to_numpy(), targets)


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    write_images(tmp_path / "a.arrow")
    write_images(tmp_path / "b.arrow")
    for ending in ("arrow", "json"):
        one, other = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
        assert one.read_bytes() == other.read_bytes()


def test_nothing_is_left_beside_the_file_and_its_sums(tmp_path: Path) -> None:
    write_images(tmp_path / "b.arrow")
    assert {path.name for path in tmp_path.iterdir()} == {"b.arrow", "b.json"}


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with base_writer(tmp_path / "b.arrow", 4) as writer:
            targets, rows = np.zeros(9, np.int32), np.arange(9)
            writer.append({"input": np.zeros((9, 2), np.float32), "target": targets, "row": rows})
            raise DataError("row 10 is wrong")

    with pytest.raises(DataError):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("blocks", [[1] * ROWS, [3, 7], [9, 1], [ROWS]])
def test_the_blocks_in_which_rows_come_change_no_byte(blocks: list[int], tmp_path: Path) -> None:
    images = write_images(tmp_path / "a.arrow")
    columns = {
        "input": images,
        "target": np.arange(ROWS, dtype=np.int32) % 3,
        "row": np.arange(ROWS) * 7,
    }
    ends = np.cumsum(blocks)
    with base_writer(tmp_path / "b.arrow", 4) as writer:
        for start, stop in zip(ends - blocks, ends, strict=True):
            writer.append({name: values[start:stop] for name, values in columns.items()})
    for ending in ("arrow", "json"):
        one, other = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
        assert one.read_bytes() == other.read_bytes()


def test_weights_and_groups_stand_beside_the_rows(tmp_path: Path) -> None:
    weights, groups = np.linspace(0.5, 1.5, 5, dtype=np.float32), np.array([4, 4, 2, 0, 2])
    plain = np.zeros((5, 3), np.float32), np.zeros(5, np.int32), np.arange(5)
    write_base(tmp_path / "b.arrow", *plain, 2, weight=weights, group=groups)
    table = open_base(tmp_path / "b.arrow").table
    assert np.array_equal(table.column("weight").to_numpy(), weights)
    assert table.schema.field("weight").type == pa.float32()
    assert table.column("group").to_pylist() == groups.tolist()


def test_opening_and_viewing_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "b.arrow"
    write_images(path, rows=200_000, shard_rows=50_000)
    assert path.stat().st_size > 4 << 20
    one = np.ones(IMAGE, np.float32)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        view = ShardView([open_base(path).table], one, one)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert view.rows == 200_000
    assert pa.total_allocated_bytes() == before
    assert peak < 1 << 17


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process has mapped")
def test_arrays_lie_inside_the_memory_map(tmp_path: Path) -> None:
    path = tmp_path / "b.arrow"
    write_images(path)
    table = open_base(path).table
    arrays = [chunk.to_numpy_ndarray() for chunk in table.column("input").chunks]
    arrays += [chunk.to_numpy() for chunk in table.column("target").chunks]
    for array in arrays:
        first = array.ctypes.data
        inside = [low <= first and first + array.nbytes <= high for low, high in mapped(path)]
        assert any(inside)
        assert not array.flags.owndata


DAMAGE = {
    "missing": r"b\.arrow: cannot be opened as a base file \(",
    "empty": r"b\.arrow: ",
    "cut short": r"b\.arrow: does not match the sums in b\.json beside it; .*begin a new run",
    "longer": r"b\.arrow: does not match the sums in b\.json beside it",
    "no Arrow": r"b\.arrow: does not match the sums in b\.json beside it",
    "without sums": r"b\.json: ",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_base_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "b.arrow"
    write_images(path)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "without sums":
        (tmp_path / "b.json").unlink()
    else:
        changed = {"empty": b"", "cut short": whole[:-20], "longer": whole + b"x"}
        path.write_bytes(changed.get(damage, b"x" * len(whole)))
    with pytest.raises(CorruptFileError, match=DAMAGE[damage]):
        open_base(path)
