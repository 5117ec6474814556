"""Fuzzing of the loaders: bytes of any kind are read, or refused by an `EnsemblePipeError`.

    pip install atheris
    python benchmarks/fuzz.py parquet --runs 100000

gives a loader 100,000 inputs, grown from small valid files by Atheris, which is guided by the
branches that they reach, and prints their count as JSON. Any other exception, a crash or an input
that takes longer than a minute ends it, and is shown. Without Atheris, which few platforms have,
inputs are made by random changes of the valid files, and the JSON says so. Those of the loader
"parquet footer" always are, by changes that keep its form (`fuzz_footers.py`). Without the name of
a loader all are fuzzed, one after another; `--write` keeps the counts under benchmarks/results.
"""

import argparse
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from fuzz_footers import mutate_footer
from pyarrow import parquet
from safetensors.numpy import save

try:
    import atheris
except ImportError:
    atheris = None

HERE = "--here"  # of the process that fuzzes, which alone counts branches
READERS = [
    f"ensemble_pipe.{name}"
    for name in ("core", "data.sources", "config.yaml_documents", "tracking", "ensemble.members",
                 "training.lightgbm_text", "training.library_models")
]  # fmt: skip
COUNTED = (
    atheris.instrument_imports(include=READERS)
    if atheris and HERE in sys.argv
    else contextlib.nullcontext()
)
with COUNTED:
    import ensemble_pipe.data.sources
    from ensemble_pipe.config.reading import load_pipeline
    from ensemble_pipe.core.documents import parse_json
    from ensemble_pipe.core.errors import EnsemblePipeError
    from ensemble_pipe.core.tensor_files import parse_tensors
    from ensemble_pipe.ensemble.members.estimator_files import read_estimator
    from ensemble_pipe.tracking.journal import line_of, read_entries
    from ensemble_pipe.training.library_models import read_models

RUNS = 20_000
FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")  # of the files that loaders are given
LONGEST = 4096  # bytes of an input
TEXT = b"a,b,day,c\n1,x,2020-01-01,true\n2.5,,2020-02-30,NA\n"


def mutate(content: bytes, draws: np.random.Generator) -> bytes:
    """Return an input with one to four random changes of its bytes."""
    changed = bytearray(content)
    for _ in range(draws.integers(1, 5)):
        place = int(draws.integers(len(changed) + 1))
        size = int(draws.integers(1, 9))
        match draws.integers(4):
            case 0:
                changed[place : place + size] = draws.bytes(size)
            case 1:
                del changed[place : place + size]
            case 2:
                changed[place:place] = draws.bytes(size)
            case _:
                other = int(draws.integers(len(changed) + 1))
                changed[place:place] = changed[other : other + size * 8]
    return bytes(changed[:LONGEST])


class Loader(NamedTuple):
    """A loader that is fuzzed.

    Attributes:
        read: reads some bytes, as a file where it takes one.
        seeds: small valid inputs.
        mutate: changes one at random.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    mutate: Callable[[bytes, np.random.Generator], bytes] = mutate


def _as_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader of bytes that are given as a file of a name."""
    path = Path(FOLDER.name) / name

    def read_bytes(content: bytes) -> object:
        path.write_bytes(content)
        return read(path)

    return read_bytes


def _rows(path: Path) -> int:
    rows = ensemble_pipe.data.sources.open_rows(str(path))
    return sum(block.num_rows for _, block in rows.blocks(rows.schema.names))


def _table() -> pa.Table:
    images = pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((2, 2, 2), np.uint8))
    codes = pa.array(["a", None]).dictionary_encode()
    return pa.table({"a": [1.5, 2.0], "b": ["x", None], "c": codes, "image": images})


def _parquet() -> list[bytes]:
    """Return files of several row groups, with and without dictionaries, sums and page indexes."""
    plain = {"use_dictionary": False, "data_page_version": "2.0", "compression": "gzip"}
    indexed = {"write_page_index": True, "write_page_checksum": True, "compression": "zstd"}
    found = []
    for options in ({}, plain, {**indexed, "row_group_size": 1}):
        stream = io.BytesIO()
        parquet.write_table(_table(), stream, **options)
        found.append(stream.getvalue())
    return found


def _arrow() -> list[bytes]:
    found = []
    for make in (pa.ipc.new_file, pa.ipc.new_stream):
        stream = pa.BufferOutputStream()
        with make(stream, _table().schema) as writer:
            writer.write_table(_table())
        found.append(stream.getvalue().to_pybytes())
    return found


def _numpy(save_to: Callable[..., None], **arrays: Any) -> list[bytes]:
    stream = io.BytesIO()
    save_to(stream, **arrays)
    return [stream.getvalue()]


def _image(kind: str) -> list[bytes]:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (3, 2)).save(stream, kind)
    return [stream.getvalue()]


def _skops() -> list[bytes]:
    from sklearn.linear_model import Ridge
    from skops import io as skops_io

    return [skops_io.dumps(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))]


LIGHTGBM = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
feature_names=a b
feature_infos=none none

Tree=0
num_leaves=2
num_cat=0
split_feature=0
threshold=0.5
decision_type=2
left_child=-1
right_child=-2
leaf_value=1 2

