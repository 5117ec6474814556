"""Members that share weights beside independent networks, snapshots and MC-dropout at equal cost.

    python benchmarks/shared_strategies.py --folder /path/to/data --work /path/to/results

On adult and housing (a network `tabm` of 128-128), and on 15,000 images of Fashion-MNIST (an MLP
784-256-128-10), each with dropout, every strategy trains the same network for as many epochs as
take about the same CPU seconds, by the same rule; all but snapshots keep their best epoch by the
held-out rows. None was tuned. The seed decides the split, the learners and their draws. Then
`ensemble-pipe compare` puts the runs side by side, paired by seed, with members that share first.

Beside it stands how well the ensemble's uncertainties tell the test rows from others: images of
notMNIST, or the test rows of the table with each column permuted on its own, which keeps every
value and breaks what belongs together. Prints Markdown tables and one JSON line, which `--write`
keeps. Runs are kept in `--work`, so that a benchmark that was stopped goes on. CPU seconds are the
median over the seeds: the first run of a process loads what others find there.
"""

import argparse
import gzip
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keeping import circumstances, publish
from strategies import interval
from tables_data import TABLES, files_of

from ensemble_pipe import load, run
from ensemble_pipe.comparison.compare import compare, over_seeds
from ensemble_pipe.comparison.runs import read_run
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.ranking import auroc, counts_of, places_of
from ensemble_pipe.evaluation.detection import scores_of_rows
from ensemble_pipe.serving.files import open_for

ROWS, IMAGES = 16_000, 15_000  # that are trained on, at most
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
Settings = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """What the strategies are compared on.

    Attributes:
        network: of every strategy.
        training: of every strategy.
        sizes: members and epochs of each strategy: of the learner whose members share weights, of
            that many independent learners, of one learner with that many cycles, and of one that
            is asked that many times.
        scores: the uncertainty that members' disagreement makes, and the whole.
        measures: metrics of the test part that are shown.
    """

    network: Settings
    training: Settings
    sizes: dict[str, tuple[int, int]]
    scores: tuple[str, str]
    measures: tuple[str, ...]


STRATEGIES: dict[str, Callable[[int], Settings]] = {
    "shared": lambda members: {"strategy": "shared", "learners": 1, "members": members},
    "independent": lambda members: {"learners": members},
    "snapshot": lambda _: {"strategy": "snapshot", "learners": 1},
    "MC-dropout": lambda members: {"strategy": "mc_dropout", "learners": 1, "passes": members},
}
_TABM = {
    "name": "tabm",
    "hidden": [128, 128],
    "embedding": {"name": "piecewise_linear", "dimension": 8},
}
_OF_CLASSES = ("mutual_information", "max_probability")
_OF_NUMBERS = ("epistemic", "std")
_CLASS_MEASURES = ("nll", "accuracy", "ece", "member_mean/nll", "diversity/error_correlation",
                   "diversity/disagreement")  # fmt: skip
_NUMBER_MEASURES = ("nll", "rmse", "coverage_90", "member_mean/nll",
                    "diversity/residual_correlation")  # fmt: skip
PROBLEMS = {
    "adult": Problem(
        _TABM,
        {"batch_size": 128},
        {"shared": (8, 16), "independent": (10, 10), "snapshot": (10, 110), "MC-dropout": (20, 75)},
        _OF_CLASSES,
        _CLASS_MEASURES,
    ),
    "housing": Problem(
        _TABM,
        {"batch_size": 128, "loss": {"name": "beta_nll"}},
        {
            "shared": (8, 32),
            "independent": (10, 23),
            "snapshot": (10, 200),
            "MC-dropout": (20, 190),
        },
        _OF_NUMBERS,
        _NUMBER_MEASURES,
    ),
    "fashion_mnist": Problem(
        {"name": "mlp", "hidden": [256, 128], "dropout": 0.2},
        {"batch_size": 128, "optimizer": {"name": "adam", "learning_rate": 0.001}},
        {"shared": (5, 7), "independent": (5, 7), "snapshot": (5, 40), "MC-dropout": (20, 30)},
        _OF_CLASSES,
        _CLASS_MEASURES,
    ),
}


