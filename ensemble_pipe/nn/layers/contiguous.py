"""Contiguous copies of tensors for kernels, since views of several learners' rows are strided."""

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
        """Return the array, updated from the rows."""
        if self.array is not self.view:
            self.array[...] = self.view
        return self.array

    def write(self) -> None:
        """Copy the array back into the rows."""
        if self.array is not self.view:
            self.view[...] = self.array
