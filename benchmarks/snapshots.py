"""Snapshots against a single network, at equal cost and equal care, over several seeds.

    python benchmarks/snapshots.py --folder /path/to/fashion-mnist

trains pipelines/fashion_mnist_snapshot.yaml, and the same with one long cosine instead of its
cycles, which yields one network. All else is the pipeline's for both: network, epochs, rule, rate,
penalty, augmentation. Then `ensemble-pipe compare` pairs them by seed. Prints its tables, the same
as Markdown, and one JSON line, which `--write` keeps.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from keeping import circumstances, publish
from strategies import Settings, measure, table

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipelines" / "fashion_mnist_snapshot.yaml"
TARGET = 0.08  # of the single network's error
STRATEGIES: dict[str, Settings] = {
    "single network": {
        "ensemble.strategy": "independent",
        "training.schedule": {"name": "cosine"},
    },
    "snapshots": {},
}


def cut(lines: list[Settings]) -> float:
    """Return the share of the single network's error that snapshots save, in the mean."""
    single, snapshots = (line["accuracy"]["mean"] for line in lines)
    return float((snapshots - single) / (1 - single))


def main() -> None:
    """Train and compare; print tables and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the four IDX files")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="instead of the pipeline's")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    own: Settings = {"data.folder": str(arguments.folder.resolve())}
    if arguments.epochs is not None:
        own["training.epochs"] = arguments.epochs
    strategies = {name: own | settings for name, settings in STRATEGIES.items()}
    with tempfile.TemporaryDirectory() as runs:
        text, lines = measure(PIPELINE, runs, arguments.seeds, strategies)
    result = {
        **circumstances("python benchmarks/snapshots.py --folder fashion-mnist"),
        "strategies": lines,
        "error_cut": cut(lines),
    }
    saved = f"snapshots save {result['error_cut']:.1%} of the error; the aim is {TARGET:.0%}"
    print(text, table(lines), saved, sep="\n\n", file=sys.stderr)
    publish("snapshots", result, arguments.write)


if __name__ == "__main__":
    main()
