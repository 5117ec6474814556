"""Damaged files of a run: each is read as it was written, or refused by name.

    python benchmarks/faults_files.py --write

makes a small run, and of every kind of file that a run reads flips 1,000 random bits, one at a
time, and cuts each file at every length. A load holds where it gives the identical content or an
`EnsemblePipeError` that names the file; other content and any other exception do not. Then come
hostile files (`faults_hostile.py`), documents and tables of any shape (`faults_documents.py`), and
bombs (`faults_bombs.py`).

Each row is measured in a process of its own, since a fault may end it, and is kept under
benchmarks/results as soon as it is done: the command goes on where it was stopped, and
`--anew ROW ...` measures rows again. What failed when a row was measured before and holds now is
its `mended`.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import faults_documents
import numpy as np
import yaml
from faults_bombs import BOMBS
from faults_hostile import cases, outcome_of_hostile
from keeping import RESULTS, circumstances

import ensemble_pipe
from ensemble_pipe.comparison.runs import read_run
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import EnsemblePipeError
from ensemble_pipe.core.storage import RunPaths, check_sums, read_manifest, write_summed_json
from ensemble_pipe.data.base import open_base, read_schema, verify_all
from ensemble_pipe.report.numbers import read_numbers
from ensemble_pipe.tracking.cursor import Cursor
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.training.checkpoints import list_checkpoints, load_estimator, load_state

NAME = "faults_files"
FLIPS = 1000
ROWS = np.array([[0.5, -0.5], [1.0, 2.0]])


class Target(NamedTuple):
    """Files of one kind.

    Attributes:
        pattern: of their names in a run directory.
        load: reads all of them as the package does; returns their content.
    """

    pattern: str
    load: Callable[[RunPaths], object]


def _checkpoints(paths: RunPaths) -> object:
    run = read_manifest(paths).run_id
    return [
        [saved, load_state(paths, learner, saved.step)]
        for learner in range(2)
        for saved in list_checkpoints(paths, learner, run)
    ]


def _estimators(paths: RunPaths) -> object:
    run = read_manifest(paths).run_id
    return [load_estimator(paths, learner, run) for learner in (2, 3)]


def _base(paths: RunPaths) -> object:
    check_sums(paths.root, read_manifest(paths).sums)
    found = []
    for part in ("train", "stop", "validation", "test"):
        verify_all(paths.part(part))
        found.append(open_base(paths.part(part)).read_column("row"))
    return [found, read_schema(paths).to_json()]


def _predictions(paths: RunPaths) -> object:
    test = read_numbers(paths).test
    assert test is not None
    compared = read_run(paths.root)
    return [test.prediction.outputs, test.rows, compared.truth, compared.rows, compared.values]


def _model(paths: RunPaths) -> object:
    model = ensemble_pipe.load(paths.root)
    return [model.predict_proba(ROWS), model.schema.to_json()]


def _pipeline(paths: RunPaths) -> object:
    check_sums(paths.root, read_manifest(paths).sums)
    return load_pipeline(paths.pipeline)[0].model_dump()


CASES = {"pipelines": 2000, "tables": 2000, "run files": 1000}
TARGETS = {
    "checkpoints": Target("learners/000[01]/*", _checkpoints),
    "estimators": Target("learners/000[23]/*", _estimators),
    "journal": Target("journal.jsonl", lambda paths: list(read_entries(paths.journal))),
    "base": Target("base/*", _base),
    "predictions": Target("predictions/test.*", _predictions),
    "model": Target("model/*", _model),
    "cursor": Target("mlflow.json", lambda paths: Cursor.load(paths.cursor)),
    "manifest": Target("manifest.json", read_manifest),
    "growth": Target(
        "growth.json", lambda paths: read_json(paths.growth, dict[str, Any])["pipeline"]
    ),
    "pipeline": Target("pipeline.yaml", _pipeline),
}


ROWS_OF_ALL = [
    *((damage, kind) for damage in ("flips", "truncations") for kind in TARGETS),
    ("hostile", "files"),
    *(("hypothesis", kind) for kind in CASES),
]


def make_run(folder: Path) -> RunPaths:
    """Make a run of two networks, a linear model and boosted trees, with all that is read."""
    draws = np.random.default_rng(0)
    a, b = draws.normal(size=(2, 120))
    rows = zip(a, b, np.where(a + b * b > 1, "yes", "no"), strict=True)
    text = "a,b,y\n" + "".join(f"{p:.3f},{q:.3f},{label}\n" for p, q, label in rows)
    (folder / "rows.csv").write_text(text)
    members = [
        {"strategy": "independent", "learners": 2},
        {"strategy": "linear"},
        {"strategy": "histogram_boosting", "rounds": 2},
    ]
    pipeline = Pipeline.model_validate(
        {
            "data": {"source": "table", "path": str(folder / "rows.csv"), "label": "y"},
            "network": {"hidden": [4]},
            "training": {"epochs": 2},
            "ensemble": {"pool": members},
            "tracking": {"mlflow": False},
        }
    )
    result = ensemble_pipe.run(pipeline, output=folder, inline=True)
    paths = RunPaths.open(Path(result.run_dir))
    write_summed_json(paths.growth, {"pipeline": yaml.safe_load(paths.pipeline.read_text())})
    Cursor(
        "sqlite:///mlflow.db", 1234, "parent", {"0": "child"}, {"0": 2}, 4, ["model"],
        {"0": "FINISHED"}, {}, "models:/m-1", {"model.json": "0" * 64},
    ).save(paths.cursor)  # fmt: skip
    return paths


def plain(value: Any) -> Any:
    """Return content as plain values that are equal only where every bit is."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:  # whose bytes are places in memory
            return value.shape, plain(value.tolist())
        return str(value.dtype), value.shape, value.tobytes()
    if is_dataclass(value) and not isinstance(value, type):
        return plain({name: getattr(value, name) for name in vars(value)})
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, bytes) else repr(value)