end of trees
"""


def _library() -> list[bytes]:
    record = {"facts": {}, "classes": [], "groups": [], "models": [LIGHTGBM]}
    return [json.dumps(record).encode()]


PIPELINE = b"seed: 1\ndata: {source: bundled, set: wine}\nensemble: {learners: 2}\n"
IDX = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(8)
ENTRY = line_of({"kind": "pictures", "time_ms": 1, "names": ["a"]})
TENSORS = {"row": np.zeros(2, np.float32), "best": np.ones((1, 2), np.float32)}

LOADERS = {
    "csv": Loader(_as_file("t.csv", _rows), lambda: [TEXT]),
    "parquet": Loader(_as_file("t.parquet", _rows), _parquet),
    "parquet footer": Loader(_as_file("f.parquet", _rows), _parquet, mutate_footer),
    "arrow": Loader(_as_file("t.arrow", _rows), _arrow),
    "npy": Loader(_as_file("t.npy", _rows), lambda: _numpy(np.save, arr=np.ones((2, 2)))),
    "npz": Loader(_as_file("t.npz", _rows), lambda: _numpy(np.savez, x=np.ones(2))),
    "idx": Loader(_as_file("t-idx3-ubyte", _rows), lambda: [IDX]),
    "png": Loader(_as_file("t.png", _rows), lambda: _image("PNG")),
    "jpeg": Loader(_as_file("t.jpg", _rows), lambda: _image("JPEG")),
    "yaml": Loader(_as_file("p.yaml", load_pipeline), lambda: [PIPELINE]),
    "json": Loader(lambda content: parse_json(content, dict[str, Any], "x"), lambda: [b'{"a": 1}']),
    "journal": Loader(
        _as_file("journal.jsonl", lambda path: list(read_entries(path))), lambda: [ENTRY * 2]
    ),
    "safetensors": Loader(lambda content: parse_tensors(content, "x"), lambda: [save(TENSORS)]),
    "skops": Loader(lambda content: read_estimator(content, "x"), _skops),
    "lightgbm": Loader(lambda content: read_models(content, "lightgbm", 2, 0, "x"), _library),
}


def try_input(loader: Loader, content: bytes) -> None:
    """Read an input; anything but a result or a refusal is raised."""
    with contextlib.suppress(EnsemblePipeError):
        loader.read(content)


def mutation_fuzz(name: str, runs: int) -> dict[str, Any]:
    """Try random changes of the valid inputs; raise what a loader raises, with the input."""
    loader, draws = LOADERS[name], np.random.default_rng(list(name.encode()))
    seeds = loader.seeds()
    for run in range(runs):
        content = loader.mutate(seeds[run % len(seeds)], draws)
        try:
            try_input(loader, content)
        except Exception as error:
            error.add_note(f"{name}: input {content!r}")
            raise
    return {"tried": runs, "held": runs, "failed": 0, "by": "mutation"}


def coverage_fuzz(name: str, runs: int) -> None:
    """Have Atheris try inputs; it ends the process, with a status that is not 0 at a failure."""
    loader = LOADERS[name]
    folder = tempfile.mkdtemp()  # which the caller removes
    for number, content in enumerate(loader.seeds()):
        (Path(folder) / str(number)).write_bytes(content)
    limits = [f"-runs={runs}", f"-max_len={LONGEST}", "-timeout=60", "-rss_limit_mb=4096"]
    arguments = [sys.argv[0], folder, *limits, f"-artifact_prefix={folder}/"]
    atheris.Setup(arguments, lambda content: try_input(loader, content))
    atheris.Fuzz()


def fuzz(name: str, runs: int) -> dict[str, Any]:
    """Fuzz one loader in a process of its own, since it may crash."""
    command = [sys.executable, __file__, name, "--runs", str(runs), HERE]
    with tempfile.TemporaryDirectory() as folder:  # which a crash leaves full
        environment = {**os.environ, "TMPDIR": folder}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        inputs = [repr(path.read_bytes()) for path in Path(folder).rglob("crash-*")]
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        made = max([0, *(int(n) for n in re.findall(r"^#(\d+)", done.stderr, re.M))])
        return {"tried": made + 1, "held": made, "failed": 1, "examples": [*lines[-8:], *inputs]}
    if atheris and LOADERS[name].mutate is mutate:
        return {"tried": runs, "held": runs, "failed": 0, "by": "atheris"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("loader", nargs="*", choices=[*LOADERS, []])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--write", action="store_true")
    parser.add_argument(HERE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        if atheris and LOADERS[options.loader[0]].mutate is mutate:
            coverage_fuzz(options.loader[0], options.runs)
        print(json.dumps(mutation_fuzz(options.loader[0], options.runs)))
        return
    # Not before what is counted: it imports parts of the package.
    from keeping import RESULTS, circumstances

    path = RESULTS / "fuzz.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else {}
    for name in options.loader or LOADERS:
        rows[name] = fuzz(name, options.runs)
        print(name, json.dumps(rows[name]), flush=True)
        if options.write:
            result = {**circumstances("python benchmarks/fuzz.py --write"), "rows": rows}
            path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
