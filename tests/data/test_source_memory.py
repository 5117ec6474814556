"""Memory: what is read block by block takes no more than some blocks, however much a file says."""

import gzip
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from small_pipelines import SPLITS
from source_files import idx_bytes

from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources import open_rows, paths
from ensemble_pipe.data.sources import parquet as parquet_source
from ensemble_pipe.data.sources.idx import read_idx
from ensemble_pipe.run.preparation import Prepared, prepare

MB = 1 << 20


class Peak:
    """The most bytes that Arrow, and that Python and NumPy, held at once."""

    arrow = 0
    python = 0

    @property
    def total(self) -> int:
        return self.arrow + self.python


POOLS: list[pa.MemoryPool] = []  # what was read may outlive its measuring, and needs its pool


@contextmanager
def peak_memory() -> Iterator[Peak]:
    peak, before = Peak(), pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.python = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        pa.set_memory_pool(before)
        peak.arrow = pool.max_memory()


def read_through(path: Path) -> int:
    rows = open_rows(str(path))
    return sum(block.num_rows for _, block in rows.blocks(rows.schema.names))


# Large files


@pytest.mark.parametrize("row_group", [20_000, 150_000])
def test_parquet_is_read_in_little_memory(row_group: int, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    table = pa.table({f"x{column}": draws.normal(size=150_000) for column in range(25)})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=row_group)
    assert (tmp_path / "t.parquet").stat().st_size > 28 * MB
    del table
    with peak_memory() as peak:
        assert read_through(tmp_path / "t.parquet") == 150_000
    assert peak.total < 40 * MB


def test_npy_npz_and_arrow_are_read_in_little_memory(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9, size=(200_000, 10)).astype(np.float64)
    np.save(tmp_path / "t.npy", values)
    np.savez(tmp_path / "t.npz", x=values)
    table = pa.table({f"x{column}": values[:, column] for column in range(10)})
    for name, compression in (("t.arrow", None), ("z.arrow", "lz4")):
        write_ipc(tmp_path / name, table, compression, 20_000)
    for name in ("t.npy", "t.npz", "t.arrow", "z.arrow"):
        with peak_memory() as peak:
            assert read_through(tmp_path / name) == 200_000
        assert peak.total < 5 * MB, name


LONG = "t" * (256 << 10)


def write_ipc(
    path: Path, table: pa.Table, compression: str | None = None, batch_rows: int | None = None
) -> None:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (
        pa.OSFile(str(path), "wb") as stream,
        pa.ipc.new_file(stream, table.schema, options=options) as writer,
    ):
        writer.write_table(table, batch_rows)


def long_texts() -> pa.Table:
    """Return 4096 rows of 256 kB in which every other one has the same text, by a dictionary."""
    codes = pa.array(np.arange(4096, dtype=np.int32) % 2)
    return pa.table({"x": pa.DictionaryArray.from_arrays(codes, pa.array([LONG, "short"]))})


