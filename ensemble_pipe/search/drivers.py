"""Drivers of a search: which trials come next, by those that have ended.

A driver is a function of the ended trials alone, so a search goes on after a kill as it would have.
"""

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core import seeds
from ensemble_pipe.search.planning import TRIALS
from ensemble_pipe.search.spaces import Parameters, draw, grid, is_active, parameters_of
from ensemble_pipe.search.trials import Trial, cost_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as OptunaTrial

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
        import optuna

        random = seeds.generator(self._seed, seeds.Purpose.SEARCH, step=1, shard=first)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=1, constant_liar=True, seed=int(random.integers(2**31))
        )
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = optuna.create_study(sampler=sampler)
            study.add_trials([self._told(trial) for trial in ended])
            return [self._suggested(study.ask()) for _ in range(size)]
        finally:
            optuna.logging.set_verbosity(verbosity)

    def _suggested(self, trial: "OptunaTrial") -> dict[str, Any]:
        values: dict[str, Any] = {}
        for path, one in self._parameters.items():
            if not is_active(one, values):
                continue
            if one.choices is not None:
                place = trial.suggest_categorical(path, range(len(one.choices)))
                values[path] = one.choices[place]
            elif one.integer is not None:
                values[path] = trial.suggest_int(path, *one.integer)
            else:
                low, high = one.bounds or (0.0, 1.0)
                is_log = one.log_uniform is not None
                values[path] = trial.suggest_float(path, low, high, log=is_log)
        return values

    def _told(self, trial: Trial) -> "FrozenTrial":
        """Return a trial as Optuna has it; those without a score count as worse than all others."""
        from optuna.trial import TrialState, create_trial

        params = {path: self._code(path, value) for path, value in trial.values.items()}
        distributions = {path: self._distribution(path) for path in trial.values}
        if trial.score is not None:
            cost = cost_of(trial.score, self._metric)
            return create_trial(value=cost, params=params, distributions=distributions)
        known = {epoch: loss for epoch, loss in trial.losses.items() if loss < inf}
        return create_trial(
            state=TrialState.PRUNED,
            params=params,
            distributions=distributions,
            intermediate_values=known,
        )

    def _code(self, path: str, value: Any) -> Any:
        choices = self._parameters[path].choices
        return value if choices is None else choices.index(value)

    def _distribution(self, path: str) -> "BaseDistribution":
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        one = self._parameters[path]
        if one.choices is not None:
            return CategoricalDistribution(range(len(one.choices)))
        if one.integer is not None:
            return IntDistribution(*one.integer)
        low, high = one.bounds or (0.0, 1.0)
        return FloatDistribution(low, high, log=one.log_uniform is not None)


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
