"""Type aliases of the arrays in signatures; shapes are given in the docstrings."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

# read(start, stop, inputs) writes the inputs of rows start to stop, float32 (stop - start, *shape).
Read = Callable[[int, int, Floats], None]
