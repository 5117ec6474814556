"""Bombs of every format: reading one takes at most twice its bytes, or SPARE_BYTES.

    python benchmarks/faults_bombs.py

writes each bomb, a small file that would become a large one in memory, reads it in a process of its
own, and prints by how much the process grew at its peak. It holds where the file is refused by name
or read, within twice the bytes of the file and of the 256 MB that reading any file may take. They
are rows of `benchmarks/faults_files.py`.
"""

import argparse
import gzip
import io
import json
import string
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from faults_hostile_rows import read_rows
from pyarrow import parquet
from safetensors.numpy import save

from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import EnsemblePipeError
from ensemble_pipe.core.tensor_files import read_tensors
from ensemble_pipe.ensemble.members.estimator_files import read_estimator
from ensemble_pipe.tracking.journal import line_of, read_entries

MB = 1 << 20
SPARE_BYTES = 256 * MB
NAMES = [
    "".join(letters) for length in (2, 3, 4)
    for letters in islice(product(string.ascii_lowercase, repeat=length), 400_000)
]  # fmt: skip
ZEROS = gzip.compress(bytes(MB))


def _gzip(folder: Path, name: str, piece: bytes, repeats: int, head: bytes = b"") -> Path:
    """Write one file of many members, of which only one has to be compressed."""
    path = folder / name
    path.write_bytes(gzip.compress(head) + repeats * gzip.compress(piece))
    return path


