"""How pipelines/uci_regression.yaml was chosen: candidates on inner parts of the training rows.

    python benchmarks/uci_tuning.py --folder /path/to/uci_regression

Of each standard split only the training rows are taken: a tenth of them, drawn once, stands for
the test part, and the split's own test rows are left out. The pipeline and each candidate, which
changes some of its settings, are fitted to the rest. Prints a Markdown table of inner RMSE and NLL
by set, with the score: the mean over sets of log(RMSE / RMSE of the pipeline) and of NLL - NLL of
the pipeline, half and half; below 0 a candidate is better. One JSON line follows, which `--write`
keeps.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from keeping import circumstances, publish
from pyarrow import parquet
from uci_regression import MEASURES, Row, fit, processes

# Splits that count; the larger a set, the less its inner parts differ.
SPLITS = {"kin8nm": 1, "concrete": 5, "energy": 3, "boston": 8}
REFERENCE = "the pipeline"
_ALL_ROWS = {"splits.validation": 5, "splits.stop": 5, "ensemble.combine.temperature": False}
_FLOOR = "training.loss.variance_floor"

# What differs from the pipeline in one way.
CANDIDATES: dict[str, dict[str, Any]] = {
    REFERENCE: {},
    "floor 0.01": {_FLOOR: 0.01},
    "floor 0.05": {_FLOOR: 0.05},
    "beta 1": {"training.loss.beta": 1.0},
    "decay 0.1": {"training.optimizer.weight_decay": 0.1},
    "input noise 0.03": {"augment": [{"name": "feature_noise", "deviation": 0.03}]},
    "validation 0.06": {"splits.validation": 0.06},
    "all rows": _ALL_ROWS,
    "out of fold": {
        "splits.validation": 3,
        "ensemble.strategy": "cross_validation",
        "ensemble.combine.evidence": "out_of_fold",
    },
}


def inner_table(folder: Path, name: str, split: int, inside: Path) -> None:
    """Write a set's training rows of a split; the column `test_<split>` marks a tenth of them."""
    table = parquet.read_table(folder / f"{name}.parquet")
    train = table.filter(pc.invert(table[f"test_{split}"]))
    marks = np.zeros(train.num_rows, bool)
    random = np.random.default_rng([7, split])
    marks[random.permutation(train.num_rows)[: round(0.1 * train.num_rows)]] = True
    features = train.select([n for n in train.column_names if not n.startswith("test_")])
    inside.mkdir(parents=True, exist_ok=True)
    inner = features.append_column(f"test_{split}", pa.array(marks))
    parquet.write_table(inner, inside / f"{name}.parquet")


def compare(
    folder: Path, candidates: Sequence[str], splits: dict[str, int], inner: Path
) -> list[Row]:
    """Return a row for each candidate, set and split."""
    with processes() as pool:
        jobs = {}
        for name, count in splits.items():
            for split in range(count):
                inside = inner / str(split)
                inner_table(folder, name, split, inside)
                for candidate in candidates:
                    settings = CANDIDATES[candidate]
                    jobs[candidate, name, split] = pool.submit(fit, inside, name, split, settings)
        rows = []
        for (candidate, *_), job in jobs.items():
            rows.append({"candidate": candidate, **job.result()})
            print(rows[-1], file=sys.stderr)
    return rows


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return each candidate's mean measures by set, and its score, the best first.

    A candidate is scored on the sets that the pipeline was fitted to as well.
    """
    found: list[Row] = []
    for candidate in dict.fromkeys(row["candidate"] for row in rows):
        line: Row = {"candidate": candidate, "settings": CANDIDATES[candidate]}
        for name in SPLITS:
            own = [row for row in rows if (row["candidate"], row["set"]) == (candidate, name)]
            if own:
                line[name] = {m: float(np.mean([row[m] for row in own])) for m in MEASURES}
        found.append(line)
    reference = next(line for line in found if line["candidate"] == REFERENCE)
    for line in found:
        sets = [name for name in SPLITS if name in line and name in reference]
        ratios = [np.log(line[name]["rmse"] / reference[name]["rmse"]) for name in sets]
        gaps = [line[name]["nll"] - reference[name]["nll"] for name in sets]
        line["score"] = float((np.mean(ratios) + np.mean(gaps)) / 2)
    return sorted(found, key=lambda line: line["score"])


def table(lines: Sequence[Row]) -> str:
    """Return a summary as a Markdown table."""
    sets = [name for name in SPLITS if any(name in line for line in lines)]
    text = ["| candidate | " + " | ".join(sets) + " | score |", "|" + "---|" * (len(sets) + 2)]
    for line in lines:
        both = ((line[name]["rmse"], line[name]["nll"]) if name in line else None for name in sets)
        cells = (f"{found[0]:.3f} / {found[1]:.3f}" if found else "" for found in both)
        text.append(f"| {line['candidate']} | " + " | ".join(cells) + f" | {line['score']:.4f} |")
    return "\n".join(text)


def main() -> None:
    """Compare; print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the sets")
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--sets", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--splits", type=int, help="at most so many of each set")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    most = arguments.splits or max(SPLITS.values())
    splits = {name: min(SPLITS[name], most) for name in arguments.sets}
    with tempfile.TemporaryDirectory() as inner:
        candidates = list(dict.fromkeys([REFERENCE, *arguments.candidates]))
        rows = compare(arguments.folder, candidates, splits, Path(inner))
    lines = summary(rows)
    print(table(lines), file=sys.stderr)
    result = {
        **circumstances("python benchmarks/uci_tuning.py --folder uci_regression"),
        "splits": splits,
        "summary": lines,
    }
    publish("uci_tuning", result, arguments.write)


if __name__ == "__main__":
    main()
