"""Checks of what a caller's own code returns and writes, where it enters.

Compiled kernels trust type, shape and order of the arrays that they are given: a wrong one does not
fail there, it overwrites memory.
"""

from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.core.messages import quote

# Quiet NaNs that no arithmetic yields, by the bytes of a number.
_UNWRITTEN = {4: 0x7FC5A5A5, 8: 0x7FFA5A5A5A5A5A5A}


def is_own(cls: type) -> bool:
    """Return whether a class is a caller's own, and not one of the package."""
    return not cls.__module__.startswith("ensemble_pipe.")


def require_array(
    values: object, what: str, dtype: np.dtype[np.generic], shape: tuple[int, ...]
) -> Array:
    """Return an array of this type and shape: C-contiguous, writeable, copied where it is not.

    Args:
        values: that own code returned.
        what: returned them, such as "layer 'maxout': forward".
        dtype, shape: that they must have.

    Raises:
        InputError: they are no array, or one of another type or shape.
    """
    if isinstance(values, np.ndarray) and values.dtype == dtype and values.shape == shape:
        return np.require(values, requirements=["C", "A", "W", "E"])
    raise InputError(f"{what} returned {describe(values)}, must be {dtype} {shape}")


def describe(values: object) -> str:
    """Return type and shape of an array, and the type of anything else.

    >>> describe(np.zeros((2, 3))), describe([1.0]), describe(None)
    ('float64 (2, 3)', 'a list', 'None')
    """
    if isinstance(values, np.ndarray):
        return f"{values.dtype} {values.shape}"
    return "None" if values is None else f"a {type(values).__name__}"


def mark_unwritten(values: Array) -> None:
    """Overwrite an array of floats by marks, which `require_written` looks for."""
    _bits(values)[...] = _UNWRITTEN[values.itemsize]


def require_written(values: Array, what: str, name: str) -> None:
    """Check that own code wrote every number of an array that it was given.

    Args:
        values: that `mark_unwritten` has marked before.
        what: had to write them, such as "loss 'focal': kernel".
        name: of the array.

    Raises:
        InputError: it did not, or added to what was there.
    """
    if (_bits(values) == _UNWRITTEN[values.itemsize]).any():
        raise InputError(
            f"{what} did not overwrite all of {name}; write into the given array, as in "
            f"{name}[...] = values, where {name} = values only binds the name to another array"
        )


def require_shape(shape: object, what: str) -> tuple[int, ...]:
    """Return the shape of a row as whole numbers.

    Raises:
        ValueError: it is no tuple of whole numbers above 0.
    """
    if not (isinstance(shape, tuple) and all(is_count(length) for length in shape)):
        right = "a tuple of whole numbers above 0"
        raise ValueError(f"{what} returned {quote(shape)}, must be {right}")
    return tuple(int(length) for length in shape)


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number above 0."""
    return isinstance(value, int | np.integer) and bool(value > 0)


def _bits(values: Array) -> Array:
    return values.view(f"u{values.itemsize}")
