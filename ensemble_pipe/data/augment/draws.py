"""What augmentations draw, for all rows at once, and the ranges they draw from."""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from ensemble_pipe.core.arrays import Array, Floats

Share = Annotated[float, Ge(0), Le(1)]


def choose_rows(random: np.random.Generator, rows: int, probability: float) -> Array:
    """Return (R,) booleans: which rows are augmented. Certainty draws nothing."""
    if probability == 1:
        return np.ones(rows, bool)
    return random.random(rows) < probability


def uniform(random: np.random.Generator, rows: int, bounds: tuple[float, float]) -> Floats:
    """Return (R,) float64 between the bounds."""
    low, high = bounds
    return low + (high - low) * random.random(rows)


def both_sides(
    random: np.random.Generator, shape: tuple[int, int], most: float, probability: float
) -> Floats:
    """Return (A, R) float64 between -most and most: of A axes, zero for rows left as they are."""
    axes, rows = shape
    wanted = choose_rows(random, rows, probability)
    return uniform(random, axes * rows, (-most, most)).reshape(shape) * wanted


def log_uniform(random: np.random.Generator, rows: int, bounds: tuple[float, float]) -> Floats:
    """Return (R,) float64 whose logarithm is uniform: twice is as likely as half."""
    low, high = np.log(bounds)
    found: Floats = np.exp(uniform(random, rows, (low, high)))
    return found


def check_range(name: str, bounds: tuple[float, float]) -> None:
    """Refuse bounds in the wrong order.

    Raises:
        ValueError: with the name of the setting.
    """
    low, high = bounds
    if low > high:
        raise ValueError(f"{name}: the first number ({low}) must not be above the second ({high})")
