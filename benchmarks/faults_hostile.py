"""Hostile files of every kind that is read: nothing is executed, and each is refused by name.

`benchmarks/faults_files.py` runs these cases for its row "hostile", the tests run them too. A case
writes a file that would leave a trace where it was executed or followed, and reads it as a command
does. It holds where the file is refused by name, and no trace is left.
"""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from safetensors.numpy import save

import ensemble_pipe
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import EnsemblePipeError
from ensemble_pipe.core.storage import Manifest, RunPaths, check_sums, read_manifest, sums_of
from ensemble_pipe.core.tensor_files import read_tensors
from ensemble_pipe.data.sources import open_rows
from ensemble_pipe.ensemble.members.estimator_files import read_estimator
from ensemble_pipe.training.checkpoints import load_estimator, load_state

TRACE = "trace"


class Harmful:
    """Leaves a trace where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / TRACE

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


class Case(NamedTuple):
    """A hostile file.

    Attributes:
        write: write(folder) writes it, and returns its path.
        read: reads it as a command would.
        harmless: whether it may be read all the same, as if what is hostile were not there.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    harmless: bool = False


def read_rows(path: Path) -> int:
    """Read all of a data file."""
    rows = open_rows(str(path))
    return sum(block.num_rows for _, block in rows.blocks(rows.schema.names))


def _written(name: str, content: Callable[[Path], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content(folder))
        return path

    return write


def _always(content: bytes, _: Path) -> bytes:
    return content


# Pickles


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


def _pickled(folder: Path) -> bytes:
    return pickle.dumps(Harmful(folder))


def _torch(folder: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(folder))
    return stream.getvalue()


def _skops(content: Callable[[Path], dict[str, Any]]) -> Callable[[Path], bytes]:
    def write(folder: Path) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("schema.json", json.dumps({**content(folder), "protocol": 2}))
            archive.writestr("../../trace", b"climbs out")
        return stream.getvalue()

    return write


def _call(folder: Path) -> dict[str, Any]:
    """Return a skops schema that calls what it names, if that is trusted."""
    return {
        "__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "__id__": 1,
        "content": f"touch {folder / TRACE}",
    }  # fmt: skip


def _reduced(folder: Path) -> dict[str, Any]:
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "__id__": 3,
            "content": json.dumps(f"open({str(folder / TRACE)!r}, 'w')")}  # fmt: skip
    return {
        "__class__": "eval", "__module__": "builtins", "__loader__": "ReduceNode", "__id__": 1,
        "__reduce__": {"args": {"__class__": "tuple", "__module__": "builtins", "__id__": 2,
                                "__loader__": "TupleNode", "content": [text]}},
        "content": {},
    }  # fmt: skip


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


# Tensors

NUMBER = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def tensor_file(header: str | bytes, data: bytes = bytes(8), size: int | None = None) -> bytes:
    """Return a safetensors file of a header that may state anything."""
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def _header(**tensors: Any) -> str:
    return json.dumps(tensors)


def _twice(second: dict[str, Any]) -> str:
    return f'{{"row": {json.dumps(NUMBER)}, "row": {json.dumps(second)}}}'


