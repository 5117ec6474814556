"""Tensors as contiguous arrays, which kernels need and views of several learners' rows are not."""

import numpy as np

from ensemble_pipe.core.arrays import Floats


class Contiguous:
    """A tensor (M, *shape) of a stack, as an array of its own where its rows lie apart.

    Attributes:
        array: what kernels read and write.
    """

    def __init__(self, view: Floats) -> None:
        self.view = view
        self.array = view if view.flags.c_contiguous else np.empty(view.shape, view.dtype)

    def read(self) -> Floats:
        """Return the array, with what the rows hold now."""
        if self.array is not self.view:
            self.array[...] = self.view
        return self.array

    def write(self) -> None:
        """Put what the array holds into the rows."""
        if self.array is not self.view:
            self.view[...] = self.array