def _bytes(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def _parquet(folder: Path, table: pa.Table, **options: Any) -> Path:
    parquet.write_table(table, folder / "t.parquet", **options)
    return folder / "t.parquet"


def _arrow(folder: Path, table: pa.Table, compression: str | None = "zstd") -> Path:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(str(folder / "t.arrow"), table.schema, options=options) as writer:
        writer.write_table(table)
    return folder / "t.arrow"


def _wide(columns: int) -> pa.Table:
    return pa.table({name: pa.array([1], pa.int8()) for name in NAMES[:columns]})


def _texts() -> pa.Table:
    """Return 4,096 rows of 256 kB each, by a dictionary of one text."""
    codes = pa.array(np.zeros(4096, np.int32))
    return pa.table({"x": pa.DictionaryArray.from_arrays(codes, pa.array(["t" * (MB // 4)]))})


def _png(size: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a grey PNG of zeros, as large as `size` by `size`, with further chunks."""

    def chunk(name: bytes, content: bytes) -> bytes:
        total = zlib.crc32(name + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + name + content + total

    head = size.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    packer = zlib.compressobj(9)
    row = bytes(size + 1)
    data = b"".join(packer.compress(row) for _ in range(size)) + packer.flush()
    parts = [(b"IHDR", head), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _jpeg(folder: Path) -> Path:
    from PIL import Image

    Image.new("L", (30_000, 30_000)).save(folder / "t.jpg")
    return folder / "t.jpg"


def _npz(folder: Path) -> Path:
    np.savez_compressed(folder / "t.npz", x=np.zeros((200 * MB, 1), np.uint8))
    return folder / "t.npz"


def _zip(folder: Path, name: str, entry: str, size: int) -> Path:
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry, b" " * size)
    return folder / name


def _idx(folder: Path) -> Path:
    sizes = np.array([60_000, 1000, 1000], ">u4").tobytes()
    head = bytes([0, 0, 8, 3]) + sizes
    path = folder / "x-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(head) + 600 * ZEROS)
    return path


def _yaml_aliases(folder: Path) -> Path:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return _bytes(folder, "p.yaml", "\n".join(lines).encode())


def _read_skops(path: Path) -> object:
    return read_estimator(path.read_bytes(), str(path))


def _read_data(path: Path) -> object:
    return read_json(path, dict[str, Any])


BOMBS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "csv: a line without an end": (
        lambda folder: _gzip(folder, "t.csv.gz", b"x" * MB, 500, b"a,b\n1,"),
        read_rows,
    ),
    "csv: rows that swell a thousandfold": (
        lambda folder: _gzip(folder, "t.csv.gz", (b"a" * MB + b"\n") * 4, 100, b"a\n"),
        read_rows,
    ),
    "csv: columns without an end": (
        lambda folder: _bytes(
            folder, "t.csv", (",".join(NAMES) + "\n" + ",".join("1" * len(NAMES)) + "\n").encode()
        ),
        read_rows,
    ),
    "csv: empty lines": (
        lambda folder: _gzip(folder, "t.csv.gz", b"\n" * MB, 500, b"a,b\n1,2\n"),
        read_rows,
    ),
    "parquet: a row group that swells": (
        lambda folder: _parquet(
            folder,
            pa.table({"x": np.zeros(60 * MB)}),
            compression="zstd",
            use_dictionary=False,
            row_group_size=60 * MB,
        ),
        read_rows,
    ),
    "parquet: long texts by a dictionary": (lambda folder: _parquet(folder, _texts()), read_rows),
    "parquet: columns without an end": (lambda folder: _parquet(folder, _wide(200_000)), read_rows),
    "arrow: a batch that swells": (
        lambda folder: _arrow(folder, pa.table({"x": np.zeros(60 * MB)})),
        read_rows,
    ),
    "arrow: long texts by a dictionary": (lambda folder: _arrow(folder, _texts()), read_rows),
    "arrow: columns without an end": (
        lambda folder: _arrow(folder, _wide(200_000), None),
        read_rows,
    ),
    "npz: zeros": (_npz, read_rows),
    "npy: a header of a gigabyte": (
        lambda folder: _bytes(folder, "t.npy", b"\x93NUMPY\x02\x00\x00\x00\x00\x40" + b" " * MB),
        read_rows,
    ),
    "npy: columns without an end": (lambda folder: _npy(folder, (1, 2_000_000)), read_rows),
    "idx: zeros": (_idx, read_rows),
    "png: pixels": (lambda folder: _bytes(folder, "t.png", _png(20_000)), read_rows),
    "png: a text": (
        lambda folder: _bytes(
            folder, "t.png", _png(8, (b"zTXt", b"a\0\0" + zlib.compress(bytes(800 * MB), 9)))
        ),
        read_rows,
    ),
    "png: a profile": (
        lambda folder: _bytes(
            folder, "t.png", _png(8, (b"iCCP", b"a\0\0" + zlib.compress(bytes(800 * MB), 9)))
        ),
        read_rows,
    ),
    "jpeg: pixels": (_jpeg, read_rows),
    "json: lists": (
        lambda folder: _bytes(folder, "t.json", b'{"a": [' + b"[]," * (20 * MB) + b"[]]}"),
        _read_data,
    ),
    "json: objects": (
        lambda folder: _bytes(folder, "t.json", b'{"a": [' + b"{}," * (20 * MB) + b"{}]}"),
        _read_data,
    ),
    "json: numbers": (
        lambda folder: _bytes(folder, "t.json", b'{"a": [' + b"1.5," * (20 * MB) + b"1]}"),
        _read_data,
    ),
    "json: depth": (lambda folder: _bytes(folder, "t.json", b"[" * (60 * MB)), _read_data),
    "journal: lists": (
        lambda folder: _bytes(
            folder,
            "journal.jsonl",
            line_of({"kind": "pictures", "time_ms": 1, "names": []}).replace(
                b"[]", b"[" + b"[]," * (20 * MB) + b"[]]"
            ),
        ),
        lambda path: list(read_entries(path)),
    ),
    "yaml: aliases of aliases": (_yaml_aliases, load_pipeline),
    "yaml: lists": (
        lambda folder: _bytes(folder, "p.yaml", b"a: [" + b"[]," * MB + b"[]]"),
        load_pipeline,
    ),
    "yaml: a text": (
        lambda folder: _bytes(folder, "p.yaml", b"a: " + b"x" * (64 * MB)),
        load_pipeline,
    ),
    "skops: a schema of spaces": (
        lambda folder: _zip(folder, "e.skops", "schema.json", 1000 * MB),
        _read_skops,
    ),
    "safetensors: many empty tensors": (
        lambda folder: _bytes(
            folder,
            "t.safetensors",
            save({name: np.zeros(0, np.float32) for name in NAMES[:300_000]}),
        ),
        read_tensors,
    ),
    "safetensors: one tensor": (
        lambda folder: _bytes(folder, "t.safetensors", save({"a": np.zeros(50 * MB, np.float32)})),
        read_tensors,
    ),
}


def _npy(folder: Path, shape: tuple[int, ...]) -> Path:
    np.save(folder / "t.npy", np.zeros(shape, np.uint8))
    return folder / "t.npy"


def peak_bytes() -> int:
    """Return the largest memory that this process had since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Take the present memory for the peak."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(name: str, path: Path) -> dict[str, Any]:
    """Read a bomb in this process, which has done nothing else; return what became of it."""
    _, read = BOMBS[name]
    _warm(path.parent / "warm")
    before = psutil.Process().memory_info().rss
    forget_peak()
    try:
        read(path)
        outcome = "read"
    except EnsemblePipeError as error:
        outcome = "refused" if path.name in str(error) else f"not named: {error}"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"[:300]
    size, grown = path.stat().st_size, max(0, peak_bytes() - before)
    within = grown <= max(2 * size, SPARE_BYTES)
    held = int(within and outcome in ("read", "refused"))
    return {
        "tried": 1, "held": held, "failed": 1 - held, "outcome": outcome,
        "file_mb": round(size / MB, 2), "grown_mb": round(grown / MB, 1),
    }  # fmt: skip


def _warm(folder: Path) -> None:
    """Read a file of each format, so that what their libraries take themselves is there before."""
    folder.mkdir()
    files = [
        _bytes(folder, "t.csv", b"a,b\n1,2\n"), _parquet(folder, _wide(2)),
        _arrow(folder, _wide(2)), _npy(folder, (2, 2)), _bytes(folder, "t.png", _png(8)),
    ]  # fmt: skip
    for path in files:
        read_rows(path)
    stream = io.BytesIO(b"no archive")
    with suppress(EnsemblePipeError):
        read_estimator(stream.getvalue(), "x")
    with suppress(EnsemblePipeError):
        load_pipeline(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        name, path = options.case
        print(json.dumps(measure(name, Path(path))))
        return
    from faults_files import in_a_process

    for name, (write, _) in BOMBS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = in_a_process("faults_bombs.py", "--case", name, str(write(Path(folder))))
        print(name, json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