def pipeline_of(problem: str, strategy: str, seed: int, data: Settings) -> Pipeline:
    """Return the pipeline of a strategy.

    Args:
        problem, strategy: by their names.
        seed: of the run.
        data: where the rows are.
    """
    own = PROBLEMS[problem]
    members, epochs = own.sizes[strategy]
    how: Settings = {"schedule": {"name": "cosine"}, "early_stopping": {"patience": epochs}}
    if strategy == "snapshot":
        how = {"schedule": {"name": "snapshot", "cycles": members}}
    return Pipeline.model_validate(
        {
            "task": "classification" if problem not in TABLES else TABLES[problem].task,
            "seed": seed,
            "data": data,
            "splits": {"validation": 0.1, "stop": "validation"},
            "network": own.network,
            "training": {**own.training, "epochs": epochs, **how},
            "ensemble": STRATEGIES[strategy](members),
            "tracking": {"mlflow": False},
        }
    )


@dataclass(frozen=True)
class Files:
    """Where the rows of a problem are.

    Attributes:
        data: the section of the pipeline.
        test: the test rows, like those that are trained on.
        other: rows of another kind.
    """

    data: Settings
    test: Path
    other: Path


def files_for(problem: str, folder: Path, work: Path) -> Files:
    """Return the files of a problem; those that are not in the folder of the data are written."""
    if problem not in TABLES:
        images = first_images(folder / "fashion-mnist", work / f"fashion-mnist-{IMAGES}", IMAGES)
        own: Settings = {"source": "idx", "folder": str(images)}
        return Files(own, images / TEST_IMAGES, folder / "notmnist" / TEST_IMAGES)
    table, (train, test) = TABLES[problem], files_of(folder, problem, work, ROWS)
    own = {"source": "table", "path": str(train), "test_path": str(test), "label": table.label}
    own |= {"missing_values": list(table.missing)} if table.missing else {}
    return Files(own, test, permuted(test, work / f"{problem}-permuted.csv"))


