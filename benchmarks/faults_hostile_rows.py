"""Hostile files of data: pickled arrays, types that state what is not so, names that climb out."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from faults_cases import TRACE, Case, Harmful, pickled, written
from pyarrow import parquet

from ensemble_pipe.data.sources import open_rows


def read_rows(path: Path) -> int:
    """Read all of a data file."""
    rows = open_rows(str(path))
    return sum(block.num_rows for _, block in rows.blocks(rows.schema.names))


def _npy(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([[Harmful(folder)]], object))
    return stream.getvalue()


def _npy_header(folder: Path) -> bytes:
    call = f"open({str(folder / TRACE)!r}, 'w')"
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({call},)}}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _npz(folder: Path) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=np.array([Harmful(folder)], object))
    return stream.getvalue()


def _climbing_npz(name: str) -> Callable[[Path], bytes]:
    def write(_: Path) -> bytes:
        stream, values = io.BytesIO(), io.BytesIO()
        np.save(values, np.arange(3.0))
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, values.getvalue())
        return stream.getvalue()

    return write


# Extension types of Arrow


def _extended(name: bytes, metadata: Callable[[Path], bytes]) -> Callable[[Path], pa.Table]:
    """Return a table of int64 whose column states an extension type."""

    def table(folder: Path) -> pa.Table:
        facts = {b"ARROW:extension:name": name, b"ARROW:extension:metadata": metadata(folder)}
        field = pa.field("x", pa.int64(), metadata=facts)
        return pa.table([pa.array([1, 2])], schema=pa.schema([field]))

    return table


def _shaped(facts: bytes) -> Callable[[Path], pa.Table]:
    """Return a table of lists of four bytes that state to be tensors."""

    def table(_: Path) -> pa.Table:
        stated = {b"ARROW:extension:name": b"arrow.fixed_shape_tensor",
                  b"ARROW:extension:metadata": facts}  # fmt: skip
        field = pa.field("image", pa.list_(pa.uint8(), 4), metadata=stated)
        lists = pa.FixedSizeListArray.from_arrays(pa.array([1] * 8, pa.uint8()), 4)
        return pa.table([lists], schema=pa.schema([field]))

    return table


def _arrow(table: Callable[[Path], pa.Table]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        made = table(folder)
        with pa.ipc.new_file(str(folder / "t.arrow"), made.schema) as writer:
            writer.write_table(made)
        return folder / "t.arrow"

    return write


def _parquet(table: Callable[[Path], pa.Table]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        parquet.write_table(table(folder), folder / "t.parquet")
        return folder / "t.parquet"

    return write


def cases() -> dict[str, Case]:
    """Return the hostile files of data, by what they are."""
    rows = {
        "npy: pickled objects": written("t.npy", _npy),
        "npy: a header that calls": written("t.npy", _npy_header),
        "npz: pickled objects": written("t.npz", _npz),
        **{f"{ending}: a pickle": written(f"t{ending}", pickled)
           for ending in (".npy", ".npz", ".parquet", ".arrow", ".csv.gz", ".png", "-idx3-ubyte")},
        **{f"npz: the name {name}": written("t.npz", _climbing_npz(name))
           for name in ("../x.npy", "/x.npy", "a/../../x.npy", "..\\x.npy")},
        "arrow: tensors of another shape": _arrow(_shaped(b'{"shape": [1000, 1000]}')),
        "arrow: tensors of a shape below zero": _arrow(_shaped(b'{"shape": [-2, -2]}')),
        "arrow: tensors of no shape": _arrow(_shaped(b"{}")),
        "parquet: tensors of another shape": _parquet(_shaped(b'{"shape": [1000, 1000]}')),
    }  # fmt: skip
    typed = _extended(b"arrow.py_extension_type", pickled)
    unknown = _extended(b"harmful", pickled)
    return {
        **{name: Case(write, read_rows) for name, write in rows.items()},
        # What an extension type is stored as is plain: it is read as that.
        "arrow: a pickled type": Case(_arrow(typed), read_rows, True),
        "parquet: a pickled type": Case(_parquet(typed), read_rows, True),
        "arrow: an unknown type": Case(_arrow(unknown), read_rows, True),
        "parquet: an unknown type": Case(_parquet(unknown), read_rows, True),
    }