@pytest.mark.parametrize("kind", ["parquet", "parquet text", "arrow", "npz"])
def test_long_texts_are_read_a_few_at_a_time(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{kind.split()[0]}"
    if kind == "npz":
        np.savez_compressed(path, x=np.array([LONG, "short"] * 64))
    elif kind == "arrow":
        write_ipc(path, long_texts())
    else:
        table = long_texts()
        parquet.write_table(
            table.cast(pa.schema({"x": pa.string()})) if "text" in kind else table, path
        )
    assert path.stat().st_size < MB
    with peak_memory() as peak:
        assert read_through(path) in (128, 4096)
    assert peak.total < 100 * MB


def test_the_message_on_a_long_text_is_short(tmp_path: Path) -> None:
    parquet.write_table(
        long_texts().append_column("y", pa.array([0, 1] * 2048)), tmp_path / "t.parquet"
    )
    for rule, problem in (
        ({"x": {"kind": "number"}}, "row 0 .from 0., column 'x': 'tttt.* is not a number"),
        ({}, r"no column can be learned from: x \(long text, of up to 262,144 bytes\)"),
        (CATEGORY, "262144 bytes"),
    ):
        with pytest.raises(DataError, match=problem) as refused:
            prepared(tmp_path / "t.parquet", columns=rule)
        assert len(str(refused.value)) < 400


# What is held of each row while a run is prepared

CATEGORY = {"x": {"kind": "category"}}
HELD_ROWS = 1_000_000


def prepared(path: Path, task: str = "classification", **data: Any) -> Prepared:
    table = {"source": "table", "path": str(path), "label": "y", **data}
    config = {"data": table, "task": task, "splits": SPLITS}
    return prepare(Pipeline.model_validate(config))


def labels_of(kind: str) -> Any:
    numbers = np.arange(HELD_ROWS, dtype=np.uint8) % 2
    if kind == "texts":
        return pa.DictionaryArray.from_arrays(
            pa.array(numbers), pa.array(["a class of 21 letters", "b"])
        )
    return pa.array(numbers.astype(np.float32 if kind == "targets" else np.uint8))


@pytest.mark.parametrize("kind", ["numbers", "texts", "targets"])
def test_a_row_takes_few_bytes_before_it_is_written(kind: str, tmp_path: Path) -> None:
    table = pa.table({"x": np.zeros(HELD_ROWS, np.uint8), "y": labels_of(kind)})
    write_ipc(tmp_path / "t.arrow", table)
    del table
    with peak_memory() as peak:
        found = prepared(
            tmp_path / "t.arrow", "regression" if kind == "targets" else "classification"
        )
    assert sum(found.rows.values()) == HELD_ROWS
    assert peak.total < 24 * HELD_ROWS


def test_an_archive_of_one_class_is_refused_within_twice_its_stated_size(tmp_path: Path) -> None:
    rows = 4 * HELD_ROWS
    np.savez_compressed(
        tmp_path / "t.npz", x=np.zeros((rows, 1), np.uint8), y=np.zeros(rows, np.uint8)
    )
    with peak_memory() as peak, pytest.raises(DataError, match="have the one class 0"):
        prepared(tmp_path / "t.npz")
    assert peak.total < 2 * 2 * rows


# Bombs


def write_gzip(path: Path, piece: bytes, repeats: int, head: bytes = b"") -> None:
    """Write one file of many members, so that only one has to be compressed."""
    path.write_bytes(gzip.compress(head) + repeats * gzip.compress(piece))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"a,b\n1,", "a row is longer than 4 MB, or a q"),
        (b"", "no line of column names in its"),
    ],
    ids=["row", "header"],
)
def test_one_endless_line_is_refused_after_two_blocks(
    tmp_path: Path, head: bytes, message: str
) -> None:
    path = tmp_path / "t.csv.gz"
    write_gzip(path, b"x" * MB, 400, head)
    with peak_memory() as peak, pytest.raises(DataError, match=message):
        open_rows(str(path))
    assert peak.total < 16 * MB


def test_a_reader_that_is_given_up_leaves_nothing_that_reads(tmp_path: Path) -> None:
    """pyarrow reads ahead in a thread: what it reads is not closed under it, and is no Python."""
    path = tmp_path / "t.csv.gz"
    write_gzip(path, b"x" * MB, 40)
    for _ in range(40):
        with pytest.raises(DataError):
            open_rows(str(path))


def test_many_lines_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    line = f"1,{'abc' * 60}\n".encode()
    write_gzip(path, line * (MB // len(line)), 200, b"a,b\n")
    assert path.stat().st_size < 2 * MB
    with peak_memory() as peak:
        assert open_rows(str(path)).count == 200 * (MB // len(line))
    assert peak.total < 40 * MB


def test_what_swells_a_thousandfold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    write_gzip(path, (b"a" * MB + b"\n") * 4, 20, b"a\n")
    with pytest.raises(
        DataError, match=r"t\.csv\.gz: its \d+ bytes swell to .* unpack it with gunz"
    ):
        open_rows(str(path))


@pytest.mark.parametrize("kind", ["file", "stream", "dictionary", "parquet"])
def test_a_batch_that_states_a_thousandfold_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("t.parquet" if kind == "parquet" else "t.arrow")
    table = pa.table({"x": np.zeros(9 * MB)})
    if kind == "dictionary":
        codes = pa.array(np.zeros(10, np.int8))
        table = pa.table({"x": pa.DictionaryArray.from_arrays(codes, table["x"].chunk(0))})
    if kind == "parquet":
        parquet.write_table(
            table, path, compression="zstd", use_dictionary=False, row_group_size=9 * MB
        )
    elif kind == "stream":
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(str(path), table.schema, options=options) as writer:
            writer.write_table(table)
    else:
        write_ipc(path, table, "zstd")
    with peak_memory() as peak, pytest.raises(DataError, match=r"swell to 7\d{7} .* smaller"):
        open_rows(str(path))
    assert peak.total < MB


def test_an_npy_header_that_states_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "t.npy"
    with path.open("wb") as stream:
        stream.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30))
        stream.truncate(1 << 30)
    with peak_memory() as peak, pytest.raises(DataError, match="1073741824 bytes of header"):
        open_rows(str(path))
    assert peak.total < MB


def test_an_idx_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x-idx3-ubyte.gz"
    zeros = gzip.compress(bytes(4 << 20))
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((2, 3, 3)))) + 64 * zeros)
    problem = r"announces 18 bytes .* but it holds more"
    with peak_memory() as peak, pytest.raises(DataError, match=problem):
        read_idx(path)
    assert peak.total < 2 * MB


