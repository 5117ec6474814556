"""Studies of Optuna in memory, made anew of the trials that have ended; imported late."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

from ensemble_pipe.config.search_settings import Parameter
from ensemble_pipe.search.spaces import Parameters, is_active
from ensemble_pipe.search.trials import Trial, cost_of


def ask(
    parameters: Parameters, ended: Sequence[Trial], metric: str, seed: int, count: int
) -> list[dict[str, Any]]:
    """Return the values of the next trials, by the tree-structured Parzen estimator.

    Args:
        parameters: of the space.
        ended: the trials so far.
        metric: that they are compared by.
        seed: of the draws.
        count: how many trials; each counts as a bad one to those after it.
    """
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, constant_liar=True, seed=seed)
    with _quiet():
        study = optuna.create_study(sampler=sampler)
        study.add_trials([_told(trial, metric, parameters) for trial in ended])
        return [_suggested(study.ask(), parameters) for _ in range(count)]


def parameter_importances(
    scored: Sequence[Trial], metric: str, parameters: Parameters, paths: Sequence[str]
) -> dict[str, float]:
    """Return the importance of hyperparameters by path, the most important first.

    Args:
        scored: trials that have a score.
        metric: that it is of.
        parameters: of the space.
        paths: of the hyperparameters, which all of these trials have.
    """
    with _quiet():
        study = optuna.create_study()
        study.add_trials([_told(trial, metric, parameters) for trial in scored])
        evaluator = FanovaImportanceEvaluator(seed=0)
        return get_param_importances(study, evaluator=evaluator, params=list(paths))


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Optuna log warnings only, as long as the block takes."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _suggested(trial: optuna.Trial, parameters: Parameters) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for path, one in parameters.items():
        if not is_active(one, values):
            continue
        if one.choices is not None:
            values[path] = one.choices[trial.suggest_categorical(path, range(len(one.choices)))]
        elif one.integer is not None:
            values[path] = trial.suggest_int(path, *one.integer)
        else:
            low, high = one.bounds or (0.0, 1.0)
            is_log = one.log_uniform is not None
            values[path] = trial.suggest_float(path, low, high, log=is_log)
    return values


def _told(trial: Trial, metric: str, parameters: Parameters) -> FrozenTrial:
    """Return a trial as Optuna has it; those without a score count as worse than all others."""
    params = {path: _code(parameters[path], value) for path, value in trial.values.items()}
    distributions = {path: _distribution(parameters[path]) for path in trial.values}
    if trial.score is not None:
        cost = cost_of(trial.score, metric)
        return create_trial(value=cost, params=params, distributions=distributions)
    return create_trial(
        state=TrialState.PRUNED,
        params=params,
        distributions=distributions,
        intermediate_values={e: loss for e, loss in trial.losses.items() if isfinite(loss)},
    )


def _code(parameter: Parameter, value: Any) -> Any:
    """Return a value as Optuna has it: of choices the place."""
    return value if parameter.choices is None else parameter.choices.index(value)


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.choices is not None:
        return CategoricalDistribution(range(len(parameter.choices)))
    if parameter.integer is not None:
        return IntDistribution(*parameter.integer)
    low, high = parameter.bounds or (0.0, 1.0)
    return FloatDistribution(low, high, log=parameter.log_uniform is not None)
