"""Spaces of hyperparameters: which values belong together, draws, grids, and ready spaces."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import log, prod
from typing import Any
from zlib import crc32

from ensemble_pipe.config.search_settings import Parameter, ReadySpace, Search, Values
from ensemble_pipe.core import seeds
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.ensemble.strategies import Range

Parameters = Mapping[str, Parameter]
_BETWEEN = 0.381966  # the golden section, at which few ranges have a round number
NO_ORDER = "names what is not in the space, or depends on it in turn"

_MLP, _CNN = ["mlp", "wide_and_deep"], ["cnn", "separable_cnn"]
READY: dict[ReadySpace, dict[str, Parameter]] = {
    "table": {
        "network.name": Parameter(choices=tuple(_MLP)),
        "network.hidden": Parameter(choices=([64], [128], [256], [128, 64], [256, 256])),
        "network.dropout": Parameter(uniform=(0.0, 0.5)),
        "training.batch_size": Parameter(choices=(32, 64, 128, 256)),
        "training.optimizer.name": Parameter(choices=("adamw",)),
        "training.optimizer.learning_rate": Parameter(log_uniform=(0.0005, 0.02)),
        "training.optimizer.weight_decay": Parameter(log_uniform=(0.0001, 0.1)),
    },
    "images": {
        "network.name": Parameter(choices=(*_CNN, "resnet")),
        "network.filters": Parameter(choices=([16, 32], [32, 64], [16, 32, 64])),
        "network.blocks": Parameter(integer=(1, 2), when={"network.name": "resnet"}),
        "network.hidden": Parameter(choices=([], [64], [128]), when={"network.name": _CNN}),
        "network.dropout": Parameter(uniform=(0.0, 0.5), when={"network.name": _CNN}),
        "training.batch_size": Parameter(choices=(32, 64, 128)),
        "training.optimizer.name": Parameter(choices=("adam",)),
        "training.optimizer.learning_rate": Parameter(log_uniform=(0.0003, 0.01)),
    },
}


def paths_of(search: Search) -> frozenset[str]:
    """Return the paths of what may differ between trials."""
    if isinstance(search.space, tuple):
        return frozenset(path for values in search.space for path in values)
    return frozenset(READY[search.space] if isinstance(search.space, str) else search.space)


def parameters_of(search: Search) -> Parameters:
    """Return the hyperparameters of a space by path, each behind those that it depends on.

    Raises:
        ConfigError: one depends on itself, or on one that the space does not have.
    """
    found, waiting = _ordered(search)
    if waiting:
        raise ConfigError(f"search.space: {', '.join(waiting)}: when: {NO_ORDER}")
    return found


def misplaced(search: Search) -> list[str]:
    """Return the hyperparameters that depend on themselves, or on one that the space lacks."""
    return list(_ordered(search)[1])


def _ordered(search: Search) -> tuple[dict[str, Parameter], dict[str, Parameter]]:
    """Return hyperparameters, each behind those that it depends on, and those without a place."""
    assert not isinstance(search.space, tuple)
    space = READY[search.space] if isinstance(search.space, str) else search.space
    waiting = {
        path: values if isinstance(values, Parameter) else Parameter(choices=values)
        for path, values in sorted(space.items())
    }
    found: dict[str, Parameter] = {}
    while free := [p for p, one in waiting.items() if one.conditions.keys() <= found.keys()]:
        found |= {path: waiting.pop(path) for path in free}
    return found, waiting


def is_active(parameter: Parameter, values: Values) -> bool:
    """Return whether a trial with these values has a hyperparameter."""
    return all(
        path in values and values[path] in allowed for path, allowed in parameter.conditions.items()
    )


def draw(parameters: Parameters, seed: int, trial: int) -> dict[str, Any]:
    """Return the values of one random trial; other trials and hyperparameters change none of them.

    Args:
        parameters: of the space.
        seed: of the search.
        trial: its number.
    """
    return _values(parameters, lambda path: _drawn(seed, trial, path))


def values_at(parameters: Parameters, shares: Mapping[str, float]) -> dict[str, Any]:
    """Return the values of a trial, each at a share, 0 to 1, of the way through those there are."""
    return _values(parameters, shares.__getitem__)


def share_of(parameter: Parameter, value: Any) -> float:
    """Return the share, 0 to 1, at which a hyperparameter has a value; of equal ones the middle."""
    if parameter.choices is not None:
        return (parameter.choices.index(value) + 0.5) / len(parameter.choices)
    low, high = parameter.bounds or (0.0, 1.0)
    if parameter.log_uniform is not None:
        return float(log(value / low) / log(high / low))
    if parameter.integer is not None:
        return float((value - low + 0.5) / (high - low + 1))
    return float((value - low) / (high - low))


def _values(parameters: Parameters, share: Callable[[str], float]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for path, parameter in parameters.items():
        if is_active(parameter, values):
            values[path] = _at(parameter, share(path))
    return values


def _drawn(seed: int, trial: int, path: str) -> float:
    place = crc32(path.encode())
    return seeds.generator(seed, seeds.Purpose.SEARCH, learner=trial, shard=place).random()


def grid(parameters: Parameters) -> Iterator[dict[str, Any]]:
    """Yield all combinations of choices and integers; the last hyperparameter changes first."""
    known: list[Values] = []
    for chosen in product(*map(_listed, parameters.values())):
        values: dict[str, Any] = {}
        for (path, one), value in zip(parameters.items(), chosen, strict=True):
            if is_active(one, values):
                values[path] = value
        if values not in known:  # those that differ in what is not active
            known.append(values)
            yield values


def grid_size(parameters: Parameters) -> int:
    """Return how many combinations of choices and integers there are, with what is not active."""
    return prod(len(_listed(one)) for one in parameters.values())


def mistake_in(parameters: Parameters, path: str, values: Values) -> str | None:
    """Return why a trial of these values is none of the space, by one of them; None where it is."""
    if path not in parameters:
        return "is not in search.space"
    parameter, is_there = parameters[path], path in values
    if is_active(parameter, values) != is_there:
        return "does not go with the other values, see its when" if is_there else "is missing"
    if not is_there or _has(parameter, values[path]):
        return None
    return f"{quote(values[path])} is none of its values, {list(ends(parameter))}"


def _has(parameter: Parameter, value: Any) -> bool:
    """Return whether a value is one of a hyperparameter."""
    if parameter.choices is not None:
        return value in parameter.choices
    low, high = parameter.bounds or (0.0, 1.0)
    of_kind = int if parameter.integer is not None else (int, float)
    return isinstance(value, of_kind) and not isinstance(value, bool) and low <= value <= high


def ends(parameter: Parameter) -> tuple[Any, ...]:
    """Return the values by which a hyperparameter is checked: all choices, or both bounds."""
    return parameter.choices if parameter.choices is not None else tuple(parameter.bounds or ())


def tried(parameters: Parameters) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every choice and bound of each hyperparameter by its path, in the values of a trial.

    Of a range of numbers also one between, which is no whole number where bounds may be. Of the
    other hyperparameters that go with it, the trial has the first choice or bound.
    """
    for path, one in parameters.items():
        needed = {other: allowed[0] for other, allowed in needed_for(parameters, path).items()}
        between = () if is_counted(one) else (_at(one, _BETWEEN),)
        for value in (*ends(one), *between):
            yield path, _with(parameters, {**needed, path: value})


