"""Rows of one or more shards behind one index, read in place."""

import numpy as np
import pyarrow as pa

from ensemble_pipe.arrays import Array, Floats, Integers
from ensemble_pipe.data.kernels import gather as kernels


class ShardView:
    """Reads rows out of Arrow tables without copying them into private memory.

    Attributes:
        rows: R, over all shards.
    """

    def __init__(self, tables: list[pa.Table], scale: Floats, shift: Floats) -> None:
        """Open shards.

        Args:
            tables: each chunk of each is one shard; all but the last have equal rows.
            scale, shift: of one row, from `Schema.input_scale`.
        """
        self._tables = tables  # keeps the memory alive that the addresses point to
        self._inputs = [
            chunk.to_numpy_ndarray() for table in tables for chunk in table.column("input").chunks
        ]
        self._targets = [
            chunk.to_numpy() for table in tables for chunk in table.column("target").chunks
        ]
        for array in (*self._inputs, *self._targets):
            array.setflags(write=False)  # one kind of array, so one compiled kernel
        lengths = [len(array) for array in self._inputs]
        self.rows = sum(lengths)
        self._shard_rows = lengths[0]
        if any(length != lengths[0] for length in lengths[:-1]) or lengths[-1] > lengths[0]:
            raise ValueError(f"all shards but the last must have equal rows, got {lengths}")
        self._input_addresses = _addresses(self._inputs)
        self._target_addresses = _addresses(self._targets)
        self._scale = np.ascontiguousarray(scale.ravel())
        self._shift = np.ascontiguousarray(shift.ravel())

    @property
    def targets(self) -> Array:
        """All targets (R,), copied."""
        return np.concatenate(self._targets)

    def gather(self, ids: Integers, inputs: Floats, targets: Array) -> None:
        """Copy rows into buffers.

        Args:
            ids: (N,) row numbers, 0 to R - 1.
            inputs: (N, ...) float32, written as stored * scale + shift.
            targets: (N,), written.
        """
        if len(ids) and (ids.min() < 0 or ids.max() >= self.rows):
            raise IndexError(f"row numbers must lie in 0 to {self.rows - 1}")
        kernels.gather(
            self._input_addresses,
            self._target_addresses,
            self._shard_rows,
            self._inputs[0],
            self._targets[0],
            ids,
            self._scale,
            self._shift,
            inputs.reshape(len(ids), len(self._scale)),
            targets,
        )

    def read(self, start: int, stop: int, inputs: Floats) -> None:
        """Copy the inputs of rows start to stop; the form that inference asks for."""
        targets = np.empty(stop - start, self._targets[0].dtype)
        self.gather(np.arange(start, stop, dtype=np.int32), inputs, targets)


def _addresses(arrays: list[Array]) -> Integers:
    return np.array([array.ctypes.data for array in arrays], np.uint64)
