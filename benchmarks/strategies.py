"""Strategies at equal cost on Fashion-MNIST, over several seeds, in one table.

    python benchmarks/strategies.py --folder /path/to/fashion-mnist

trains a network like that of pipelines/fashion_mnist.yaml, half as wide, for EPOCHS epochs in all
under each strategy: one learner for all of them, or five for a fifth each. The seed decides the
split, the learners and their draws. Then `ensemble-pipe compare` puts all runs side by side, paired
by seed, with the single network first. Prints its tables, the same as Markdown, and one JSON line,
which `--write` keeps. The same care for all: none was tuned; rate, batch and augmentation are those
of the pipeline.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from keeping import circumstances, publish

from ensemble_pipe import run
from ensemble_pipe.comparison.compare import compare
from ensemble_pipe.comparison.output import comparison_text
from ensemble_pipe.comparison.runs import read_run

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipelines" / "fashion_mnist.yaml"
EPOCHS = 30  # of all learners together
LEARNERS = 5
HIDDEN = [256, 128]  # half of the pipeline's, for time
PROCESSES = 2
MEASURES = ("accuracy", "nll", "ece")

Settings = dict[str, Any]

_SINGLE: Settings = {"ensemble.learners": 1}
STRATEGIES: dict[str, Settings] = {
    "single network": _SINGLE,
    "independent": {"ensemble.learners": LEARNERS},
    "bagging": {"ensemble.strategy": "bagging", "ensemble.learners": LEARNERS},
    "snapshot": {
        **_SINGLE,
        "ensemble.strategy": "snapshot",
        "training.schedule": {"name": "snapshot", "cycles": LEARNERS},
    },
    "fast geometric": {
        **_SINGLE,
        "ensemble.strategy": "fast_geometric",
        "training.schedule": {"name": "fast_geometric", "start": 0.5, "members": LEARNERS},
    },
    # The rate stays up while weights are averaged (Izmailov et al. 2018, section 3.2).
    "SWA": {
        **_SINGLE,
        "training.averaging": {"name": "swa", "start": 0.5},
        "training.schedule": {"name": "cosine", "minimum": 0.5},
    },
    "MC-dropout": {**_SINGLE, "ensemble.strategy": "mc_dropout", "network.dropout": 0.2},
}


def settings_of(strategy: Settings, folder: str, epochs: int) -> Settings:
    """Return all settings of a strategy, for so many epochs of all learners together."""
    own = max(1, epochs // strategy["ensemble.learners"])
    return {
        "network.hidden": HIDDEN,
        "data.folder": folder,
        "training.epochs": own,
        **strategy,
    }


def train(pipeline: Path, runs: str, seed: int, settings: Settings) -> Settings:
    """Run a pipeline with some settings; return its directory and flat metrics.

    Args:
        pipeline: the file.
        runs: the folder for the run directory.
        seed: of the run.
        settings: by path.
    """
    own = {"seed": seed, "tracking.mlflow": False, **settings}
    result = run(pipeline, output=runs, inline=True, **own)
    return {"run_dir": result.run_dir, "metrics": result.metrics}


def train_all(
    pipeline: Path, runs: str, jobs: Mapping[Any, tuple[int, Settings]]
) -> dict[Any, Settings]:
    """Train some (seed, settings), two at a time; return what `train` returns, by the same keys."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        waiting = {
            key: pool.submit(train, pipeline, runs, seed, settings)
            for key, (seed, settings) in jobs.items()
        }
        found = {}
        for key, job in waiting.items():
            found[key] = job.result()
            print(key, time.strftime("%H:%M:%S"), file=sys.stderr, flush=True)
    return found


def measure(
    pipeline: Path, runs: str, seeds: int, strategies: Mapping[str, Settings]
) -> tuple[str, list[Settings]]:
    """Return the comparison as text, and a line for each strategy, the first of which is single.

    Args:
        pipeline: the file.
        runs: the folder for run directories.
        seeds: how many, from 1 on.
        strategies: settings of each, by its name.
    """
    jobs = {
        (name, seed): (seed, strategies[name])
        for seed, name in itertools.product(range(1, seeds + 1), strategies)
    }
    trained = train_all(pipeline, runs, jobs)
    roots = [trained[name, s]["run_dir"] for name in strategies for s in range(1, seeds + 1)]
    comparison = compare([read_run(Path(root)) for root in roots])
    found, lines = comparison.to_dict(), []
    for name, group in zip(strategies, found["groups"], strict=True):
        difference = found["differences"].get(f"{group['label']} - A", {})
        lines.append(
            {
                "strategy": name,
                "members": group["runs"][0]["members"],
                "cost": group["cost"],
                **{m: group["metrics"][m] for m in MEASURES},
                "less_single": {m: difference[m] for m in MEASURES if m in difference},
            }
        )
    return comparison_text(comparison), lines


def table(lines: list[Settings]) -> str:
    """Return the lines as a Markdown table."""
    text = [
        "| strategy | members | epochs | accuracy | NLL | ECE | accuracy, less single | NLL, less "
        "single |",
        "|" + "---|" * 8,
    ]
    for line in lines:
        own = (f"{line[m]['mean']:.4f} ± {line[m]['standard_error'] or 0:.4f}" for m in MEASURES)
        less = (interval(line["less_single"].get(m)) for m in ("accuracy", "nll"))
        cells = (line["strategy"], str(line["members"]), f"{line['cost']['learner_epochs']:.0f}")
        text.append("| " + " | ".join((*cells, *own, *less)) + " |")
    return "\n".join(text)


def interval(one: Settings | None) -> str:
    """Return a difference with its 95% interval."""
    if one is None:
        return ""
    return f"{one['mean']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})"


def main() -> None:
    """Train and compare; print tables and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the four IDX files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    folder = str(arguments.folder.resolve())
    strategies = {
        name: settings_of(STRATEGIES[name], folder, arguments.epochs)
        for name in arguments.strategies
    }
    with tempfile.TemporaryDirectory() as runs:
        text, lines = measure(PIPELINE, runs, arguments.seeds, strategies)
    print(text, table(lines), sep="\n\n", file=sys.stderr)
    result = {
        **circumstances("python benchmarks/strategies.py --folder fashion-mnist"),
        "epochs": arguments.epochs,
        "strategies": lines,
    }
    publish("strategies", result, arguments.write)


if __name__ == "__main__":
    main()
