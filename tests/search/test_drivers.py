"""Drivers: the next trials are a function of the seed and of the trials that have ended."""

import random
from math import log
from typing import Any

import optuna
import pytest

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.search.drivers import FIRST_TRIALS, Driver, driver_of
from ensemble_pipe.search.planning import TRIALS
from ensemble_pipe.search.trials import Trial

SPACE: dict[str, Any] = {
    "training.optimizer.learning_rate": {"log_uniform": [1e-5, 1.0]},
    "network.hidden": [[4], [8], [16]],
    "training.epochs": {"integer": [1, 9]},
    "training.optimizer.name": ["adam", "sgd"],
    "training.optimizer.momentum": {
        "uniform": [0, 0.9], "when": {"training.optimizer.name": "sgd"}
    },
}  # fmt: skip


def driver(**search: Any) -> Driver:
    return driver_of(Pipeline.model_validate({"search": {"space": SPACE, **search}}))


def score(values: Any) -> float:
    """Return the score of a trial: best at a rate of 0.01, 16 units and many epochs."""
    far = abs(log(values["training.optimizer.learning_rate"] / 0.01))
    units: int = values["network.hidden"][0]
    return far + abs(units - 16) / 4 - int(values["training.epochs"]) / 9


def search_with(driver: Driver) -> list[Trial]:
    ended: list[Trial] = []
    while len(ended) < driver.total:
        asked = driver.ask(ended)
        assert len(asked) == driver.size(len(ended))
        ended += [
            Trial(len(ended) + n, values, "finished", score(values))
            for n, values in enumerate(asked)
        ]
    return ended


def test_random_trials_come_all_at_once_and_more_leave_the_first_as_they_are() -> None:
    few, many = driver(trials=4), driver(trials=9)
    assert many.ask([])[:4] == few.ask([])
    assert driver().total == TRIALS


def test_tpe_begins_with_the_trials_of_a_random_search() -> None:
    assert driver(driver="tpe").ask([]) == driver(trials=FIRST_TRIALS).ask([])


def test_tpe_asks_by_what_has_ended_alone() -> None:
    ended = search_with(driver(driver="tpe", trials=18, batch=4))
    again = driver(driver="tpe", trials=30, batch=4)
    random.seed(7)  # a generator of the process changes nothing
    assert again.ask(ended[:14]) == [trial.values for trial in ended[14:18]]


def test_tpe_finds_better_trials_than_random_draws() -> None:
    best = []
    for name in ("tpe", "random"):
        configs = (
            Pipeline.model_validate(
                {"seed": seed, "search": {"space": SPACE, "driver": name, "trials": 48}}
            )
            for seed in range(5)
        )
        found = [search_with(driver_of(config)) for config in configs]
        best.append(sum(min(t.score or 0.0 for t in trials) for trials in found) / 5)
    assert best[0] < best[1] - 0.2


def test_trials_of_a_batch_differ() -> None:
    ended = search_with(driver(driver="tpe", trials=10))
    rates = [
        values["training.optimizer.learning_rate"]
        for values in driver(driver="tpe", trials=18).ask(ended)
    ]
    assert len(set(rates)) == 8


@pytest.mark.parametrize("ending", ["pruned", "failed"])
def test_tpe_keeps_away_from_trials_that_were_pruned_or_failed(ending: Any) -> None:
    ended = [
        Trial(n, {**values, "network.hidden": [4]}, ending, None, 1, {1: 9.0})
        if n % 2 else Trial(n, {**values, "network.hidden": [16]}, "finished", 1.0 + n / 100)
        for n, values in enumerate(driver(trials=40).ask([]))
    ]  # fmt: skip
    asked = driver(driver="tpe", trials=80, batch=40).ask(ended)
    units = [values["network.hidden"][0] for values in asked]
    assert units.count(16) > 2 * units.count(4)


def test_optuna_logs_as_before_a_batch() -> None:
    before = optuna.logging.get_verbosity()
    driver(driver="tpe").ask(search_with(driver(trials=10)))
    assert optuna.logging.get_verbosity() == before


FIRST = [
    {
        "training.optimizer.learning_rate": 0.01,
        "network.hidden": [8],
        "training.epochs": 3,
        "training.optimizer.name": "adam",
    }
]


@pytest.mark.parametrize("name", ["random", "tpe", "gp"])
def test_trials_that_come_first_are_the_first_of_all(name: str) -> None:
    own = driver(driver=name, trials=14, first=FIRST)
    assert own.total == 14
    drawn = driver(trials=14).ask([])
    begun = own.ask([])
    assert begun[:10] == [*FIRST, *drawn[1:10]]
    if name != "random":
        assert len(begun) == own.size(0) == FIRST_TRIALS


def test_a_grid_has_a_first_trial_once() -> None:
    space = {"network.hidden": [[4], [8]], "training.epochs": [1, 2]}
    first = [{"network.hidden": [8], "training.epochs": 1}]
    grid = driver(space=space, driver="grid", first=first).ask([])
    assert grid[0] == first[0]
    assert len(grid) == 4
