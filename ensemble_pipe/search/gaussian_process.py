"""The Gaussian process of a search, made anew of the trials that have ended.

Snoek, Larochelle & Adams 2012, "Practical Bayesian optimization of machine learning algorithms":
a Matern kernel with a length scale for each coordinate of a trial, noise, and the expected
improvement on the best. T trials, C candidates, P hyperparameters, E coordinates.
"""

import warnings
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.search.cube import Cube
from ensemble_pipe.search.spaces import Parameters
from ensemble_pipe.search.trials import Trial, cost_of

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

# Candidates from the whole space; around each of the best trials; and around each of the best
# candidates, nearer and nearer. Distances are shares of a range.
ANYWHERE, AROUND_EACH, BEST = 1000, 100, 5
DISTANCES = (0.2, 0.05, 0.01)
RESTARTS = 2
# Within these bounds a few points of many coordinates are not taken for noise, or for a plane.
_LENGTHS, _NOISE, _JITTER = (0.1, 3.0), (1e-6, 0.1), 1e-8
_FAR = 4  # times the median's distance from the best


def ask(
    parameters: Parameters,
    ended: Sequence[Trial],
    metric: str,
    random: np.random.Generator,
    count: int,
) -> list[dict[str, Any]]:
    """Return the values of the next trials, by their expected improvement.

    Args:
        parameters: of the space.
        ended: the trials so far, at least one.
        metric: that they are compared by.
        random: for the candidates.
        count: how many trials; each stands at the mean to those after it.
    """
    cube, costs = Cube(parameters), standing(ended, metric)
    shares = cube.shares([trial.values for trial in ended])
    asked: list[dict[str, Any]] = []
    with one_thread():
        process = _fitted(cube.points(shares), costs, int(random.integers(2**31)))
        for _ in range(count):
            new = _best_candidate(process, cube, shares, costs, random)
            asked.append(cube.values(new))
            shares, costs = np.vstack([shares, new]), np.append(costs, 0.0)
            process = _refitted(process, cube.points(shares), costs)
    return asked


def standing(ended: Sequence[Trial], metric: str) -> Array:
    """Return how each trial stands, (T,), lower for a better one, of mean 0 and variance 1.

    Scores are bounded at four times the median's distance from the best, since a few trials that
    nearly diverge would else be all that is seen of them. Pruned trials, which have none, follow in
    their order: those that were trained longer before others, and of these the ones of a lower
    loss. Then come those that failed.
    """
    scored = np.array([cost_of(t.score, metric) for t in ended if t.score is not None])
    found = np.full(len(ended), 2.0)
    found[[trial.score is not None for trial in ended]] = _bounded(scored)
    pruned = [n for n, t in enumerate(ended) if t.score is None and t.ending == "pruned"]
    pruned.sort(key=lambda n: _how_far(ended[n]))
    found[pruned] = 1.0 + (np.arange(len(pruned)) + 1) / (len(pruned) + 1)
    deviation = found.std()
    return np.asarray((found - found.mean()) / deviation if deviation > 0 else np.zeros(len(ended)))


def expected_improvement(process: "GaussianProcessRegressor", points: Array, ahead: Array) -> Array:
    """Return the expected improvement (C,) on the lowest mean at a known point.

    It is that of the function, whose deviation is less than that of a noisy score.

    Args:
        process: fitted to the known points.
        points: (T, E), the known ones.
        ahead: (C, E), the candidates.
    """
    lowest = process.predict(points).min()  # scores themselves are noisy
    mean, deviation = process.predict(ahead, return_std=True)
    kernel, any_point = process.kernel_, points[:1]
    noise = kernel.diag(any_point) - kernel(any_point, any_point)[0]  # of two scores there none
    deviation = np.sqrt(np.maximum(deviation**2 - noise, _JITTER**2))
    share = (lowest - mean) / deviation
    density = np.exp(-0.5 * share**2) / np.sqrt(2 * np.pi)
    return np.asarray(deviation * (share * ndtr(share) + density))


def _bounded(costs: Array) -> Array:
    """Return costs from 0, of the lowest, to 1, of all that are too far from it."""
    if not len(costs):
        return costs
    above = costs - costs.min()
    middle = np.median(above)
    bounded: Array = np.minimum(above / (_FAR * middle), 1.0) if middle > 0 else np.sign(above)
    return bounded


def _how_far(trial: Trial) -> tuple[int, float]:
    epochs = max(trial.losses, default=0)
    return -epochs, trial.losses.get(epochs, inf)


def _fitted(points: Array, costs: Array, seed: int) -> "GaussianProcessRegressor":
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    matern = Matern(np.ones(points.shape[1]), _LENGTHS, nu=2.5)
    process = GaussianProcessRegressor(
        ConstantKernel(1.0, (0.1, 10.0)) * matern + WhiteKernel(0.01, _NOISE),
        alpha=_JITTER,
        n_restarts_optimizer=RESTARTS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # A length scale at its bound is that of a hyperparameter without an effect.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(points, costs)


def _refitted(
    process: "GaussianProcessRegressor", points: Array, costs: Array
) -> "GaussianProcessRegressor":
    """Return a process of the same kernel with further points."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    same = GaussianProcessRegressor(process.kernel_, alpha=_JITTER, optimizer=None)
    return same.fit(points, costs)


def _best_candidate(
    process: "GaussianProcessRegressor",
    cube: Cube,
    shares: Array,
    costs: Array,
    random: np.random.Generator,
) -> Array:
    """Return the shares (P,) from which most improvement is expected, of trials that are new."""
    points = cube.points(shares)
    known = {point.tobytes() for point in points}
    best = shares[np.argsort(costs, kind="stable")[:BEST]]
    tried = np.vstack(
        [
            random.random((ANYWHERE, shares.shape[1])),
            *(_around(best, distance, cube, random) for distance in DISTANCES),
        ]
    )
    gains = _gains(process, points, cube, tried, known)
    for distance in DISTANCES:
        near = _around(tried[np.argsort(-gains, kind="stable")[:BEST]], distance, cube, random)
        tried = np.vstack([tried, near])
        gains = np.append(gains, _gains(process, points, cube, near, known))
    return np.asarray(tried[np.argmax(gains)])


def _gains(
    process: "GaussianProcessRegressor", points: Array, cube: Cube, tried: Array, known: set[bytes]
) -> Array:
    """Return the expected improvement of candidates, none where one is known already."""
    ahead = cube.points(tried)
    is_known = np.array([point.tobytes() in known for point in ahead])
    return np.where(is_known, -1.0, expected_improvement(process, points, ahead))


def _around(shares: Array, distance: float, cube: Cube, random: np.random.Generator) -> Array:
    """Return shares near each of some: numbers at a distance, about one choice drawn anew."""
    near = np.repeat(shares, AROUND_EACH, axis=0)
    moved = np.clip(near + distance * random.standard_normal(near.shape), 0.0, 1.0)
    changes = random.random(near.shape) < 1 / near.shape[1]
    return np.where(cube.is_choice, np.where(changes, random.random(near.shape), near), moved)
