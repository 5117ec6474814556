"""The timeline of a run, from the command to the prompt: inline, on Ray, on a Ray that stays.

    python benchmarks/startup.py --write

runs a pipeline as a person does, several times each way in turn, and prints the median of each
stage. `--cold` begins each run with an empty cache of kernels. `--package FOLDER` measures another
version of the package, beside this one; one that keeps no timeline has the totals alone. `--write`
keeps the result under benchmarks/results and draws docs/pictures/startup.png.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from keeping import circumstances, publish

from ensemble_pipe.report.drawing import new_figure, save_figure

ROOT = Path(__file__).parents[1]
WAYS = {"inline": ["--inline"], "ray": ["--address", "local"], "up": []}
# What a person waits for, in seconds.
TOTALS = ("command to first step", "last step to prompt", "total")
Stages = list[dict[str, Any]]


def measure(pipeline: Path, options: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run a pipeline; return its stages and the totals, in seconds from the command on."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ensemble_pipe", "run", str(pipeline), *options]
        began = time.time()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        answered = time.time()
        messages = process.communicate()[1]
        ended = time.time()
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{messages}")
        (journal,) = Path(folder).glob("runs/*/journal.jsonl")
        entries = [json.loads(line) for line in journal.read_text().splitlines()]
    at = {entry["kind"]: entry["time_ms"] / 1000 - began for entry in entries}  # the last of each
    first_epoch = next(e["time_ms"] for e in entries if e["kind"] == "epoch") / 1000 - began
    stages: Stages = next((e["stages"] for e in entries if e["kind"] == "timeline"), [])
    first_step, last_step = first_epoch, at["epoch"]
    if stages:
        ends = {stage["name"]: stage["began_s"] + stage["seconds"] for stage in stages}
        first_step, last_step = ends["first step"], ends["training"]
        stages = [
            *stages,
            _stage("report", at["timeline"], at["ended"]),
            _stage("MLflow", at["ended"], answered - began),
            _stage("exit", answered - began, ended - began),
        ]
    total = ended - began
    return {"stages": stages, "totals": [first_step, total - last_step, total]}


def _stage(name: str, began: float, ended: float) -> dict[str, Any]:
    return {"name": name, "began_s": began, "seconds": ended - began}


def medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each total, and of the beginning and length of each stage."""
    names = [stage["name"] for stage in runs[0]["stages"]]
    stages = {}
    for name in names:
        own = [stage for run in runs for stage in run["stages"] if stage["name"] == name]
        stages[name] = [round(median(one[key] for one in own), 2) for key in ("began_s", "seconds")]
    totals = zip(*(run["totals"] for run in runs), strict=True)
    found = {name: round(median(one), 2) for name, one in zip(TOTALS, totals, strict=True)}
    return {"totals": found, "stages": stages, "runs": len(runs)}


@contextmanager
def staying_ray(wanted: bool, environment: dict[str, str]) -> Iterator[None]:
    """Keep a Ray that stays while the block runs, as `ensemble-pipe up` starts it."""
    command = [sys.executable, "-m", "ensemble_pipe"]
    if wanted:
        subprocess.run([*command, "up"], env=environment, check=True, capture_output=True)
    try:
        yield
    finally:
        if wanted:
            subprocess.run([*command, "down"], env=environment, check=True, capture_output=True)


def table(found: dict[str, Any]) -> str:
    """Return the medians as a table: a row for each stage or total, a column for each way."""
    names = list(dict.fromkeys(name for one in found.values() for name in one["stages"]))
    lines = [f"| seconds | {' | '.join(found)} |", "|---|" + "---|" * len(found)]
    for name in names:
        cells = [f"{one['stages'][name][1]:.1f}" if name in one["stages"] else "" for one in found.values()]  # fmt: skip # noqa: E501
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name in TOTALS:
        cells = [f"**{one['totals'][name]:.1f}**" for one in found.values()]
        lines.append(f"| **{name}** | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the timelines, a panel for each way, a bar for each stage."""
    figure = new_figure(9.0, sum(0.22 * len(one["stages"]) + 0.7 for one in found.values()))
    shares = [len(one["stages"]) + 2 for one in found.values()]
    axes = figure.subplots(len(found), 1, squeeze=False, sharex=True, height_ratios=shares)[:, 0]
    for axis, (way, one) in zip(axes, found.items(), strict=True):
        names = list(one["stages"])
        began, seconds = zip(*one["stages"].values(), strict=True)
        axis.barh(names, seconds, left=began, color="#0b5cad", height=0.7)
        axis.invert_yaxis()
        axis.set_title(f"{way}: {one['totals']['total']:.1f} s", loc="left", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.grid(axis="x", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("seconds from the command on")
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline", type=Path, default=ROOT / "pipelines/digits.yaml")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE")
    parser.add_argument("--package", type=Path, default=ROOT)
    parser.add_argument("--cold", action="store_true")  # a Ray that stays is warm by nature
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.cold:
        arguments.ways = [way for way in arguments.ways if way != "up"]
    overrides = [part for one in arguments.set for part in ("--set", one)]
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in arguments.ways}
    path = os.pathsep.join([str(arguments.package), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    warming = 0 if arguments.cold else 1  # the first run fills the caches
    with tempfile.TemporaryDirectory() as cache, staying_ray("up" in runs, environment):
        for repeat in range(arguments.repeats + warming):
            for way in arguments.ways:
                if arguments.cold:
                    environment["XDG_CACHE_HOME"] = str(Path(cache) / f"{way}-{repeat}")
                one = measure(arguments.pipeline, [*WAYS[way], *overrides], environment)
                print(way, *(f"{n} {s:.1f}" for n, s in zip(TOTALS, one["totals"], strict=True)))
                if repeat >= warming:
                    runs[way].append(one)
    found = {way: medians(own) for way, own in runs.items()}
    print(table(found))
    name = "startup_cold" if arguments.cold else "startup"
    command = f"python benchmarks/startup.py{' --cold' if arguments.cold else ''} --write"
    if arguments.write and not arguments.cold:
        draw(found, ROOT / "docs/pictures/startup.png")
    publish(name, {**circumstances(command), "ways": found}, arguments.write)


if __name__ == "__main__":
    main()
