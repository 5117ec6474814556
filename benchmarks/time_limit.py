"""What an ensemble is worth after 20, 60 and 180 seconds, and by how much a run overruns its limit.

    python benchmarks/time_limit.py --data data/adult --write

runs the untouched default on the adult table with each limit, inline and on Ray, by the command and
with MLflow, and once without a limit. It loads each model and predicts with it, resumes the run of
the shortest limit of each way to its end, and compares the bytes of its model with those of the run
without a limit. `--data` is a folder with train and test files; `--limits` are seconds. With
`--search` it is a search in the ready space of tables.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from keeping import circumstances, publish

import ensemble_pipe

ROOT = Path(__file__).parents[1]
WAYS = {"inline": ["--inline"], "ray": ["--address", "local"]}


def write_pipeline(data: Path, label: str, folder: Path, searches: bool) -> Path:
    """Write the pipeline of a table that is all default, but for a search where it `searches`."""
    (train,), (test,) = (sorted(data.glob(f"{part}.*")) for part in ("train", "test"))
    source = {"source": "table", "path": str(train), "test_path": str(test), "label": label}
    path = folder / "pipeline.yaml"
    search = {"search": {"space": "table"}} if searches else {}
    path.write_text(yaml.safe_dump({"name": data.name, "data": source, **search}))
    return path


def command(arguments: list[str], folder: Path) -> tuple[float, dict[str, Any]]:
    """Run a command of the package; return its seconds and its result."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ensemble_pipe", *arguments, "--json"],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.monotonic() - began
    if done.returncode == 2 and "time_limit" in done.stderr:
        return seconds, {"refused": done.stderr.strip().splitlines()[-1]}
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return seconds, json.loads(done.stdout.splitlines()[-1])


def facts(seconds: float, result: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run, whose model must load, if there is one."""
    if "refused" in result:
        return {"seconds": round(seconds, 2), "refused": result["refused"]}
    model = ensemble_pipe.load(result["run_dir"])
    metrics = result["metrics"]
    combiner = json.loads((Path(result["run_dir"]) / "model/model.json").read_text())["combiner"]
    return {
        "seconds": round(seconds, 2),
        "members": len(model.members),
        "nll": round(metrics["test/nll"], 5),
        "accuracy": round(metrics["test/accuracy"], 5),
        "ece": round(metrics["test/ece"], 5),
        "temperature": round(combiner["temperature"], 4),
        "left_undone": result["left_undone"],
        "mlflow_lacks": bool(result["mlflow_lacks"]),
        "load": round(os.getloadavg()[0], 1),  # over the last minute, of all processes here
    }


def model_bytes(run_dir: str) -> dict[str, bytes]:
    """Return the files of a run's model, but for its sums."""
    names = ("model.json", "members.safetensors")
    return {name: (Path(run_dir) / "model" / name).read_bytes() for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data/adult")
    parser.add_argument("--label", default="income")
    parser.add_argument("--limits", type=float, nargs="+", default=[20, 60, 180])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE")
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    overrides = [part for one in arguments.set for part in ("--set", one)]
    verb = "search" if arguments.search else "run"
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data = arguments.data.resolve()
        pipeline = write_pipeline(data, arguments.label, folder, arguments.search)
        whole = command([verb, str(pipeline), "--inline", *overrides], folder)
        runs["no limit"] = facts(*whole)
        print("no limit", runs["no limit"], file=sys.stderr)
        for way in arguments.ways:
            first = None
            for limit in arguments.limits:
                options = [*WAYS[way], "--time-limit", f"{limit:g}s", *overrides]
                ended = command([verb, str(pipeline), *options], folder)
                first = first or ended[1].get("run_dir")
                name = f"{way}, {limit:g} s"
                allowed = limit + max(1.0, 0.02 * limit)
                runs[name] = {**facts(*ended), "in_time": ended[0] <= allowed}
                print(name, runs[name], file=sys.stderr)
            resumed = command(["resume", str(first), *WAYS[way]], folder)[1]["run_dir"]
            same = model_bytes(resumed) == model_bytes(whole[1]["run_dir"])
            runs[f"{way}, resumed"] = {"same_bytes_as_without_limit": same}
            print(f"{way}, resumed", same, file=sys.stderr)
    print(table(runs), file=sys.stderr)
    searched = " --search" if arguments.search else ""
    made_by = circumstances(f"python benchmarks/time_limit.py{searched} --write")
    name = "time_limit_of_search" if arguments.search else "time_limit"
    publish(name, {**made_by, "runs": runs}, arguments.write)


def table(runs: dict[str, Any]) -> str:
    """Return the runs as a table."""
    head = "| run | seconds | members | test NLL | accuracy | ECE | load |"
    lines = [head, "|---" * 7 + "|"]
    for name, run in runs.items():
        if "nll" in run:
            numbers = f"{run['nll']:.4f} | {run['accuracy']:.4f} | {run['ece']:.4f} | {run['load']}"
            lines.append(f"| {name} | {run['seconds']:.1f} | {run['members']} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
