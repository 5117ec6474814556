"""What MLflow costs a run of many short learners: 300 of two epochs, inline and on Ray.

    python benchmarks/shipping.py --write

runs the same pipeline with MLflow and without, in turn, on a fresh store each time, and prints the
seconds that MLflow adds, those from the last entry of the journal to the prompt, the processor
seconds that it adds (inline, where all are those of the command and what it starts), and whether
MLflow has everything then. It also ships the journal of the last run once more, at once, and counts
the calls. PYTHONPATH=FOLDER measures another version of the package. `--write` keeps the result
under benchmarks/results; docs/mlflow.md explains the figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from keeping import circumstances, publish

WAYS = {"inline": ["--inline"], "ray": []}
_CALLS = (
    "create_run", "log_batch", "set_terminated", "update_run", "set_tag", "delete_tag", "get_run",
    "search_runs", "log_artifact", "log_dict", "get_experiment_by_name", "create_experiment",
)  # fmt: skip


def pipeline_of(learners: int, mlflow: bool) -> dict[str, Any]:
    """Return small networks on the digits, of two epochs each."""
    return {
        "name": "many",
        "network": {"hidden": [16]},
        "training": {"epochs": 2},
        "ensemble": {"learners": learners},
        "tracking": {"mlflow": mlflow},
    }


def measure(learners: int, mlflow: bool, options: list[str]) -> dict[str, Any]:
    """Run once, as a person does; return seconds, and what MLflow has."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "p.yaml").write_text(yaml.safe_dump(pipeline_of(learners, mlflow)))
        command = [sys.executable, "-m", "ensemble_pipe", "run", "p.yaml", *options]
        before, began = os.times(), time.time()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        ended, after = time.time(), os.times()
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        (run_dir,) = Path(folder, "runs").iterdir()
        lines = (run_dir / "journal.jsonl").read_bytes().splitlines(keepends=True)
        found = {
            "seconds": ended - began,
            "cpu": after.children_user + after.children_system
            - before.children_user - before.children_system,
            "end_to_prompt": ended - json.loads(lines[-1])["time_ms"] / 1000,
        }  # fmt: skip
        if mlflow:
            cursor = json.loads((run_dir / "mlflow.json").read_text())
            found["complete"] = cursor["offset"] == sum(map(len, lines)) and bool(
                cursor["model_uri"]
            )
            found["calls"] = sum(count_calls(run_dir).values())
        return found


def count_calls(run_dir: Path) -> Counter[str]:
    """Ship a journal to a fresh store in this process, and return the numbers of calls by name."""
    from mlflow import MlflowClient

    from ensemble_pipe.core.addresses import sqlite_address
    from ensemble_pipe.core.storage import RunPaths
    from ensemble_pipe.tracking.journal import read_lines
    from ensemble_pipe.tracking.shipping import Shipper

    calls: Counter[str] = Counter()

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return call(*arguments, **options)

        return count

    originals = {name: getattr(MlflowClient, name) for name in _CALLS}
    paths = RunPaths(run_dir)
    paths.cursor.unlink()
    store = sqlite_address(run_dir.parent / "again.db")
    lines = list(read_lines(paths.journal))
    try:
        for name, call in originals.items():
            setattr(MlflowClient, name, counted(name, call))
        shipper = Shipper(paths, store, "again", lambda *_: "models:/none")
        shipper.ship([line.entry for line in lines], lines[-1].end)
    finally:
        for name, call in originals.items():
            setattr(MlflowClient, name, call)
    return calls


def compare(learners: int, way: str, repeats: int) -> dict[str, float | bool]:
    """Run with MLflow and without, in turn; return medians of what it adds."""
    runs: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for _ in range(repeats):
        for mlflow, own in runs.items():
            own.append(measure(learners, mlflow, WAYS[way]))
            print(way, "with MLflow" if mlflow else "without", own[-1], file=sys.stderr)

    def of(mlflow: bool, name: str) -> float:
        return float(median(run[name] for run in runs[mlflow]))

    added = of(True, "seconds") - of(False, "seconds")
    found: dict[str, float | bool] = {
        "seconds": round(of(True, "seconds"), 1),
        "seconds_without_mlflow": round(of(False, "seconds"), 1),
        "added_seconds_per_ten_learners": round(10 * added / learners, 2),
        "end_to_prompt_seconds": round(of(True, "end_to_prompt"), 1),
        "calls": of(True, "calls"),
        "complete": all(run["complete"] for run in runs[True]),
    }
    if way == "inline":
        found["added_cpu_seconds"] = round(of(True, "cpu") - of(False, "cpu"), 1)
    return found


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", type=int, default=300)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    found = {way: compare(arguments.learners, way, arguments.repeats) for way in arguments.ways}
    result = {
        **circumstances("python benchmarks/shipping.py --write"),
        "learners": arguments.learners,
        "ways": found,
    }
    publish("shipping", result, arguments.write)


if __name__ == "__main__":
    main()