def needed_for(parameters: Parameters, path: str) -> dict[str, list[Any]]:
    """Return what others must have in a trial that has a hyperparameter: by path, any of a list.

    An empty list says that no trial has it, since its conditions exclude each other.
    """
    found: dict[str, list[Any]] = {}
    waiting = [path]
    while waiting:
        for other, allowed in parameters[waiting.pop()].conditions.items():
            found[other] = [value for value in found.get(other, allowed) if value in allowed]
            waiting.append(other)
    return found


def _with(parameters: Parameters, given: Values) -> dict[str, Any]:
    """Return the values of a trial that has those given, and the first one of each other."""
    values: dict[str, Any] = {}
    for path, one in parameters.items():
        if path in given:
            values[path] = given[path]
        elif is_active(one, values):
            values[path] = ends(one)[0]
    return values


def can_have(parameter: Parameter, value: Any) -> bool:
    """Return whether a hyperparameter is ever exactly this value, as a condition asks for."""
    return is_counted(parameter) and _has(parameter, value)


def is_counted(parameter: Parameter) -> bool:
    """Return whether a hyperparameter has so many values, not a range of numbers."""
    return parameter.choices is not None or parameter.integer is not None


def _listed(parameter: Parameter) -> Sequence[Any]:
    if parameter.integer is not None:
        low, high = parameter.integer
        return range(low, high + 1)
    return parameter.choices or ()


def _at(parameter: Parameter, share: float) -> Any:
    """Return the value at a share, 0 to 1, of the way through a hyperparameter's values."""
    if parameter.choices is not None:
        return parameter.choices[int(share * len(parameter.choices))]
    low, high = parameter.bounds or (0.0, 1.0)
    scale = "log" if parameter.log_uniform is not None else "linear"
    is_whole = parameter.integer is not None
    return Range(low=low, high=high, scale=scale, integer=is_whole).at(share)  # type: ignore[arg-type]
