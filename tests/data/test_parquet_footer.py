"""The footer of a Parquet file: what it says, and refusals of what makes no sense."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources import open_rows
from ensemble_pipe.data.sources.parquet_footer import (
    END_BYTES,
    Footer,
    footer_bytes,
    read_footer,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import fuzz_footers
from fuzz_footers import STRUCT, Value

INTEGER, LONG, TEXT = 5, 6, 8  # types of Thrift


def written(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(table, stream, **options)
    return stream.getvalue()


def footer_of(content: bytes) -> Footer:
    length = footer_bytes(content[-END_BYTES:], len(content))
    return read_footer(content[-END_BYTES - length : -END_BYTES], len(content))


def table() -> pa.Table:
    return pa.table(
        {
            "real": np.arange(40) / 7,
            "text": [f"{number % 3}" * (number * 9) for number in range(40)],
            "missing": pa.array([None, 1] * 20, pa.int16()),
            "list": [[number] * (number % 3) for number in range(40)],
            "parts": [{"a": number, "b": {"c": [str(number)]}} for number in range(40)],
            "a.b": pa.array(np.arange(40)).cast(pa.decimal128(30, 2)),
        }
    )


def part(struct: Value, *path: int) -> Value:
    """Return a value within others: by its id in a struct, by its number in a list."""
    for step in path:
        struct = dict(struct[1])[step] if struct[0] == STRUCT else struct[1][1][step]
    return struct


def changed(content: bytes, *path: int, to: Any) -> bytes:
    """Return a file with another content of one value of its footer."""
    start = len(content) - END_BYTES - footer_bytes(content[-END_BYTES:], len(content))
    footer, _ = fuzz_footers.parse(content, start, STRUCT)
    part(footer, *path)[1] = to
    new = fuzz_footers.write(footer)
    return content[:start] + new + len(new).to_bytes(4, "little") + b"PAR1"


OPTIONS: list[dict[str, Any]] = [
    {},
    {"row_group_size": 3, "compression": "zstd", "write_page_index": True},
    {"use_dictionary": False, "data_page_version": "2.0", "compression": "gzip"},
    {"write_statistics": False, "compression": "none", "store_schema": False},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("rows", [0, 40])
def test_a_footer_says_what_pyarrow_reads_in_it(rows: int, options: dict[str, Any]) -> None:
    content = written(table().slice(0, rows), **options)
    footer, metadata = footer_of(content), parquet.read_metadata(io.BytesIO(content))
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    assert footer.rows.tolist() == [group.num_rows for group in groups]
    assert footer.sizes.tolist() == [
        [group.column(index).total_uncompressed_size for index in range(group.num_columns)]
        for group in groups
    ]
    assert footer.columns == ["real", "text", "missing", "list", "parts", "parts", "a.b"]
    assert footer.bytes_of(["parts", "a.b"]).tolist() == footer.sizes[:, 4:].sum(axis=1).tolist()


def test_many_columns_and_row_groups_and_a_file_of_another_writer_are_read(tmp_path: Path) -> None:
    wide = pa.table({f"{'long ' * 40}{number}": [1.0, 2.0] for number in range(300)})
    assert footer_of(written(wide, row_group_size=1)).sizes.shape == (2, 300)
    polars = pytest.importorskip("polars", reason="an optional dependency of the tests")
    frame = polars.from_arrow(table())
    for compression in ("lz4", "zstd", "uncompressed"):
        path = tmp_path / f"{compression}.parquet"
        frame.write_parquet(path, compression=compression, row_group_size=7)
        assert footer_of(path.read_bytes()).rows.tolist() == [7, 7, 7, 7, 7, 5]


GROUP, CHUNK = (4, 0), (4, 0, 1, 1)  # the first row group, and a column chunk of it
CHANGES: list[tuple[str, tuple[int, ...], Any]] = [
    ("row groups have not the rows of the file", (3,), 41),
    ("an impossible number of rows", (*GROUP, 3), -1),
    ("an impossible number of rows", (*GROUP, 3), 1 << 62),
    ("a row group has not the columns of the schema", (*GROUP, 1), [STRUCT, []]),
    ("an impossible size", (*CHUNK, 3, 6), 1 << 62),
    ("an impossible size", (*CHUNK, 3, 7), -5),
    ("an impossible size", (*CHUNK, 3, 5), -5),
    ("a column lies outside of the file", (*CHUNK, 3, 9), 1 << 40),
    ("a column lies outside of the file", (*CHUNK, 3, 9), -9),
    ("a column lies outside of the file", (*CHUNK, 3, 7), 1 << 20),
    ("a field is missing that every Parquet file has", (*CHUNK, 3), []),
    ("a field is missing that every Parquet file has, or it is encrypted", CHUNK, []),
    ("has fewer columns than it announces", (2, 0, 5), 9),
    ("has more columns than it announces", (2, 0, 5), 2),
    ("a column has a negative number of parts", (2, 0, 5), -2),
]


@pytest.mark.parametrize(("problem", "path", "to"), CHANGES)
def test_a_footer_that_makes_no_sense_is_refused(
    problem: str, path: tuple[int, ...], to: Any, tmp_path: Path
) -> None:
    file = tmp_path / "t.parquet"
    file.write_bytes(changed(written(table()), *path, to=to))
    with pytest.raises(DataError, match=problem) as raised:
        open_rows(str(file))
    assert str(raised.value).startswith(f"{file}: cannot be read (its footer is damaged: ")


def test_columns_nested_too_deeply_are_refused_before_a_stack_overflows(tmp_path: Path) -> None:
    content = written(pa.table({"a": [1]}), store_schema=False)
    root = [STRUCT, [[4, [TEXT, b"g"]], [5, [INTEGER, 1]]]]
    leaf = [STRUCT, [[1, [INTEGER, 2]], [3, [INTEGER, 1]], [4, [TEXT, b"a"]]]]
    (tmp_path / "t.parquet").write_bytes(
        changed(content, 2, to=[STRUCT, [root, *[root] * 20_000, leaf]])
    )
    with pytest.raises(DataError, match="its columns are nested too deeply"):
        open_rows(str(tmp_path / "t.parquet"))


def test_values_nested_too_deeply_and_cut_or_foreign_ones_are_refused() -> None:
    problems = {
        b"\x19" * 5000: "nested too deeply",
        b"\x1c" * 5000: "nested too deeply",
        b"\x18\xff\xff\xff\xff\x0f": "a value is longer than its footer",
        b"\x15" + b"\xff" * 1_000_000: "a number takes more than ten bytes",
        b"\x05" + b"\xff" * 1_000_000: "a number takes more than ten bytes",
        b"\x18" + b"\xff" * 1_000_000: "a number takes more than ten bytes",
        b"\x15" + b"\xff" * 9 + b"\x01\0": "a field is missing",
        b"\x15\x04" * 40_000 + b"\0": "a field has an impossible number",
        b"\x05\x01\x04\0": "a field has an impossible number",
        b"\x15\x04": "ends in the middle of a value",
        b"\x1f": "a value has an unknown type",
        b"\x29\x15\x04\x00": "another type than Parquet's",
        b"\x15\x04\x00": "a field is missing",
    }
    for content, problem in problems.items():
        with pytest.raises(ValueError, match=problem):
            read_footer(content, 10_000)
    for end in (b"\x01\0\0\0PARE", b"\xff\0\0\0PAR1", bytes(4) + b"PAR1"):
        with pytest.raises(ValueError, match=r"no Parquet file|announces a footer"):
            footer_bytes(end, 100)


# Of a column chunk: histograms of a wrong length, bytes of text that is none, a chunk too many.
ABORTING: list[tuple[tuple[int, ...], Any]] = [
    ((*GROUP, 1, 1, 3, 16), [[3, [9, [LONG, [[LONG, 1]] * 5]]]]),
    ((*GROUP, 1, 1, 3, 16), [[2, [9, [LONG, [[LONG, 1]] * 5]]]]),
    ((*GROUP, 1, 0, 3, 16), [[1, [LONG, 8]]]),
]


@pytest.mark.parametrize(("path", "to"), ABORTING)
def test_what_ends_the_process_in_the_metadata_of_pyarrow_is_an_error_here(
    path: tuple[int, ...], to: Any, tmp_path: Path
) -> None:
    content = written(pa.table({"a": pa.array([1, None]), "b": ["x", None]}))
    file = tmp_path / "t.parquet"
    file.write_bytes(changed(content, *path, to=to))
    code = (
        "from ensemble_pipe.data.sources import open_rows\n"
        f"rows = open_rows({str(file)!r})\n"
        "list(rows.blocks(rows.schema.names))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"DataError: {file}: cannot be read (" in done.stderr
