"""Hostile files of runs, models and pipelines: calls, names of code, and names that climb out."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from faults_cases import TRACE, Case, pickled, written
from safetensors.numpy import save

import ensemble_pipe
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.storage import Manifest, RunPaths, check_sums, read_manifest, sums_of
from ensemble_pipe.ensemble.members.estimator_files import read_estimator
from ensemble_pipe.training.checkpoints import load_estimator, load_state

# Estimators


def _torch(folder: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(folder))
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


def _read_skops(path: Path) -> object:
    return read_estimator(path.read_bytes(), str(path))


# Names that climb out


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
    """Return the hostile files of runs, by what they are."""
    skops = {"a call": _call, "a reduction": _reduced}
    pipelines = {
        "an object": "!!python/object/apply:pathlib.Path.touch [TRACE]",
        "a new object": "a: !!python/object/new:os.system ['touch TRACE']",
        "a name": "a: !!python/name:os.system",
        "a module": "a: !!python/module:antigravity",
    }
    return {
        **{f"skops: {name}": Case(written("e.skops", _skops(make)), _read_skops)
           for name, make in skops.items()},
        "skops: a pickle": Case(written("e.skops", pickled), _read_skops),
        "skops: a file of PyTorch": Case(written("e.skops", _torch), _read_skops),
        **{f"yaml: {name}": Case(written("p.yaml", _pipeline(text)), load_pipeline)
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
