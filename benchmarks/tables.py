"""Ensembles as they come on eight tables, beside the defaults of their peers.

    python benchmarks/tables.py --folder /path/to/data --work /path/to/results

`--folder` holds `tables`, `adult` and `letter`. Every contestant is given the same training rows
and judged on the same test rows: the untouched default and the preset `best` of this package, over
five seeds; LightGBM, CatBoost, XGBoost, scikit-learn's histogram boosting and its MLP, with their
own defaults, once. Each fit is a process of its own, whose CPU seconds are counted; its predictions
are kept in `--work`, so that a benchmark that was stopped goes on where it was. Before the first
fit kernels are compiled. `--peers realmlp tabm` are networks of pytabkit, which train for minutes
to an hour: give them, and all others beside them, `--rows 16000` and a `--work` of their own.

"Wins" is a better mean over the seeds. "Level" is a 95% paired bootstrap interval of the difference
over the test rows, the seeds' mean loss for each row, that holds 0. Prints a Markdown table for
each table and one JSON line, which `--write` keeps. Needs the peers: pip install lightgbm catboost
xgboost.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from keeping import circumstances, publish
from tables_contestants import BOOSTING_AND_MLP, OURS, PEERS
from tables_data import TABLES, files_of

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.metrics.regression import regression_metrics

SEEDS = 5
RESAMPLES = 2000
SHOWN = {
    "classification": ("nll", "accuracy", "ece", "auroc"),
    "regression": ("nll", "rmse", "coverage_90"),
}
Found = dict[str, Any]


def predictions(
    name: str, contestant: str, seed: int, folder: Path, work: Path, most_rows: int | None = None
) -> dict[str, Array]:
    """Return what a contestant predicts, from the file that it left or by a new fit."""
    output = work / f"{name}-{contestant}-{seed}.npz"
    if not output.exists():
        if contestant in OURS:
            compile_kernels(contestant, folder, work)
        fit(name, contestant, seed, files_of(folder, name, work, most_rows), output)
    with np.load(output) as file:
        return dict(file)


def fit(name: str, contestant: str, seed: int, files: tuple[Path, Path], output: Path) -> None:
    """Fit a contestant to a table in a process of its own, which leaves its predictions.

    Args:
        name: of the table.
        contestant, seed: as in `predictions`.
        files: of the training and test rows.
        output: of the predictions.
    """
    train, test = files
    beside = output.with_name(f"unfinished-{output.name}")
    script = str(Path(__file__).parent / "tables_contestants.py")
    arguments = [contestant, name, str(seed), str(train), str(test), str(beside)]
    print(f"{name}: {contestant}, seed {seed}", file=sys.stderr)
    subprocess.run([sys.executable, script, *arguments], check=True)
    beside.replace(output)


@cache
def compile_kernels(contestant: str, folder: Path, work: Path) -> None:
    """Fit a contestant of ours to tables of each task and size, so that kernels are there."""
    for name in ("titanic", "house", "telescope"):
        files = files_of(folder, name, work)
        fit(name, contestant, 0, files, work / f"compiled-{name}-{contestant}.npz")


def measures(found: dict[str, Array], task: str) -> dict[str, float]:
    """Return the metrics of predictions, and the seconds of the fit."""
    if task == "classification":
        probabilities = found["probabilities"].astype(np.float64)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        own = classification_metrics(np.clip(probabilities, 1e-15, 1), found["truth"])
    else:
        own = regression_metrics(found["mean"], found["std"], found["truth"])
    cpu, wall = found["seconds"].tolist()
    return {**own, "cpu_seconds": cpu, "seconds": wall}


def row_losses(found: dict[str, Array], task: str) -> dict[str, Floats]:
    """Return the losses (R,) of the test rows, by metric; the mean of `squared` is RMSE squared."""
    if task == "classification":
        own = found["probabilities"][np.arange(len(found["truth"])), found["truth"]]
        wrong = found["probabilities"].argmax(axis=1) != found["truth"]
        return {"nll": -np.log(np.clip(own, 1e-15, 1)), "error": wrong.astype(np.float64)}
    error, variance = found["truth"] - found["mean"], found["std"] ** 2
    nll = 0.5 * np.log(2 * np.pi * variance) + error**2 / (2 * variance)
    return {"nll": nll, "squared": error**2}


def interval(ours: Floats, theirs: Floats) -> tuple[float, float, float]:
    """Return the mean of ours - theirs (R,), and its 95% paired bootstrap interval."""
    apart = ours - theirs
    random = np.random.default_rng(0)
    means = [
        float(apart[random.integers(len(apart), size=len(apart))].mean()) for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return float(apart.mean()), low, high


def seeds_of(name: str, contestant: str, arguments: argparse.Namespace) -> list[int]:
    """Return the seeds that count: all that are asked for, or those that were fitted."""
    wanted = range(1, arguments.seeds + 1 if contestant in OURS else 2)
    if not arguments.fitted:
        return list(wanted)
    return [s for s in wanted if (arguments.work / f"{name}-{contestant}-{s}.npz").exists()]


def compare_table(name: str, arguments: argparse.Namespace) -> Found:
    """Return the measures of every contestant on one table, and ours against each peer."""
    task, ours, peers = TABLES[name].task, arguments.ours, arguments.peers
    lines: Found = {}
    losses: dict[str, dict[str, Floats]] = {}
    for contestant in (*ours, *peers):
        seeds = seeds_of(name, contestant, arguments)
        places = arguments.folder, arguments.work, arguments.rows
        found = [predictions(name, contestant, seed, *places) for seed in seeds]
        if not found:
            continue
        each = [measures(one, task) for one in found]
        lines[contestant] = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
        lines[contestant]["seeds"] = len(seeds)
        if contestant in OURS:
            lines[contestant] |= _of_members(found)
            lines[contestant]["by_seed"] = [{key: one[key] for key in SHOWN[task]} for one in each]
        own = [row_losses(one, task) for one in found]
        losses[contestant] = {key: np.mean([one[key] for one in own], axis=0) for key in own[0]}
    against = {
        our: {
            peer: {key: interval(losses[our][key], losses[peer][key]) for key in losses[our]}
            for peer in peers
            if peer in losses
        }
        for our in ours
        if our in losses
    }
    return {"contestants": lines, "against": against}


def _of_members(found: Sequence[dict[str, Array]]) -> dict[str, float]:
    """Return the mean measures of the best member, and of the baselines, of runs of ours."""
    runs = [dict(zip(one["names"].tolist(), one["values"].tolist(), strict=True)) for one in found]
    wanted = [name for name in runs[0] if name.split("/")[0] != "test"
              and name.split("/")[-1] in ("nll", "ece", "rmse", "accuracy")]  # fmt: skip
    return {name: float(np.mean([run[name] for run in runs])) for name in wanted}


def table(name: str, found: Found) -> str:
    """Return the measures of one table as Markdown."""
    shown = (*SHOWN[TABLES[name].task], "cpu_seconds", "seconds", "seeds")
    lines = [f"\n**{name}**\n", f"| | {' | '.join(shown)} |", "|" + "---|" * (len(shown) + 1)]
    for contestant, values in found["contestants"].items():
        cells = (f"{values[key]:,.0f}" if abs(values[key]) >= 1000 else f"{values[key]:.4f}"
                 for key in shown)  # fmt: skip
        lines.append(f"| {contestant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def overview(results: dict[str, Found]) -> str:
    """Return NLL, accuracy or RMSE, and CPU seconds of all tables as Markdown, the best in bold."""
    names = list(dict.fromkeys(name for one in results.values() for name in one["contestants"]))
    head = [f"| | {' | '.join(names)} |", "|" + "---|" * (len(names) + 1)]
    return "\n".join(
        head
        + [
            _overview_line(name, measure, result["contestants"], names)
            for measure in ("nll", "", "cpu_seconds")
            for name, result in results.items()
        ]
    )


def _overview_line(table: str, measure: str, values: Found, names: Sequence[str]) -> str:
    measure = measure or ("rmse" if TABLES[table].task == "regression" else "accuracy")
    own = {name: values[name][measure] for name in names if name in values}
    best = (max if measure == "accuracy" else min)(own.values())
    cells = [_cell(own[name], own[name] == best) if name in own else "" for name in names]
    return f"| {table}, {measure.replace('cpu_seconds', 'CPU s')} | {' | '.join(cells)} |"


def _cell(value: float, best: bool) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"**{text}**" if best else text


def standings(results: dict[str, Found], ours: str, peers: Sequence[str]) -> dict[str, Any]:
    """Return on which tables a contestant of ours wins, is level, or loses against the best peer.

    Of every metric with a loss for each row; the best peer is that of the lowest mean loss.
    """
    found: dict[str, Any] = {}
    for name, result in results.items():
        against = result["against"].get(ours, {})
        for key in next(iter(against.values()), {}):
            apart = {peer: against[peer][key] for peer in peers if peer in against}
            rival = max(apart, key=lambda peer: apart[peer][0])
            mean, low, high = apart[rival]
            verdict = "wins" if mean < 0 else "level" if low <= 0 <= high else "loses"
            found[f"{name}/{key}"] = {"rival": rival, "verdict": verdict, "apart": mean,
                                      "interval": [low, high]}  # fmt: skip
    return found


def versus(results: dict[str, Found], ours: Sequence[str], peers: Sequence[str]) -> str:
    """Return on how many tables ours are better, level and worse than each peer, as Markdown.

    Level is an interval of the difference that holds 0; in brackets on how many tables of all the
    mean is better.
    """
    head = [f"{our}, {words}" for our in ours for words in ("NLL", "accuracy or RMSE")]
    lines = [f"| | tables | {' | '.join(head)} |", "|" + "---|" * (len(head) + 2)]
    for peer in peers:
        apart = [
            [one["against"][our][peer] for one in results.values()
             if peer in one["against"].get(our, {})]
            for our in ours
        ]  # fmt: skip
        if not any(apart):
            continue
        cells = [_count([own[key] for own in all_ for key in keys if key in own])
                 for all_ in apart for keys in (("nll",), ("error", "squared"))]  # fmt: skip
        lines.append(f"| {peer} | {len(max(apart, key=len))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _count(intervals: Sequence[Sequence[float]]) -> str:
    better = sum(high < 0 for _, _, high in intervals)
    worse = sum(low > 0 for _, low, _ in intervals)
    means = sum(mean < 0 for mean, _, _ in intervals)
    return f"{better} / {len(intervals) - better - worse} / {worse} ({means})"


def main() -> None:
    """Run what is not there yet; print tables and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the data")
    parser.add_argument("--work", type=Path, required=True, help="where predictions are kept")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--ours", nargs="*", choices=OURS, default=list(OURS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(BOOSTING_AND_MLP))
    parser.add_argument("--rows", type=int, help="train on at most so many rows")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--fitted", action="store_true", help="report what is there, fit nothing")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in arguments.tables:
        results[name] = compare_table(name, arguments)
        print(table(name, results[name]), file=sys.stderr)
    print(overview(results), versus(results, arguments.ours, arguments.peers), sep="\n\n",
          file=sys.stderr)  # fmt: skip
    found = {
        **circumstances("python benchmarks/tables.py --folder data --work results"),
        "seeds": arguments.seeds,
        "most_rows": arguments.rows,
        "tables": results,
        "standings": {
            ours: standings(results, ours, arguments.peers) if arguments.peers else {}
            for ours in arguments.ours
        },
    }
    publish("tables" if arguments.rows is None else "tables_networks", found, arguments.write)


if __name__ == "__main__":
    main()