def npy_bytes(shape: tuple[int, ...], values: bytes = b"") -> bytes:
    header = io.BytesIO()
    facts = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue() + values


def state_size(path: Path, size: int) -> None:
    """Change the size that a zip's directory and local header state for its only entry."""
    content = bytearray(path.read_bytes())
    local, central = content.index(b"PK\x03\x04"), content.index(b"PK\x01\x02")
    content[local + 22 : local + 26] = struct.pack("<I", size)
    content[central + 24 : central + 28] = struct.pack("<I", size)
    path.write_bytes(bytes(content))


def test_a_zip_entry_is_believed_as_far_as_it_can_be_true(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    start = len(npy_bytes((1000, 1)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy_bytes((2_000_000_000, 1), bytes(1000)))
    state_size(path, start + 2_000_000_000)
    with (
        peak_memory() as peak,
        pytest.raises(DataError, match=r"announces 2000000128 bytes, which"),
    ):
        open_rows(str(path))
    assert peak.total < MB


def test_a_zip_bomb_gives_no_more_than_its_stated_size(tmp_path: Path) -> None:
    """50 MB of zeros, of which the directory admits 100 kB."""
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy_bytes((100_000, 1), bytes(50 * MB)))
    state_size(path, len(npy_bytes((100_000, 1))) + 100_000)
    with peak_memory() as peak, pytest.raises(DataError, match=r"t\.npz: cannot be read"):
        read_through(path)
    assert peak.total < 2 * MB


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_honest_zip_of_zeros_takes_blocks_or_its_stated_size(order: Any, tmp_path: Path) -> None:
    values = np.zeros((200_000, 20), order=order)
    np.savez_compressed(tmp_path / "t.npz", x=values)
    with peak_memory() as peak:
        assert read_through(tmp_path / "t.npz") == 200_000
    assert peak.total < (8 * MB if order == "C" else 1.2 * values.nbytes)


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".arrow", ".npy", ".npz"])
def test_columns_without_an_end_are_refused(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each column takes kilobytes while it is read, however short its name."""
    monkeypatch.setattr(paths, "MOST_COLUMNS", 40)
    path, values = tmp_path / f"t{ending}", np.zeros((1, 41))
    table = pa.table({f"x{column}": values[:, column] for column in range(41)})
    match ending:
        case ".csv":
            path.write_text(f"{','.join(table.column_names)}\n{','.join('0' * 41)}\n")
        case ".parquet":
            parquet.write_table(table, path)
        case ".arrow":
            write_ipc(path, table)
        case ".npy":
            np.save(path, values)
        case _:
            np.savez(path, x=values)
    with pytest.raises(DataError, match=rf"t\{ending}: has 41 columns, and at most 40 are read"):
        open_rows(str(path))


def test_parquet_that_is_mostly_metadata_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({f"x{column}": [1] for column in range(100)})
    parquet.write_table(table, tmp_path / "t.parquet")
    monkeypatch.setattr(parquet_source, "_FOOTER_ROOM", 1 << 10)
    with pytest.raises(DataError, match=r"t\.parquet: \d+ of its \d+ bytes are metadata; write"):
        open_rows(str(tmp_path / "t.parquet"))


@pytest.mark.slow
def test_300_mb_of_parquet_in_100_mb_of_memory(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    table = pa.table({f"x{column}": draws.normal(size=1_300_000) for column in range(30)})
    parquet.write_table(table, tmp_path / "t.parquet")
    del table
    assert (tmp_path / "t.parquet").stat().st_size > 300 * MB
    with peak_memory() as peak:
        assert read_through(tmp_path / "t.parquet") == 1_300_000
    assert peak.total < 100 * MB
