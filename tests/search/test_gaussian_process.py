"""The driver `gp`: a Gaussian process of the trials, and the expected improvement by it."""

from math import cos, pi
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.search.cube import Cube
from ensemble_pipe.search.drivers import FIRST_TRIALS, Driver, driver_of
from ensemble_pipe.search.gaussian_process import expected_improvement, standing
from ensemble_pipe.search.spaces import Parameters, draw, parameters_of, share_of, values_at
from ensemble_pipe.search.trials import Ending, Trial

BRANIN: dict[str, Any] = {
    "network.dropout": {"uniform": [0, 0.9]},
    "view.columns": {"uniform": [0, 1]},
}
RATE, RULE, MOMENTUM = (
    "training.optimizer.learning_rate",
    "training.optimizer.name",
    "training.optimizer.momentum",
)
CONDITIONAL: dict[str, Any] = {
    RATE: {"log_uniform": [1e-4, 1.0]},
    "training.epochs": {"integer": [1, 9]},
    RULE: ["adam", "sgd"],
    MOMENTUM: {"uniform": [0.0, 0.9], "when": {RULE: "sgd"}},
}


def parameters() -> Parameters:
    search = Pipeline.model_validate({"search": {"space": CONDITIONAL}}).search
    assert search is not None
    return parameters_of(search)


PARAMETERS = parameters()


def driver(space: dict[str, Any], seed: int = 1, **search: Any) -> Driver:
    values = {"seed": seed, "search": {"space": space, "driver": "gp", **search}}
    return driver_of(Pipeline.model_validate(values))


def branin(values: Any) -> float:
    """Return Branin's function, less its minimum; the lowest values are at three points."""
    x, y = values["network.dropout"] / 0.9 * 15 - 5, values["view.columns"] * 15
    bowl = (y - 5.1 / (4 * pi**2) * x**2 + 5 / pi * x - 6) ** 2
    return float(bowl + 10 * (1 - 1 / (8 * pi)) * cos(x) + 10 - 0.397887)


def conditional(values: Any) -> float:
    """Return a score that is best with momentum near 0.7, which only one rule has."""
    best = abs(values[MOMENTUM] - 0.7) if values[RULE] == "sgd" else 1.0
    return float(best - values["training.epochs"] / 20)


def search_with(driver: Driver, score: Any) -> list[Trial]:
    ended: list[Trial] = []
    while len(ended) < driver.total:
        asked = driver.ask(ended)
        assert len(asked) == driver.size(len(ended))
        first = len(ended)
        ended += [Trial(first + n, one, "finished", score(one)) for n, one in enumerate(asked)]
    return ended


def lowest(trials: list[Trial]) -> float:
    return min(trial.score for trial in trials if trial.score is not None)


def test_it_begins_with_the_trials_of_a_random_search() -> None:
    assert driver(CONDITIONAL).ask([]) == driver(CONDITIONAL, driver="random", trials=10).ask([])


def test_it_finds_the_minimum_of_a_known_function_where_random_draws_do_not() -> None:
    found = [lowest(search_with(driver(BRANIN, s, trials=34), branin)) for s in range(3)]
    drawn = [
        lowest(search_with(driver(BRANIN, s, driver="random", trials=34), branin)) for s in range(3)
    ]
    assert np.mean(found) < 0.4
    assert np.mean(found) < np.mean(drawn) / 3


def test_it_finds_what_only_some_trials_have() -> None:
    trials = search_with(driver(CONDITIONAL, trials=34), conditional)
    assert all((MOMENTUM in t.values) == (t.values[RULE] == "sgd") for t in trials)
    later = [trial.values[RULE] for trial in trials[18:]]
    assert later.count("sgd") > 12
    assert lowest(trials) < -0.4


def test_it_asks_by_what_has_ended_alone() -> None:
    trials = search_with(driver(CONDITIONAL, trials=18, batch=4), conditional)
    again = driver(CONDITIONAL, trials=30, batch=4)
    np.random.seed(7)  # noqa: NPY002  a generator of the process changes nothing
    assert again.ask(trials[:14]) == [trial.values for trial in trials[14:18]]


def test_trials_of_a_batch_differ_and_none_comes_twice() -> None:
    space = {"network.hidden": [[n] for n in range(1, 31)]}
    trials = search_with(driver(space, trials=28), lambda values: values["network.hidden"][0])
    later = [trial.values["network.hidden"][0] for trial in trials[FIRST_TRIALS:]]
    first = {trial.values["network.hidden"][0] for trial in trials[:FIRST_TRIALS]}
    assert len(set(later)) == len(later)
    assert not first & set(later)


