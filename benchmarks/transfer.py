"""The classic table of transfer learning: little or much data, similar or different.

    python benchmarks/transfer.py --folder /path/to/fashion-mnist --other /path/to/notmnist

trains networks on five classes of Fashion-MNIST (pipelines/transfer_source.yaml), then teaches them
a new task four ways: from scratch, by a new last layer alone (all else frozen), by new dense layers
on the frozen convolutions, and by moving everything, the convolutions at a lower rate. The similar
task is the other five classes of Fashion-MNIST, the different one the letters of notMNIST. Prints a
Markdown table of the ensemble's test accuracy and NLL, mean over seeds, and one JSON line, which
`--write` keeps.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from keeping import publish

from ensemble_pipe import run

ROOT = Path(__file__).parents[1]
PIPELINES = ROOT / "pipelines"
WAYS: dict[str, dict[str, Any]] = {
    "from scratch": {"transfer": None},
    "new last layer": {
        "transfer.fresh": None,
        "transfer.freeze": ["conv2d*", "batch_norm*", "dense1/*"],
        "transfer.rate_factors": {},
        "training.optimizer.learning_rate": 0.1,  # a linear layer alone stands more
    },
    "new dense layers": {
        "transfer.fresh": ["dense*"],
        "transfer.freeze": ["conv2d*", "batch_norm*"],
        "transfer.rate_factors": {},
    },
    "fine-tuned": {
        "transfer.fresh": None,
        "transfer.freeze": [],
        "transfer.rate_factors": {"conv2d*": 0.3, "batch_norm*": 0.3},
    },
}
# Labelled images, and the epochs that make comparable numbers of steps of them.
SIZES = {100: 60, 3000: 6}


def as_training_part(folder: Path, inside: Path) -> Path:
    """Return a folder that offers the test files of an IDX folder as training files."""
    inside.mkdir()
    for path in folder.glob("t10k-*"):
        shutil.copyfile(path, inside / path.name.replace("t10k", "train"))
    return inside


def source_model(folder: str, runs: Path, seed: int, epochs: int) -> str:
    """Train the networks to transfer from; return their run directory."""
    settings: dict[str, Any] = {"data.folder": folder, "seed": seed, "training.epochs": epochs}
    return str(_run("transfer_source", runs, settings).run_dir)


def measured(runs: Path, settings: dict[str, Any]) -> tuple[float, float]:
    """Return test accuracy and NLL of one way on one task."""
    metrics = _run("transfer", runs, settings).metrics
    return metrics["test/accuracy"], metrics["test/nll"]


def _run(pipeline: str, runs: Path, settings: dict[str, Any]) -> Any:
    quiet: dict[str, Any] = {"tracking.mlflow": False}
    return run(PIPELINES / f"{pipeline}.yaml", output=runs, inline=True, **quiet, **settings)


def compare(
    folder: str, other: str, seeds: int, sizes: dict[int, int], epochs: int, runs: Path
) -> list[dict[str, Any]]:
    """Return one row for each task, size and way."""
    letters = str(as_training_part(Path(other), runs / "letters"))
    tasks: dict[str, dict[str, Any]] = {
        "similar": {"data.folder": folder},
        "different": {"data.folder": letters, "classes": None, "splits.test": 0.3},
    }
    found: dict[tuple[str, int, str], list[tuple[float, float]]] = {}
    for seed in range(1, seeds + 1):
        weights = source_model(folder, runs, seed, epochs)
        for task, data in tasks.items():
            for size, own_epochs in sizes.items():
                for way, transfer in WAYS.items():
                    settings = {**data, "seed": seed, "splits.train": size}
                    settings |= {"training.epochs": own_epochs, "transfer.weights": weights}
                    settings |= transfer
                    found.setdefault((task, size, way), []).append(measured(runs, settings))
                    print(task, size, way, found[task, size, way][-1], file=sys.stderr)
    rows = []
    for (task, size, way), values in found.items():
        accuracy, nll = np.mean(values, axis=0)
        rows.append({"task": task, "labels": size, "way": way, "accuracy": accuracy, "nll": nll})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table, a way in each column."""
    lines = ["| new task | labels | " + " | ".join(WAYS) + " |", "|---|---|" + "---|" * len(WAYS)]
    for task, size in dict.fromkeys((row["task"], row["labels"]) for row in rows):
        own = {r["way"]: r for r in rows if (r["task"], r["labels"]) == (task, size)}
        cells = (f"{own[way]['accuracy']:.4f} / {own[way]['nll']:.3f}" for way in WAYS)
        lines.append(f"| {task} | {size:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Compare, and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="IDX files of Fashion-MNIST")
    parser.add_argument("--other", required=True, help="IDX test files of notMNIST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5, help="of the networks to transfer from")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        rows = compare(
            arguments.folder, arguments.other, arguments.seeds, SIZES, arguments.epochs, Path(runs)
        )
    print(table(rows), file=sys.stderr)
    publish("transfer", rows, arguments.write)


if __name__ == "__main__":
    main()