def first_images(found: Path, folder: Path, rows: int) -> Path:
    """Return a folder with the first training images of another, and all its test images."""
    if not folder.exists():
        beside = folder.with_name(f"unfinished-{folder.name}")
        beside.mkdir(exist_ok=True)
        for name in ("t10k-images-idx3", "t10k-labels-idx1"):
            shutil.copyfile(found / f"{name}-ubyte.gz", beside / f"{name}-ubyte.gz")
        for name, head, row in (("train-images-idx3", 16, 784), ("train-labels-idx1", 8, 1)):
            content = bytearray(gzip.decompress((found / f"{name}-ubyte.gz").read_bytes()))
            rows = min(rows, (len(content) - head) // row)
            content[4:8] = rows.to_bytes(4, "big")
            kept = bytes(content[: head + rows * row])
            (beside / f"{name}-ubyte.gz").write_bytes(gzip.compress(kept))
        beside.rename(folder)
    return folder


def permuted(path: Path, output: Path) -> Path:
    """Return a file of the rows of a table with each column permuted on its own."""
    import pandas as pd

    if not output.exists():
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        random = np.random.default_rng(0)
        for name in rows.columns:
            rows[name] = rows[name].to_numpy()[random.permutation(len(rows))]
        rows.to_csv(output, index=False)
    return output


def trained(problem: str, strategy: str, seed: int, folder: Path, work: Path) -> Settings:
    """Return the directory of a run, its CPU seconds and its AUROCs, from its file or by a run."""
    output = work / f"{problem}-{strategy}-{seed}.json"
    if not output.exists():
        files = files_for(problem, folder, work)
        print(problem, strategy, seed, time.strftime("%H:%M:%S"), file=sys.stderr, flush=True)
        config = pipeline_of(problem, strategy, seed, files.data)
        began = time.process_time()
        result = run(config, output=work / "runs", inline=True)
        seconds = time.process_time() - began
        areas = detection(Path(result.run_dir), files, PROBLEMS[problem].scores)
        found = {"run_dir": str(Path(result.run_dir).resolve()), "cpu_s": seconds, "ood": areas}
        output.write_text(json.dumps(found))
    kept: Settings = json.loads(output.read_text())
    return kept


def detection(run_dir: Path, files: Files, scores: tuple[str, ...]) -> dict[str, float]:
    """Return the AUROC with which scores tell rows of another kind from the test rows."""
    model = load(run_dir)
    inside, outside = (
        scores_of_rows(model, open_for(model, str(path))).ensemble
        for path in (files.test, files.other)
    )
    return {
        name: float(auroc(counts_of(*places_of(inside[name], outside[name])))[0]) for name in scores
    }


def measure(problem: str, strategies: list[str], arguments: argparse.Namespace) -> list[Settings]:
    """Return a line for each strategy; differences are to the first, paired by seed."""
    seeds = range(1, arguments.seeds + 1)
    places = arguments.folder, arguments.work
    runs = {
        strategy: [trained(problem, strategy, seed, *places) for seed in seeds]
        for strategy in strategies
    }
    roots = [Path(one["run_dir"]) for own in runs.values() for one in own]
    comparison = compare([read_run(root) for root in roots]).to_dict()
    areas = {
        strategy: {
            f"ood/{name}": np.array([one["ood"][name] for one in own])
            for name in PROBLEMS[problem].scores
        }
        for strategy, own in runs.items()
    }
    lines = []
    for strategy, group in zip(strategies, comparison["groups"], strict=True):
        less = comparison["differences"].get(f"{group['label']} - A", {})
        wanted = PROBLEMS[problem].measures
        own, first = areas[strategy], areas[strategies[0]]
        lines.append(
            {
                "strategy": strategy,
                "members": group["runs"][0]["members"],
                "cost": group["cost"],
                "cpu_s": float(np.median([one["cpu_s"] for one in runs[strategy]])),
                "metrics": {name: group["metrics"].get(name) for name in wanted}
                | {name: asdict(over_seeds(values)) for name, values in own.items()},
                "less_shared": {}
                if strategy == strategies[0]
                else {name: less[name] for name in wanted if name in less}
                | {name: asdict(over_seeds(own[name] - first[name])) for name in own},
            }
        )
    return lines


def table(problem: str, lines: list[Settings]) -> str:
    """Return the strategies on a problem as Markdown: a line for each measure."""
    names = list(lines[0]["metrics"])
    head = [f"{line['strategy']}, {line['members']} members" for line in lines]
    found = [f"| {problem} | {' | '.join(head)} |", "|" + "---|" * (len(lines) + 1)]
    for name in names:
        cells = [_cell(line["metrics"][name], line["less_shared"].get(name)) for line in lines]
        found.append(f"| {name} | {' | '.join(cells)} |")
    epochs = (f"{line['cost']['learner_epochs']:.0f}" for line in lines)
    seconds = (f"{line['cpu_s']:.1f}" for line in lines)
    found += [f"| epochs | {' | '.join(epochs)} |", f"| CPU s | {' | '.join(seconds)} |"]
    return "\n".join(found)


def _cell(one: Settings | None, less: Settings | None) -> str:
    if one is None:
        return ""
    if abs(one["mean"]) >= 1000:
        apart = (
            "" if less is None else "; {mean:+,.0f} ({low:+,.0f} to {high:+,.0f})".format(**less)
        )
        return f"{one['mean']:,.0f} ± {one['standard_error']:,.0f}{apart}"
    apart = "" if less is None else f"; {interval(less)}"
    return f"{one['mean']:.4f} ± {one['standard_error']:.4f}{apart}"


def main() -> None:
    """Train what is not there yet, and compare; print tables and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the data")
    parser.add_argument("--work", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.folder, arguments.work = arguments.folder.resolve(), arguments.work.resolve()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = {}
    for problem in arguments.problems:
        results[problem] = measure(problem, list(STRATEGIES), arguments)
        print(table(problem, results[problem]), "", sep="\n", file=sys.stderr)
    command = "python benchmarks/shared_strategies.py --folder data --work results"
    found = {**circumstances(command), "seeds": arguments.seeds, "problems": results}
    publish("shared_strategies", found, arguments.write)


if __name__ == "__main__":
    main()