@dataclass
class Count:
    """The outcomes of one row, and the first failures by what was done."""

    tried: int = 0
    refused: int = 0
    identical: int = 0
    silent: int = 0
    traceback: int = 0
    examples: list[str] | None = None

    @property
    def failed(self) -> int:
        return self.silent + self.traceback

    def take(self, outcome: str, what: str) -> None:
        """Count one outcome."""
        self.tried += 1
        kind = outcome.split(":")[0]
        setattr(self, kind, getattr(self, kind) + 1)
        if kind in ("silent", "traceback"):
            self.examples = [*(self.examples or []), f"{what}: {outcome}"][:5]


def outcome_of(
    load: Callable[[], object], whole: Any, names: Collection[str], *, cut: bool = False
) -> str:
    """Return what a load of a damaged file came to.

    Args:
        load: reads it.
        whole: its content before, as `plain` gives it.
        names: of the damaged file, and of those that it has the sums of; a refusal has one.
        cut: whether its end is gone as after a kill, so that what is left is its content.
    """
    try:
        found = plain(load())
    except EnsemblePipeError as error:
        told = any(name in str(error) for name in names)
        return "refused" if told else f"traceback: does not name it: {error}"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"[:300]
    if cut:
        whole = whole[: len(found)]
    return "identical" if found == whole else "silent: other content"


def damages(content: bytes, damage: str, draws: np.random.Generator, count: int) -> Iterator[bytes]:
    """Yield damaged forms of a file."""
    if damage == "truncations":
        lengths = range(len(content))
        few = np.unique(np.linspace(0, len(content) - 1, count).astype(int)) if count else lengths
        yield from (content[:length] for length in few)
        return
    for _ in range(count):
        changed = bytearray(content)
        changed[draws.integers(len(content))] ^= 1 << int(draws.integers(8))
        yield bytes(changed)


