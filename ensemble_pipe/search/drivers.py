"""Drivers of a search: which trials come next, by those that have ended.

A driver is a function of the ended trials alone, so a search goes on after a kill as it would have.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core import seeds
from ensemble_pipe.search.planning import TRIALS, plan_trials, require_valid
from ensemble_pipe.search.spaces import Parameters, draw, grid, parameters_of
from ensemble_pipe.search.trials import Trial

# So many trials are drawn at random before the others follow them.
FIRST_TRIALS = 10


class Driver(Protocol):
    """Says which trials there are.

    Attributes:
        total: number of trials in all.
    """

    total: int

    def size(self, ended: int) -> int:
        """Return how many trials come at once when so many have ended."""
        ...

    def ask(self, ended: Sequence[Trial]) -> list[dict[str, Any]]:
        """Return the values of the next trials, when these have ended."""
        ...


class Listed:
    """Trials that are known from the beginning, and come all at once."""

    def __init__(self, values: Sequence[dict[str, Any]]) -> None:
        self._values = list(values)
        self.total = len(self._values)

    def size(self, ended: int) -> int:
        return self.total - ended

    def ask(self, ended: Sequence[Trial]) -> list[dict[str, Any]]:
        return self._values[len(ended) :]


class Modelled:
    """Trials that a model of those that have ended asks for, in batches.

    Some trials come before. Every batch is asked for anew, with a seed of its own and all that has
    ended; within it, trials stand in for those to come (the constant liar of Ginsbourger et al.
    2010), so that they differ.
    """

    def __init__(
        self,
        parameters: Parameters,
        seed: int,
        begin: Sequence[dict[str, Any]],
        total: int,
        batch: int,
        metric: str,
    ) -> None:
        """Begin without trials.

        Args:
            parameters: of the space.
            seed: of the search.
            begin: the trials that the model is first made of.
            total: number of trials.
            batch: how many are asked for at once.
            metric: that they are compared by.
        """
        self.total = total
        self._parameters = parameters
        self._seed = seed
        self._begin = begin
        self._batch = batch
        self._metric = metric

    def size(self, ended: int) -> int:
        left = len(self._begin) - ended
        return left if left > 0 else min(self._batch, self.total - ended)

    def ask(self, ended: Sequence[Trial]) -> list[dict[str, Any]]:
        first = len(ended)
        if first < len(self._begin):
            return list(self._begin[first:])
        return self._ask(ended, self.size(first))

    def _ask(self, ended: Sequence[Trial], size: int) -> list[dict[str, Any]]:
        """Return the values of so many trials by the model."""
        raise NotImplementedError

    def _random(self, model: int, ended: Sequence[Trial]) -> np.random.Generator:
        """Return the generator of a batch; each model has a number of its own."""
        return seeds.generator(self._seed, seeds.Purpose.SEARCH, step=model, shard=len(ended))


class Tpe(Modelled):
    """The tree-structured Parzen estimator of Optuna (Bergstra et al. 2011)."""

    def _ask(self, ended: Sequence[Trial], size: int) -> list[dict[str, Any]]:
        from ensemble_pipe.search.optuna_studies import ask

        seed = int(self._random(1, ended).integers(2**31))
        return ask(self._parameters, ended, self._metric, seed, size)


class Gp(Modelled):
    """A Gaussian process, and the expected improvement by it (Snoek et al. 2012)."""

    def _ask(self, ended: Sequence[Trial], size: int) -> list[dict[str, Any]]:
        from ensemble_pipe.search.gaussian_process import ask

        return ask(self._parameters, ended, self._metric, self._random(2, ended), size)


def first_trials(config: Pipeline, document: Document) -> tuple[Pipeline, Plans]:
    """Return a pipeline with the first trials of its search, and their plans.

    Args:
        config: with a search.
        document: the source of the pipeline, for the lines in messages.

    Raises:
        ConfigError: lists every mistake in the search, with its line.
    """
    require_valid(config, document)
    return plan_trials(config, driver_of(config).ask([]), document)


def driver_of(config: Pipeline) -> Driver:
    """Return the driver of a pipeline that has a search."""
    search = config.search
    assert search is not None
    if isinstance(search.space, tuple):
        return Listed(search.space)
    parameters, first = parameters_of(search), [dict(values) for values in search.first]
    if search.driver == "grid":
        return Listed([*first, *(values for values in grid(parameters) if values not in first)])
    total = search.trials or TRIALS
    drawn = [draw(parameters, config.seed, trial) for trial in range(len(first), total)]
    if search.driver == "random":
        return Listed([*first, *drawn])
    begin = [*first, *drawn][: max(FIRST_TRIALS, len(first))]
    model = Gp if search.driver == "gp" else Tpe
    return model(parameters, config.seed, begin, total, search.batch, search.metric)