def test_a_space_with_fewer_trials_than_are_asked_for_repeats_them() -> None:
    trials = search_with(driver({"network.hidden": [[4], [8]]}, trials=14), lambda values: 1.0)
    assert len(trials) == 14


def test_trials_stand_by_score_then_pruned_then_failed() -> None:
    def trial(ending: Ending, score: float | None, losses: dict[int, float]) -> Trial:
        return Trial(0, {}, ending, score, max(losses, default=0), losses)

    trials = [
        trial("failed", None, {}),
        trial("pruned", None, {1: 0.1}),
        trial("pruned", None, {3: 0.7}),
        trial("pruned", None, {3: 0.6}),
        trial("finished", 0.9, {9: 0.9}),
        trial("finished", 0.5, {9: 0.5}),
    ]
    assert np.argsort(standing(trials, "nll")).tolist() == [5, 4, 3, 2, 1, 0]
    assert np.argsort(standing(trials, "accuracy")).tolist() == [4, 5, 3, 2, 1, 0]


def test_equal_trials_stand_alike() -> None:
    trials = [Trial(n, {}, "finished", score) for n, score in enumerate([1.0, 1.0, 2.0])]
    found = standing(trials, "nll")
    assert found[0] == found[1] < found[2]


def test_the_expected_improvement_is_that_of_many_draws() -> None:
    random = np.random.default_rng(3)
    points, ahead = random.random((6, 2)), random.random((4, 2))
    process = GaussianProcessRegressor(Matern(0.5, nu=2.5), alpha=0.01, optimizer=None)
    process.fit(points, random.standard_normal(6))
    lowest = process.predict(points).min()
    mean, deviation = process.predict(ahead, return_std=True)
    draws = norm.rvs(mean, deviation, size=(400_000, 4), random_state=1)
    expected = np.maximum(lowest - draws, 0).mean(axis=0)
    found = expected_improvement(process, points, ahead)
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=1e-4)


def test_noise_of_the_scores_is_no_chance_of_improvement() -> None:
    random = np.random.default_rng(3)
    points, ahead, costs = random.random((6, 2)), random.random((4, 2)), random.standard_normal(6)
    function = Matern(0.5, nu=2.5)
    noisy = GaussianProcessRegressor(function + WhiteKernel(0.1), alpha=0.01, optimizer=None)
    alike = GaussianProcessRegressor(function, alpha=0.11, optimizer=None)
    found, expected = (
        expected_improvement(process.fit(points, costs), points, ahead)
        for process in (noisy, alike)
    )
    np.testing.assert_allclose(found, expected)


def test_the_cube_has_a_share_for_every_value() -> None:
    for number in range(50):
        values = draw(PARAMETERS, 1, number)
        shares = {p: share_of(PARAMETERS[p], v) for p, v in values.items()} | dict.fromkeys(
            PARAMETERS.keys() - values.keys(), 0.5
        )
        again = values_at(PARAMETERS, shares)
        assert again.pop(RATE) == pytest.approx(values.pop(RATE))
        assert again.pop(MOMENTUM, None) == pytest.approx(values.pop(MOMENTUM, None))
        assert again == values


def test_points_of_trials_are_numbers_choices_and_what_they_have() -> None:
    cube = Cube(PARAMETERS)
    trials: list[dict[str, Any]] = [
        {RATE: 1e-2, "training.epochs": 1, RULE: "sgd", MOMENTUM: 0.9},
        {RATE: 1.0, "training.epochs": 9, RULE: "adam"},
    ]
    # epochs, rate, rule, momentum and whether there is one: behind what they depend on, by name
    expected = [[0.5 / 9, 0.5, 0, 1, 1.0, 1], [8.5 / 9, 1.0, 1, 0, 0.5, 0]]
    np.testing.assert_allclose(cube.points(cube.shares(trials)), expected)
    momentum = cube.values(cube.shares(trials)[0]).pop(MOMENTUM)
    assert momentum == trials[0][MOMENTUM]


def test_candidates_have_the_points_of_their_values() -> None:
    cube, random = Cube(PARAMETERS), np.random.default_rng(0)
    shares = random.random((200, len(PARAMETERS)))
    values = [cube.values(one) for one in shares]
    np.testing.assert_allclose(cube.points(shares), cube.points(cube.shares(values)))