TENSORS: dict[str, bytes] = {
    "overlapping tensors": tensor_file(_header(row=NUMBER, other=NUMBER), bytes(4)),
    "tensors that overlap in part": tensor_file(
        _header(
            row={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            other={"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        )
    ),
    "a tensor named twice": tensor_file(_twice({**NUMBER, "data_offsets": [4, 8]})),
    "a tensor named twice, each whole": tensor_file(_twice({**NUMBER, "dtype": "I32"}), bytes(4)),
    "a field named twice": tensor_file(
        '{"row": {"dtype": "F32", "shape": [1], "shape": [2], "data_offsets": [0, 8]}}'
    ),
    "a header that states all memory": tensor_file(_header(row=NUMBER), size=1 << 62),
    "a header that states a gigabyte": tensor_file(_header(row=NUMBER), size=1 << 30),
    "a header nested deep": tensor_file('{"row": ' + "[" * 10_000 + "]" * 10_000 + "}"),
    "a shape beyond all numbers": tensor_file(
        _header(row={"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 8]})
    ),
    "a shape below zero": tensor_file(
        _header(row={"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}), bytes(4)
    ),
    "an end before its beginning": tensor_file(
        _header(row={"dtype": "F32", "shape": [1], "data_offsets": [8, 4]})
    ),
    "data that is not there": tensor_file(_header(row=NUMBER), b""),
    "data that no tensor has": tensor_file(_header(row=NUMBER), bytes(64)),
    "a hole between tensors": tensor_file(
        _header(row=NUMBER, other={**NUMBER, "data_offsets": [8, 12]}), bytes(12)
    ),
    "an unknown type": tensor_file(_header(row={**NUMBER, "dtype": "PICKLE"}), bytes(4)),
    "metadata that is no text": tensor_file(
        json.dumps({"__metadata__": {"a": [1]}, "row": NUMBER}), bytes(4)
    ),
    "a header that is no object": tensor_file("[]"),
    "no header": b"",
}  # fmt: skip


# Names that climb out


def _climbing_npz(name: str) -> Callable[[Path], bytes]:
    def write(_: Path) -> bytes:
        stream, values = io.BytesIO(), io.BytesIO()
        np.save(values, np.arange(3.0))
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, values.getvalue())
        return stream.getvalue()

    return write


def _manifest(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / TRACE).with_name("secret").write_text("secret")
        (folder / "model").mkdir()
        (folder / "model" / "manifest.json").write_text(json.dumps({"sums": {name: "0" * 64}}))
        return folder / "model" / "manifest.json"

    return write


def _read_sums(path: Path) -> None:
    check_sums(path.parent, read_json(path, Manifest).sums)


def _read_run_sums(path: Path) -> None:
    check_sums(path.parent, read_manifest(RunPaths(path.parent)).sums)


def _checkpoint(sums: dict[str, str], kind: str) -> Callable[[Path], Path]:
    """Return a writer of a checkpoint that names another file than its own."""

    def write(folder: Path) -> Path:
        paths = RunPaths(folder)
        saved = {
            "learner": 0, "epoch": 1, "step": 1, "member": None, "finished": True, "counters": {},
            "sums": sums,
        }  # fmt: skip
        own = paths.checkpoint(0, 1) if kind == "step" else paths.estimator(0, ".skops")
        own.parent.mkdir(parents=True)
        own.write_bytes(save({"row": np.zeros(1, np.float32)}))
        path = own.with_suffix(".json")
        path.write_text(json.dumps(saved))
        return path

    return write


def _run_manifest(folder: Path) -> Path:
    paths = RunPaths(folder)
    base = {f"base/{name}.json": "0" * 64 for name in ("schema", "train", "test")}
    sums = {**base, "pipeline.yaml": "0" * 64, "../../etc/passwd": "0" * 64}
    manifest = {"environment": {}, "run_id": "r", "sums": dict(reversed(sums.items()))}
    paths.manifest.write_text(json.dumps(manifest))
    return paths.manifest


def _code_in_model(folder: Path) -> Path:
    """A model whose record names code, with sums that are right."""
    model = folder / "model"
    model.mkdir()
    record = {"format": 4, "components": {"layer": ["os.system"]}}
    (model / "model.json").write_text(json.dumps(record))
    (model / "members.safetensors").write_bytes(save({"a": np.zeros(1, np.float32)}))
    sums = sums_of(model, ["model.json", "members.safetensors"])
    (model / "manifest.json").write_text(json.dumps({"sums": sums}))
    return model / "model.json"


def _pipeline(text: str) -> Callable[[Path], bytes]:
    return lambda folder: text.replace("TRACE", str(folder / TRACE)).encode()


def cases() -> dict[str, Case]:
    """Return all hostile files, by what they are."""
    tensors = {
        f"safetensors: {name}": Case(
            _written("t.safetensors", partial(_always, content)), read_tensors
        )
        for name, content in TENSORS.items()
    }
    rows = {
        "npy: pickled objects": _written("t.npy", _npy),
        "npy: a header that calls": _written("t.npy", _npy_header),
        "npz: pickled objects": _written("t.npz", _npz),
        **{f"{ending}: a pickle": _written(f"t{ending}", _pickled)
           for ending in (".npy", ".npz", ".parquet", ".arrow", ".csv.gz", ".png", "-idx3-ubyte")},
        **{f"npz: the name {name}": _written("t.npz", _climbing_npz(name))
           for name in ("../x.npy", "/x.npy", "a/../../x.npy", "..\\x.npy")},
        "arrow: tensors of another shape": _arrow(_shaped(b'{"shape": [1000, 1000]}')),
        "arrow: tensors of a shape below zero": _arrow(_shaped(b'{"shape": [-2, -2]}')),
        "arrow: tensors of no shape": _arrow(_shaped(b"{}")),
        "parquet: tensors of another shape": _parquet(_shaped(b'{"shape": [1000, 1000]}')),
    }  # fmt: skip
    pickled = _extended(b"arrow.py_extension_type", _pickled)
    unknown = _extended(b"harmful", _pickled)
    skops = {"a call": _call, "a reduction": _reduced}
    pipelines = {
        "an object": "!!python/object/apply:pathlib.Path.touch [TRACE]",
        "a new object": "a: !!python/object/new:os.system ['touch TRACE']",
        "a name": "a: !!python/name:os.system",
        "a module": "a: !!python/module:antigravity",
    }
    return {
        **tensors,
        **{name: Case(write, read_rows) for name, write in rows.items()},
        # What an extension type is stored as is plain: it is read as that.
        "arrow: a pickled type": Case(_arrow(pickled), read_rows, True),
        "parquet: a pickled type": Case(_parquet(pickled), read_rows, True),
        "arrow: an unknown type": Case(_arrow(unknown), read_rows, True),
        "parquet: an unknown type": Case(_parquet(unknown), read_rows, True),
        **{f"skops: {name}": Case(_written("e.skops", _skops(make)), _read_skops)
           for name, make in skops.items()},
        "skops: a pickle": Case(_written("e.skops", _pickled), _read_skops),
        "skops: a file of PyTorch": Case(_written("e.skops", _torch), _read_skops),
        **{f"yaml: {name}": Case(_written("p.yaml", _pipeline(text)), load_pipeline)
           for name, text in pipelines.items()},
        **{f"manifest of a model: the name {name}": Case(_manifest(name), _read_sums)
           for name in ("../secret", "/etc/passwd", "a/../../secret")},
        "manifest of a run: a name that climbs out": Case(
            _run_manifest, _read_run_sums
        ),
        "checkpoint: a name that climbs out": Case(
            _checkpoint({"../../secret": "0" * 64}, "step"),
            lambda path: load_state(RunPaths(path.parents[2]), 0, 1),
        ),
        "estimator: a name that climbs out": Case(
            _checkpoint({"../../secret": "0" * 64}, "estimator"),
            lambda path: load_estimator(RunPaths(path.parents[2]), 0, None),
        ),
        "model: the name of code": Case(
            _code_in_model, lambda path: ensemble_pipe.load(path.parent)
        ),
    }  # fmt: skip


def _read_skops(path: Path) -> object:
    return read_estimator(path.read_bytes(), str(path))


def outcome_of_hostile(case: Case, folder: Path) -> str:
    """Write and read a hostile file in an empty folder; return what failed, or nothing."""
    path = case.write(folder)
    outcome = "" if case.harmless else "read"
    try:
        case.read(path)
    except EnsemblePipeError as error:  # of a manifest, the folder is named
        outcome = "" if str(path) in str(error) or str(path.parent) in str(error) else "not named"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    return "executed" if list(traces(folder)) else outcome


def traces(folder: Path) -> Iterator[Path]:
    """Yield what a hostile file has left in or above its folder."""
    yield from folder.parent.rglob(TRACE)
