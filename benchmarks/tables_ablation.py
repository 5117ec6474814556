"""What each ingredient of the defaults for tables is worth, on inner parts of the training rows.

    python benchmarks/tables_ablation.py --folder /path/to/data --work /path/to/results

A fifth of each table's training rows, drawn by the seed, is the test part here; the tables' own
test files are never read. The untouched default is fitted to the rest, and so is the default with
one ingredient changed. Prints a Markdown table of differences in NLL with 95% paired bootstrap
intervals over the rows, above 0 where the default is better, and one JSON line, which `--write`
keeps. Predictions are kept in `--work`, so that a benchmark that was stopped goes on.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from keeping import circumstances, publish
from tables import interval, measures, row_losses
from tables_contestants import fit_ours
from tables_data import TABLES, files_of

from ensemble_pipe.core.arrays import Array

_EARLIER = {
    "training.epochs": 20,
    "training.batch_size": 64,
    "training.optimizer.name": "adam",
    "training.schedule.name": "constant",
}
CHANGES: dict[str, dict[str, Any]] = {
    "default": {},
    "scale standardize": {"scale.name": "standardize"},
    "scale robust_clip": {"scale.name": "robust_clip"},
    "numbers only as numbers": {},
    "20 epochs of Adam at 0.001": _EARLIER,
    "squared error": {"training.loss.name": "squared_error"},
    "targets standardised": {"target.scale": "standardize"},
    "not calibrated": {"ensemble.combine.temperature": False},
    "45% held out": {"splits.validation": 0.15, "splits.stop": 0.1},
    "separate networks": {"ensemble.strategy": "independent"},
    "five learners": {"ensemble.strategy": "independent", "ensemble.learners": 5},
    "no embedding": {"network.embedding": None},
    "pbld": {"network.embedding": {"name": "pbld"}},
}
_OF_REGRESSIONS = ("squared error", "targets standardised")
# Numbers that also have features of 0 or 1, or are recognised as categories.
_AS_NUMBERS = {
    "adult": ("capital_gain", "capital_loss", "hours_per_week"),
    "titanic": ("Pclass", "SibSp", "Parch"),
    "traffic": ("rain_1h", "snow_1h"),
}


def predictions(name: str, change: str, seed: int, folder: Path, work: Path) -> dict[str, Array]:
    """Return what a run predicts for the inner test part, from its file or by a new fit."""
    output = work / f"{name}-{change.replace(' ', '_')}-{seed}.npz"
    if not output.exists():
        print(f"{name}: {change}, seed {seed}", file=sys.stderr)
        train, _ = files_of(folder, name, work)
        found = fit_ours({}, TABLES[name], seed, train, None, settings_of(change, name))
        beside = work / f"unfinished-{output.name}"
        np.savez(beside, **found)
        beside.replace(output)
    with np.load(output) as file:
        return dict(file)


def settings_of(change: str, name: str) -> dict[str, Any]:
    """Return what a change sets for a table, by path."""
    if change == "numbers only as numbers":
        columns = _AS_NUMBERS.get(name, ())
        return {"data.columns": {column: {"kind": "number"} for column in columns}}
    return CHANGES[change]


def applies(change: str, name: str) -> bool:
    """Return whether a change makes a difference for a table."""
    if change in _OF_REGRESSIONS:
        return TABLES[name].task == "regression"
    return change != "numbers only as numbers" or name in _AS_NUMBERS


def main() -> None:
    """Run what is not there yet; print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the data")
    parser.add_argument("--work", type=Path, required=True, help="where predictions are kept")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    for change in CHANGES:
        results[change] = {}
        for name in arguments.tables:
            if applies(change, name):
                results[change][name] = _compare(name, change, arguments)
    print(_table(results, arguments.tables), file=sys.stderr)
    found = {
        **circumstances("python benchmarks/tables_ablation.py --folder data --work results"),
        "seeds": arguments.seeds,
        "changes": results,
    }
    publish("tables_ablation", found, arguments.write)


def _compare(name: str, change: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the measures of a change, and by how much its NLL exceeds the default's."""
    task, seeds = TABLES[name].task, range(1, arguments.seeds + 1)
    places = arguments.folder, arguments.work
    found = [predictions(name, change, seed, *places) for seed in seeds]
    default = [predictions(name, "default", seed, *places) for seed in seeds]
    each = [measures(one, task) for one in found]
    losses = [np.concatenate([row_losses(one, task)["nll"] for one in own])
              for own in (found, default)]  # fmt: skip
    means = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
    return {"measures": means, "excess": interval(*losses)}


def _table(results: dict[str, dict[str, Any]], names: list[str]) -> str:
    lines = [f"| change | {' | '.join(names)} |", "|" + "---|" * (len(names) + 1)]
    for change, own in results.items():
        cells = []
        for name in names:
            if name not in own:
                cells.append("")
            elif change == "default":
                cells.append(f"{own[name]['measures']['nll']:.4f}")
            else:
                excess, low, high = own[name]["excess"]
                cells.append(f"{excess:+.4f} ({low:+.4f}, {high:+.4f})")
        lines.append(f"| {change} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
