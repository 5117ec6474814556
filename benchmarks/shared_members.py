"""What members that share weights are worth, ingredient by ingredient, on inner parts of tables.

    python benchmarks/shared_members.py --folder /path/to/data --work /path/to/results

Of each table at most 10,000 training rows are taken, and a fifth of these, drawn by the seed, is
the test part here; the tables' own test files are never read. The base is one learner of 16 members
that share all but vectors of their own, a network `tabm` of 128-128 behind piecewise linear
embeddings of 8 numbers, trained for at most 40 epochs; every other case changes one thing of it.
Independent networks are eight, which take fewer CPU seconds, and sixteen. Prints a Markdown table
for each table, in which differences in NLL have 95% paired bootstrap intervals over the rows and
are above 0 where the base is better, and one JSON line, which `--write` keeps. Predictions are kept
in `--work`, so that a benchmark that was stopped goes on; CPU seconds are those of the whole run,
in a process that compiled its kernels before.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from keeping import circumstances, publish
from tables import interval, measures, row_losses
from tables_contestants import fit_ours
from tables_data import TABLES, Table, files_of

from ensemble_pipe.core.arrays import Array

BASE = "full, 16 members"
MEMBERS = (1, 2, 4, 8, 32)
INDEPENDENT = (8, 16)
ROWS = 10_000  # that are taken of the training file, at most
PIECEWISE = {"name": "piecewise_linear", "dimension": 8}
TRAINING = {"epochs": 40, "batch_size": 128, "early_stopping": {"patience": 10}}
Settings = dict[str, Any]


def case(
    form: str = "full",
    members: int = 16,
    embedding: Settings | None = PIECEWISE,
    scale: str = "quantile",
) -> Settings:
    """Return the settings of one learner of members that share weights."""
    return {
        "network": {"name": "tabm", "hidden": [128, 128], "embedding": embedding},
        "ensemble": {"strategy": "shared", "learners": 1, "members": members, "form": form},
        "scale": {"name": scale},
        "training": TRAINING,
    }


GROUPS: dict[str, dict[str, Settings]] = {
    "form": {
        BASE: case(),
        "mini, 16 members": case("mini"),
        "packed, 16 members": case("packed"),
        "full, 4 learners of 4 members": {
            **case(),
            "ensemble": {"strategy": "shared", "learners": 4, "members": 4},
        },
        **{
            f"independent, {k} networks": {**case(), "ensemble": {"learners": k}}
            for k in INDEPENDENT
        },
    },
    "members": {f"full, {k} member{'s' * (k > 1)}": case(members=k) for k in MEMBERS},
    "embedding": {
        "no embedding": case(embedding=None),
        "periodic": case(embedding={"name": "periodic", "dimension": 8}),
        "pbld": case(embedding={"name": "pbld", "dimension": 8}),
    },
    "scale": {f"scale {name}": case(scale=name) for name in ("standardize", "robust_clip")},
}
CASES = {name: settings for group in GROUPS.values() for name, settings in group.items()}
CORRELATIONS = (
    "diversity/test/error_correlation",
    "diversity/test/residual_correlation",
)


def predictions(name: str, case: str, seed: int, folder: Path, work: Path) -> dict[str, Array]:
    """Return what a case predicts for the inner test part, from its file or by a new fit."""
    output = work / f"{name}-{case.replace(', ', '_').replace(' ', '_')}-{seed}.npz"
    if not output.exists():
        compile_kernels(TABLES[name].task, work)
        print(f"{name}: {case}, seed {seed}", file=sys.stderr)
        train, _ = files_of(folder, name, work, ROWS)
        beside = work / f"unfinished-{output.name}"
        np.savez(beside, **fit_ours(settings_of(case, name), TABLES[name], seed, train, None))
        beside.replace(output)
    with np.load(output) as file:
        return dict(file)


def settings_of(case: str, name: str) -> Settings:
    """Return the settings of a case for a table: numbers have a variance for each row."""
    if TABLES[name].task == "classification":
        return CASES[case]
    return {**CASES[case], "training": {**TRAINING, "loss": {"name": "beta_nll"}}}


@cache
def compile_kernels(task: str, work: Path) -> None:
    """Train cases of each kind on a few rows, so that the seconds of others are of training."""
    rows = np.random.default_rng(0).standard_normal((400, 2))
    labels = rows[:, 0] if task == "regression" else rows[:, 0] > 0
    lines = [f"{a},{b},{label}" for (a, b), label in zip(rows, labels, strict=True)]
    path = work / f"compiled-{task}.csv"
    path.write_text("\n".join(["a,b,label", *lines]))
    for case in (*GROUPS["form"], *GROUPS["embedding"]):
        settings = {**CASES[case], "training": {"epochs": 1, "batch_size": 128}}
        fit_ours(settings, Table("label", task), 1, path, None)


def compare_table(name: str, cases: Sequence[str], arguments: argparse.Namespace) -> Settings:
    """Return the measures of cases on a table, and by how much their losses exceed the base's."""
    task, lines = TABLES[name].task, {}
    places = arguments.seed, arguments.folder, arguments.work
    base = row_losses(predictions(name, BASE, *places), task)
    for case in cases:
        found = predictions(name, case, *places)
        run = dict(zip(found["names"].tolist(), found["values"].tolist(), strict=True))
        own = row_losses(found, task)
        lines[case] = {
            **measures(found, task),
            "members": int(found["members"]),
            "correlation": next((run[key] for key in CORRELATIONS if key in run), None),
            "excess": {key: interval(own[key], base[key]) for key in own},
        }
    return lines


def table(name: str, lines: Settings) -> str:
    """Return the cases on one table as Markdown."""
    score = "rmse" if TABLES[name].task == "regression" else "accuracy"
    head = (name, score, "nll", "less the base's", "correlation of errors", "CPU s")
    found = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for case, line in lines.items():
        excess, low, high = line["excess"]["nll"]
        apart = "" if case == BASE else f"{excess:+.4f} ({low:+.4f}, {high:+.4f})"
        alike = "" if line["correlation"] is None else f"{line['correlation']:.3f}"
        shown = f"{line[score]:,.0f}" if score == "rmse" else f"{line[score]:.4f}"
        cells = (case, shown, f"{line['nll']:.4f}", apart, alike, f"{line['cpu_seconds']:.0f}")
        found.append(f"| {' | '.join(cells)} |")
    return "\n".join(found)


def main() -> None:
    """Run what is not there yet; print the tables and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the data")
    parser.add_argument("--work", type=Path, required=True, help="where predictions are kept")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=["housing", "telescope"])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in arguments.tables:
        results[name] = compare_table(name, arguments.cases, arguments)
        print(table(name, results[name]), "", sep="\n", file=sys.stderr)
    command = "python benchmarks/shared_members.py --folder data --work results"
    found = {**circumstances(command), "seed": arguments.seed, "tables": results}
    publish("shared_members", found, arguments.write)


if __name__ == "__main__":
    main()