def measure(paths: RunPaths, kind: str, damage: str, most: int | None = None) -> Count:
    """Damage all files of a kind, and count what becomes of them.

    Args:
        paths: of a run that `make_run` made.
        kind: of `TARGETS`.
        damage: "flips" or "truncations".
        most: at all files together; None for 1,000 bits, or every length.
    """
    target, count = TARGETS[kind], Count()
    files = sorted(path for path in paths.root.glob(target.pattern) if path.is_file())
    names = {"its manifest", *(path.name for path in files)}
    sizes = np.array([path.stat().st_size for path in files])
    draws = np.random.default_rng(list(kind.encode()))
    total = FLIPS if damage == "flips" and most is None else most or 0
    shares = draws.multinomial(total, sizes / sizes.sum())
    whole = plain(target.load(paths))
    for path, share in zip(files, shares.tolist(), strict=True):
        content = path.read_bytes()
        if total and not share:
            continue
        for place, damaged in enumerate(damages(content, damage, draws, share)):
            path.write_bytes(damaged)
            cut = damage == "truncations" and kind == "journal"
            outcome = outcome_of(lambda: target.load(paths), whole, names, cut=cut)
            count.take(outcome, f"{path.relative_to(paths.root)}, {place}")
        path.write_bytes(content)
    return count


def kept() -> dict[str, Any]:
    """Return the rows that were measured before."""
    path = RESULTS / f"{NAME}.json"
    return dict(json.loads(path.read_text())["rows"]) if path.is_file() else {}


def keep(row: str, found: dict[str, Any], write: bool) -> None:
    """Print a row, and keep it beside the others; failures that are no more count as mended."""
    rows = kept()
    before = rows.get(row, {})
    failures = before.get("failed", 0) + before.get("mended", 0)
    rows[row] = {**found, "mended": max(0, failures - found["failed"])}
    print(row, json.dumps(rows[row]), flush=True)
    if write:
        result = {**circumstances(f"python benchmarks/{NAME}.py --write"), "rows": rows}
        (RESULTS / f"{NAME}.json").write_text(json.dumps(result, indent=1) + "\n")


def in_a_process(script: str, *arguments: str) -> dict[str, Any]:
    """Return the JSON of the last line that a script of this folder prints, or how it ended."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-3:]
        return {"tried": 1, "held": 0, "failed": 1, "examples": [f"{done.returncode}", *last]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--anew", nargs="*", default=[])
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        root, damage, kind = options.row
        print(json.dumps(measure_row(RunPaths(Path(root)), damage, kind)))
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = make_run(Path(folder))
        for damage, kind in ROWS_OF_ALL:
            row = f"{damage}: {kind}"
            if row in options.anew or row not in kept():
                arguments = ("--row", str(paths.root), damage, kind)
                keep(row, in_a_process(f"{NAME}.py", *arguments), options.write)
        for name, (write, _) in BOMBS.items():
            row = f"bomb: {name}"
            if row in options.anew or row not in kept():
                bomb = Path(folder) / "bomb"
                bomb.mkdir()
                found = in_a_process("faults_bombs.py", "--case", name, str(write(bomb)))
                shutil.rmtree(bomb)
                keep(row, found, options.write)


def measure_row(paths: RunPaths, damage: str, kind: str) -> dict[str, Any]:
    """Return the counts of one row of `ROWS_OF_ALL`."""
    if damage == "hypothesis":
        return faults_documents.measure(kind, CASES[kind], paths)
    if damage == "hostile":
        return measure_hostile()
    count = measure(paths, kind, damage)
    return {**asdict(count), "held": count.tried - count.failed, "failed": count.failed}


def measure_hostile() -> dict[str, Any]:
    """Read each hostile file; a trace of it, or one that is read though it is harmful, fails."""
    failures, kinds = [], cases()
    for name, case in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            inner = Path(folder) / "inner"
            inner.mkdir()
            outcome = outcome_of_hostile(case, inner)
            if outcome:
                failures.append(f"{name}: {outcome}")
    held = len(kinds) - len(failures)
    return {
        "tried": len(kinds), "held": held, "failed": len(failures), "examples": failures[:8],
        "executed": sum("executed" in failure for failure in failures),
    }  # fmt: skip


if __name__ == "__main__":
    main()
