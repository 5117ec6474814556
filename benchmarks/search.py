"""Drivers and pruning of searches at an equal budget of epochs, and the ensembles of their trials.

    python benchmarks/search.py --data data --work results --write

`--data` holds `letter`, `fashion-mnist` and `adult`. Two studies, each over five seeds that draw
their own rows:

- drivers, on letter and Fashion-MNIST: a grid, random draws, `tpe` and `gp`, of 81 trials of 9
  epochs; and pruned random searches, of so many trials that they take as many epochs, and of a
  third and a ninth of these. Trials are compared by NLL on held-out rows, the best one then on test
  rows.
- ensembles, on letter and adult: of 27 random trials the best one, the top five, a greedy
  selection, a hyper-deep ensemble; and for comparison a deep ensemble, which is five networks with
  the values of the best trial.

What a search found is kept in `--work`, so that a benchmark that was stopped goes on where it was.
Pictures are left out of the searches, since they would take half of the time. Prints Markdown
tables and one JSON line; `--write` keeps it and draws docs/pictures/search_drivers.png.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from unittest import mock

from keeping import circumstances, publish
from search_data import (
    DRIVER_SPACE,
    ENSEMBLE_SPACE,
    ROWS,
    Settings,
    grid_space,
    settings_of,
    written,
)
from search_pictures import PICTURE, draw_drivers
from search_tables import Found, best_trial, driver_study, ensemble_study, tables

import ensemble_pipe
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.report import drawing
from ensemble_pipe.search import course
from ensemble_pipe.search.trials import Trial

STUDIES = {"drivers": ("letter", "fashion"), "ensembles": ("letter", "adult")}
TRIALS = {"drivers": 81, "ensembles": 27}
SEEDS = 5
TOP = 5

# Of 9 epochs, so many trials take about as many epochs as 81 that are not pruned.
DRIVERS: dict[str, Settings] = {
    "random": {},
    "grid": {"driver": "grid"},
    "tpe": {"driver": "tpe"},
    "gp": {"driver": "gp"},
}
_PRUNED = {"median": 279, "successive_halving": 315, "hyperband": 162}
for _rule, _trials in _PRUNED.items():
    for _size in (_trials // 9, _trials // 3, _trials):
        DRIVERS[f"{_rule} {_size}"] = {"pruning": _rule, "trials": _size}
ENSEMBLES: dict[str, Settings] = {
    "single": {"top": 1},
    "top": {"top": TOP},
    "greedy": {"top": TOP, "ensemble": "greedy"},
    "hyper_deep": {"top": TOP, "ensemble": "hyper_deep"},
    "deep": {},
}
ARMS = {"drivers": DRIVERS, "ensembles": ENSEMBLES}
SPACES = {"drivers": written(DRIVER_SPACE), "ensembles": ENSEMBLE_SPACE}

# Study, data, arm and seed.
Cell = tuple[str, str, str, int]


def cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """Yield study, data, arm and seed of every search, one seed after the other."""
    for seed in range(1, arguments.seeds + 1):
        for study in arguments.studies:
            for name, arm in product(STUDIES[study], ARMS[study]):
                if name in arguments.names and arm in arguments.arms:
                    yield study, name, arm, seed


def settings_for(cell: Cell, arguments: argparse.Namespace) -> Settings:
    """Return the pipeline of one search."""
    study, name, arm, seed = cell
    own = settings_of(name, seed, arguments.data.resolve(), arguments.work.resolve())
    own["training"]["epochs"] = arguments.epochs or own["training"]["epochs"]
    search = {"space": SPACES[study], "trials": TRIALS[study], "top": 1, **ARMS[study][arm]}
    search["trials"] = min(arguments.most_trials or search["trials"], search["trials"])
    if arm == "grid":
        del search["trials"]
        search["space"] = grid_space(seed)
    return {**own, "search": search}


@contextmanager
def without_pictures() -> Iterator[None]:
    """Leave out the pictures of runs and searches."""
    with (
        mock.patch.object(drawing, "svg_of", return_value=""),
        mock.patch.object(course, "search_pictures", return_value={}),
    ):
        yield


def measured(settings: Settings) -> Settings:
    """Return what a search found: its trials in their order, and the ensemble on test rows.

    Without a search it is a run, which has no trials.
    """
    cpu, config = time.process_time(), Pipeline.model_validate(settings)
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder, without_pictures():
        if config.search is None:
            result = ensemble_pipe.run(config, output=folder, inline=True)
        else:
            found = ensemble_pipe.search(config, output=folder, inline=True)
            result, trials = found.run, sorted(found.trials, key=lambda trial: trial.number)
    return {
        "members": result.members,
        **{metric: result.metrics[f"test/{metric}"] for metric in ("nll", "accuracy")},
        "cpu_s": time.process_time() - cpu,
        "trials": [{"epochs": t.epochs, "score": t.score, "values": t.values} for t in trials],
    }


def found_by(cell: Cell, arguments: argparse.Namespace) -> Settings:
    """Return what a search found, from the file that it left or by a new search."""
    study, name, arm, seed = cell
    path = arguments.work / f"{study}-{name}-{arm.replace(' ', '_')}-{seed}.json"
    if not path.exists():
        settings = settings_for(cell, arguments)
        if arm == "deep":
            del settings["search"]
            single = found_by((study, name, "single", seed), arguments)
            group = {
                "strategy": "independent",
                "learners": TOP,
                "set": best_trial(single)["values"],
            }
            settings["ensemble"] = {"pool": [group]}
        print(*cell, time.strftime("%H:%M:%S"), file=sys.stderr, flush=True)
        beside = path.with_name(f"unfinished-{path.name}")
        beside.write_text(json.dumps(measured(settings)))
        beside.replace(path)
    found: Settings = json.loads(path.read_text())
    return found


def main() -> None:
    """Search what is not there yet; print tables and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of all data")
    parser.add_argument("--work", type=Path, required=True, help="where what is found is kept")
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--names", nargs="+", choices=ROWS, default=list(ROWS), help="of the data")
    parser.add_argument("--arms", nargs="+", default=[*DRIVERS, *ENSEMBLES], help="of the studies")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--epochs", type=int, help="of each trial, instead of 9")
    parser.add_argument("--most-trials", type=int, help="of each search, for a small form")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, dict[str, list[Found]]]] = {}
    for cell in cells(arguments):
        study, name, arm, _ = cell
        arms = found.setdefault(study, {}).setdefault(name, {})
        arms.setdefault(arm, []).append(found_by(cell, arguments))
    result = {
        **circumstances("python benchmarks/search.py --data data --work results --write"),
        "seeds": arguments.seeds,
        **{study: _summary(study, data) for study, data in found.items()},
    }
    for title, table in tables(result).items():
        print(title, table, sep="\n\n", end="\n\n", file=sys.stderr)
    publish("search", result, arguments.write)
    if arguments.write:
        draw_drivers(result["drivers"]).savefig(PICTURE, dpi=120)


def _summary(study: str, data: dict[str, dict[str, list[Found]]]) -> dict[str, Found]:
    if study == "drivers":
        return {name: driver_study(arms, DRIVER_SPACE) for name, arms in data.items()}
    return {name: ensemble_study(arms) for name, arms in data.items()}


if __name__ == "__main__":
    main()
