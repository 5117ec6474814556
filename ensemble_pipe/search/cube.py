"""Trials as points of a unit cube, which a model of their scores can be fitted to.

A trial has a share, 0 to 1, for each hyperparameter: how far through its values it lies.
Coordinates are made of shares: numbers keep theirs, of integers that of their middle, choices have
one coordinate each, and a hyperparameter that depends on others has a further one, which says
whether a trial has it. C trials, P hyperparameters, E coordinates.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ensemble_pipe.config.search_settings import Parameter
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.search.spaces import Parameters, share_of, values_at

_MIDDLE = 0.5


class Cube:
    """The unit cube of a space."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._places = {path: place for place, path in enumerate(parameters)}
        self.is_choice = np.array([one.choices is not None for one in parameters.values()])

    def shares(self, trials: Sequence[Mapping[str, Any]]) -> Array:
        """Return the shares (C, P) of trials by their values; the middle of what one lacks."""
        return np.array(
            [
                [share_of(one, values[path]) if path in values else _MIDDLE for path, one in known]
                for values in trials
                for known in [self._parameters.items()]
            ]
        )

    def values(self, shares: Array) -> dict[str, Any]:
        """Return the values of one trial, of its shares (P,)."""
        return values_at(self._parameters, dict(zip(self._places, shares.tolist(), strict=True)))

    def points(self, shares: Array) -> Array:
        """Return the coordinates (C, E) of shares (C, P)."""
        has: dict[str, Array] = {}
        columns = []
        for path, one in self._parameters.items():
            has[path] = np.ones(len(shares), bool)
            for other, allowed in one.conditions.items():
                has[path] &= has[other] & self._is_one_of(shares, other, allowed)
            own = _coordinates(one, shares[:, self._places[path]])
            missing = 0.0 if one.choices is not None else _MIDDLE
            columns.append(np.where(has[path][:, None], own, missing))
            if one.conditions:
                columns.append(has[path][:, None].astype(np.float64))
        return np.hstack(columns)

    def _is_one_of(self, shares: Array, path: str, allowed: Sequence[Any]) -> Array:
        """Return whether a hyperparameter has one of some values at its shares, (C,)."""
        own, parameter = shares[:, self._places[path]], self._parameters[path]
        if parameter.choices is not None:
            places = [n for n, choice in enumerate(parameter.choices) if choice in allowed]
            return np.isin(_places(own, len(parameter.choices)), places)
        if parameter.integer is not None:
            low, high = parameter.integer
            places = [value - low for value in allowed]
            return np.isin(_places(own, high - low + 1), places)
        return np.zeros(len(shares), bool)  # of a range of numbers none is met


def _coordinates(parameter: Parameter, shares: Array) -> Array:
    """Return the coordinates (C, 1) of a number, or (C, choices)."""
    if parameter.choices is not None:
        count = len(parameter.choices)
        return np.asarray(np.eye(count)[_places(shares, count)])
    if parameter.integer is not None:
        low, high = parameter.integer
        count = high - low + 1
        return np.asarray(((_places(shares, count) + _MIDDLE) / count)[:, None])
    return shares[:, None]


def _places(shares: Array, count: int) -> Any:
    return np.minimum((shares * count).astype(np.int64), count - 1)
