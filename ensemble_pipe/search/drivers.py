"""Drivers of a search: which trials come next, by those that have ended.

A driver is a function of the ended trials alone, so a search goes on after a kill as it would have.
"""

from collections.abc import Sequence
from typing import Any, Protocol

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


class Tpe:
    """The tree-structured Parzen estimator of Optuna (Bergstra et al. 2011), in batches.

    The first trials are those of a random search. Every batch is asked for anew, with a seed of its
    own and all that has ended; within it, trials count as bad ones to each other (the constant liar
    of Ginsbourger et al. 2010).
    """

    def __init__(
        self, parameters: Parameters, seed: int, total: int, batch: int, metric: str
    ) -> None:
        self.total = total
        self._parameters = parameters
        self._seed = seed
        self._batch = batch
        self._metric = metric

    def size(self, ended: int) -> int:
        most = FIRST_TRIALS - ended if ended < FIRST_TRIALS else self._batch
        return min(most, self.total - ended)

    def ask(self, ended: Sequence[Trial]) -> list[dict[str, Any]]:
        first, size = len(ended), self.size(len(ended))
        if first < FIRST_TRIALS:
            return [draw(self._parameters, self._seed, first + n) for n in range(size)]
        from ensemble_pipe.search.optuna_studies import ask

        random = seeds.generator(self._seed, seeds.Purpose.SEARCH, step=1, shard=first)
        seed = int(random.integers(2**31))
        return ask(self._parameters, ended, self._metric, seed, size)


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
    parameters, total = parameters_of(search), search.trials or TRIALS
    if search.driver == "grid":
        return Listed(list(grid(parameters)))
    if search.driver == "random":
        return Listed([draw(parameters, config.seed, trial) for trial in range(total)])
    return Tpe(parameters, config.seed, total, search.batch, search.metric)
