"""The UCI regressions of Hernandez-Lobato & Adams 2015 over their standard splits.

    python benchmarks/uci_regression.py --folder /path/to/uci_regression

runs pipelines/uci_regression.yaml as it stands on every split of every set, inline, two fits at a
time in two processes, and prints a Markdown table of mean test RMSE and NLL over the splits, and
one JSON line, which `--write` keeps; `--default` takes a pipeline that names the data and nothing
else. Beside it stand the figures of deep ensembles
(Lakshminarayanan et al. 2017, table 1) and of MC-dropout with long training (Gal & Ghahramani 2016,
the authors' own results on these splits, one by one, hence the paired differences).
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from keeping import circumstances, publish

from ensemble_pipe import run

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipelines" / "uci_regression.yaml"
# What an untouched pipeline says of these sets.
DEFAULT = """
task: regression
data: {source: table, path: rows.parquet, label: y, ignore: ["test_*"]}
"""
PUBLISHED = "published_mc_dropout_per_split.csv"
# Mean test RMSE and NLL, and what the paper gives for their spread.
DEEP_ENSEMBLES = {
    "boston": {"rmse": (3.28, 1.00), "nll": (2.41, 0.25)},
    "concrete": {"rmse": (6.03, 0.58), "nll": (3.06, 0.18)},
    "energy": {"rmse": (2.09, 0.29), "nll": (1.38, 0.22)},
    "kin8nm": {"rmse": (0.09, 0.00), "nll": (-1.20, 0.02)},
}
SETS = tuple(DEEP_ENSEMBLES)
MEASURES = ("rmse", "nll")
SPLITS = 20
PROCESSES = 2

Row = dict[str, Any]


def fit(
    folder: Path,
    name: str,
    split: int,
    settings: dict[str, Any] | None = None,
    default: bool = False,
) -> Row:
    """Run a pipeline on one split; return its test measures, in the target's own units.

    Args:
        folder: of the sets.
        name: of the set.
        split: from 0 on.
        settings: that differ, by path.
        default: whether to take the untouched default instead of the pipeline.
    """
    data: dict[str, Any] = {
        "data.path": str(folder / f"{name}.parquet"),
        "data.test_where": f"test_{split}",
    }
    others = {"tracking.mlflow": False, **(settings or {})}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as runs:
        pipeline = PIPELINE
        if default:
            pipeline = Path(runs, "default.yaml")
            pipeline.write_text(DEFAULT)
        result = run(pipeline, output=runs, inline=True, **data, **others)
    seconds = {"seconds": result.seconds, "cpu_seconds": round(time.process_time() - began, 2)}
    measures = {measure: result.metrics[f"test/{measure}"] for measure in MEASURES}
    return {"set": name, "split": split, **measures, **seconds}


def processes() -> ProcessPoolExecutor:
    """Return a pool whose processes begin afresh."""
    return ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn"))


def fits(folder: Path, sets: Sequence[str], splits: int, default: bool) -> Iterator[Row]:
    """Yield a row for each split of each set, in order."""
    with processes() as pool:
        jobs = [
            pool.submit(fit, folder, name, split, None, default)
            for name in sets
            for split in range(splits)
        ]
        for job in jobs:
            yield job.result()


def published(folder: Path) -> dict[tuple[str, int], dict[str, float]]:
    """Return the measures of MC-dropout by set and split."""
    with open(folder / PUBLISHED, newline="") as stream:
        return {
            (row["set"], int(row["split"])): {
                "rmse": float(row["rmse"]),
                "nll": -float(row["log_likelihood"]),
            }
            for row in csv.DictReader(stream)
        }


def summary(rows: Sequence[Row], peers: dict[tuple[str, int], dict[str, float]]) -> list[Row]:
    """Return means over the splits, with standard errors, by set and measure.

    "paired" is the mean of the differences to MC-dropout on the same split; below 0 it is better.
    """
    found = []
    for name in dict.fromkeys(row["set"] for row in rows):
        own = sorted((row for row in rows if row["set"] == name), key=lambda row: row["split"])
        for measure in MEASURES:
            values = np.array([row[measure] for row in own])
            others = np.array([peers[name, row["split"]][measure] for row in own])
            found.append(
                {
                    "set": name,
                    "measure": measure,
                    "mean": values.mean(),
                    "error": standard_error(values),
                    "mc_dropout": others.mean(),
                    "paired": (values - others).mean(),
                    "paired_error": standard_error(values - others),
                    "splits_better": int((values < others).sum()),
                    "deep_ensembles": DEEP_ENSEMBLES[name][measure][0],
                }
            )
    return found


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of a mean; 0 for one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def table(lines: Sequence[Row]) -> str:
    """Return a summary as a Markdown table."""
    names = ("this ensemble", "MC-dropout", "paired difference", "better on", "deep ensembles")
    text = ["| set | measure | " + " | ".join(names) + " |", "|" + "---|" * 7]
    for line in lines:
        digits = 4 if line["set"] == "kin8nm" else 3
        mean, error, other, paired, paired_error = (
            f"{line[key]:.{digits}f}"
            for key in ("mean", "error", "mc_dropout", "paired", "paired_error")
        )
        text.append(
            f"| {line['set']} | {line['measure'].upper()} | {mean} ± {error} | {other} | {paired} "
            f"± {paired_error} | {line['splits_better']} | {line['deep_ensembles']:.2f} |"
        )
    return "\n".join(text)


def main() -> None:
    """Run all fits; print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the sets and published figures")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--default", action="store_true", help="the untouched default instead")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    began = time.monotonic()
    rows = []
    for row in fits(
        arguments.folder.resolve(), arguments.sets, arguments.splits, arguments.default
    ):
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    lines = summary(rows, published(arguments.folder))
    print(table(lines), file=sys.stderr)
    command = "python benchmarks/uci_regression.py --folder uci_regression"
    result = {
        **circumstances(f"{command} --default" if arguments.default else command),
        "processes": PROCESSES,
        "seconds": round(seconds),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows)),
        "summary": lines,
        "splits": rows,
    }
    publish("uci_default" if arguments.default else "uci_regression", result, arguments.write)


if __name__ == "__main__":
    main()
