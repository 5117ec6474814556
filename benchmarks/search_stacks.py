"""Many small trials of a search, trained as stacks or one by one, on the same trainers.

    python benchmarks/search_stacks.py --file /path/to/letter.csv --write

searches the learning rate and the L2 penalty of an MLP 16-64-26 on letter, in batches of 32, at
random: once with stacks as wide as the package chooses, once with `cluster.stack: 1`, in turn. Both
must give the same bits: every trial's predictions, and the model. Times are those of the stage
"training", from the first step to the last checkpoint: wall seconds, and CPU seconds of this
process and those that it started, which other programs on the machine disturb less. A ratio is that
of one turn. Prints one JSON line, which `--write` keeps under benchmarks/results.
"""

import json
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
from keeping import circumstances, publish

from ensemble_pipe import search
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run import stages
from ensemble_pipe.run.session import Session
from ensemble_pipe.tracking.run_summary import read_run_summary

COMMAND = "python benchmarks/search_stacks.py --file letter.csv --write"
KEYS = ("wall_s", "cpu_s")
SAME = ("model/model.json", "model/members.safetensors", "predictions/trials.arrow")


def pipeline(file: str, trials: int, epochs: int, stack: int | None) -> Pipeline:
    """Return a random search on letter, whose 16 numbers stay as they are."""
    settings = {
        "name": "search_stacks",
        "data": {
            "source": "table", "path": file, "label": "letter",
            "columns": {"x*": {"kind": "number"}},
        },
        "scale": {"name": "standardize"},
        "splits": {"test": 0.2, "validation": 0.1, "stop": "validation"},
        "network": {"name": "mlp", "hidden": [64]},
        "training": {"epochs": epochs, "batch_size": 32, "optimizer": {"name": "adam"}},
        "search": {
            "space": {
                "training.optimizer.learning_rate": {"log_uniform": [0.0005, 0.03]},
                "training.optimizer.l2": {"log_uniform": [1e-6, 1e-3]},
            },
            "trials": trials,
        },
        "cluster": {"trainers": 2, "stack": stack},
        "tracking": {"mlflow": False},
    }  # fmt: skip
    return Pipeline.model_validate(settings)


def cpu_seconds() -> float:
    """Return the CPU seconds so far of this process and those that it has started."""
    here = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (here, *here.children(recursive=True)))


def measured(config: Pipeline, folder: Path, inline: bool) -> tuple[dict[str, float], list[bytes]]:
    """Return wall seconds and CPU seconds of the training of a search, and what it left."""
    train, handle = stages._train, Session._handle
    cpu: list[float] = []

    def from_the_first_event(*arguments: Any) -> None:
        if not cpu:
            cpu.append(cpu_seconds())
        handle(*arguments)

    def to_the_last(*arguments: Any) -> None:
        train(*arguments)
        cpu.append(cpu_seconds())

    with (
        mock.patch.object(Session, "_handle", from_the_first_event),
        mock.patch.object(stages, "_train", to_the_last),
    ):
        address = None if inline else "local"
        found = search(config, output=folder, inline=inline, address=address)
    run_dir = Path(found.run.run_dir)
    summary = read_run_summary(RunPaths(run_dir))
    wall = sum(stage.seconds for stage in summary.stages if stage.name == "training")
    left = [(run_dir / name).read_bytes() for name in SAME]
    return {"wall_s": wall, "cpu_s": cpu[1] - cpu[0]}, left


def turn(arguments: Any, folder: Path, inline: bool) -> dict[str, Any]:
    """Return one comparison: with stacks, then one by one."""
    lines, bits = {}, []
    for name, stack in (("stacks", None), ("one_by_one", 1)):
        config = pipeline(arguments.file, arguments.trials, arguments.epochs, stack)
        lines[name], left = measured(config, folder, inline)
        bits.append(left)
    ratios = {f"{key}_ratio": lines["one_by_one"][key] / lines["stacks"][key] for key in KEYS}
    return {**lines, **ratios, "same_bits": bits[0] == bits[1]}


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--file", required=True)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--only-inline", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, inline in (("two trainers on Ray", False), ("in this process", True)):
            if inline or not arguments.only_inline:
                turns = [turn(arguments, Path(folder), inline) for _ in range(arguments.turns)]
                medians = {
                    f"{key}_ratio": float(np.median([one[f"{key}_ratio"] for one in turns]))
                    for key in KEYS
                }
                found[name] = {"turns": turns, "medians": medians}
                same = all(one["same_bits"] for one in turns)
                print(f"{name}: {medians}, same bits: {same}", file=sys.stderr)
    result = {
        **circumstances(COMMAND), "trials": arguments.trials, "epochs": arguments.epochs,
        "network": "16-64-26", "batch_size": 32, "results": found,
    }  # fmt: skip
    publish("search_stacks", json.loads(json.dumps(result)), arguments.write)


if __name__ == "__main__":
    main()
