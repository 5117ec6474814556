"""Transformations of targets: the logarithm and powers, of targets above 0."""

from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np

from ensemble_pipe.core.arrays import Floats


@dataclass(frozen=True)
class TargetTransform:
    """A growing function g of a target: y itself, log y, or y^exponent, of targets above 0.

    The last two are, but for a factor and a constant, those of Box & Cox 1964, "An analysis of
    transformations". Functions of scipy.special give the same bits wherever a number stands.

    Attributes:
        name: "standardize" for y itself.
        exponent: 1 for y itself, 0 for log y, else between 0 and 1.
    """

    name: Literal["standardize", "log", "power"] = "standardize"
    exponent: float = 1.0

    def __post_init__(self) -> None:
        ends = {"standardize": (1.0, 1.0), "log": (0.0, 0.0), "power": (1e-3, 0.999)}
        low, high = ends[self.name]
        if not low <= self.exponent <= high:
            raise ValueError(f"exponent {self.exponent} is none of {self.name}")

    @property
    def is_identity(self) -> bool:
        return self.name == "standardize"

    def forward(self, numbers: Floats) -> Floats:
        """Return g(y), of any shape; y are above 0, where g is not the identity."""
        if self.is_identity:
            return numbers
        logs = _log(numbers)
        return logs if self.exponent == 0 else _exp(self.exponent * logs)

    def inverse(self, values: Floats) -> Floats:
        """Return y for g(y), of any shape; 0 for what lies below the g(y) of every y above 0."""
        if self.is_identity:
            return values
        if self.exponent == 0:
            return _exp(values)
        with np.errstate(divide="ignore"):
            return _exp(_log(np.maximum(values, 0.0)) / self.exponent)

    def log_slope(self, numbers: Floats) -> Floats:
        """Return log g'(y), by which the NLL of y is lower than that of g(y)."""
        if self.is_identity:
            return np.zeros_like(numbers)
        factor = log(self.exponent) if self.exponent else 0.0
        return factor + (self.exponent - 1.0) * _log(numbers)


IDENTITY = TargetTransform()
LOG = TargetTransform("log", 0.0)


def _log(values: Floats) -> Floats:
    from scipy.special import boxcox

    found: Floats = boxcox(values, 0.0)
    return found


def _exp(values: Floats) -> Floats:
    from scipy.special import inv_boxcox

    with np.errstate(over="ignore"):
        found: Floats = inv_boxcox(values, 0.0)
    return found
