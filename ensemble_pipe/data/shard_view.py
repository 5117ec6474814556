"""Indexed access to the rows of several shards, read in place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.base import values_of
from ensemble_pipe.data.kernels import gather as kernels


@dataclass(frozen=True)
class Grid:
    """The division of rows into shards, all but the last of equal length.

    Attributes:
        rows: R, over all shards.
        shard_rows: of each shard but the last.
    """

    rows: int
    shard_rows: int

    @property
    def shards(self) -> int:
        return -(-self.rows // self.shard_rows)

    def length(self, shard: int) -> int:
        """Return the number of rows of a shard."""
        return min(self.shard_rows, self.rows - shard * self.shard_rows)

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Grid":
        """Return the grid of shards of these lengths; ValueError where they are unequal."""
        if any(n != lengths[0] for n in lengths[:-1]) or lengths[-1] > lengths[0]:
            raise ValueError(f"all shards but the last must have equal rows, got {list(lengths)}")
        return cls(sum(lengths), lengths[0])


class ShardView:
    """Reads rows out of Arrow tables without copying them into private memory.

    Attributes:
        grid: of all shards, including absent ones.
        target_dtype, target_shape: of the target of a row: () or (D,).
    """

    def __init__(
        self,
        tables: Sequence[pa.Table],
        scale: Floats,
        shift: Floats,
        *,
        grid: Grid | None = None,
        shards: Sequence[int] | None = None,
        verify: Callable[[int], None] | None = None,
    ) -> None:
        """Open shards.

        Args:
            tables: each chunk of each is one shard.
            scale, shift: of one row, from `Schema.input_scale`.
            grid: of which they are a part; None where they are all shards, in order.
            shards: their places in the grid; None where they are all.
            verify: checks a shard before it is first read.
        """
        self._tables = tables  # keeps the memory alive that the addresses point to
        self._inputs = _arrays(tables, "input")
        self._targets = _arrays(tables, "target")
        self._weights = _arrays(tables, "weight") if "weight" in tables[0].column_names else []
        self.target_dtype = self._targets[0].dtype
        self.target_shape = self._targets[0].shape[1:]
        for array in (*self._inputs, *self._targets):
            array.setflags(write=False)  # one kind of array, so one compiled kernel
        self.grid = grid or Grid.of([len(array) for array in self._inputs])
        places = np.arange(self.grid.shards) if shards is None else np.asarray(shards)
        self._input_addresses = self._addresses(self._inputs, places)
        self._target_addresses = self._addresses(self._targets, places)
        self._weight_addresses = self._addresses(self._weights, places)
        self._scale = np.ascontiguousarray(scale.ravel())
        self._shift = np.ascontiguousarray(shift.ravel())
        self._verify = verify
        # What may be read without a further look at which shard it is in.
        self._known = np.zeros(self.grid.shards, bool)
        if verify is None:
            self._known[places] = True

    @property
    def rows(self) -> int:
        """R, of all shards of the grid."""
        return self.grid.rows

    @property
    def targets(self) -> Array:
        """All targets (R,) or (R, D), copied."""
        self._require(np.arange(self.grid.shards))
        return np.concatenate(self._targets)

    @property
    def weights(self) -> Floats:
        """All weights (R,), copied; ones where rows have none."""
        if not self._weights:
            return np.ones(self.rows, np.float32)
        self._require(np.arange(self.grid.shards))
        return np.concatenate(self._weights)

    def gather(self, ids: Integers, inputs: Floats, targets: Array, weights: Floats) -> None:
        """Copy rows into buffers.

        Args:
            ids: (N,) row numbers, 0 to R - 1.
            inputs: (N, ...) float32, written as stored * scale + shift.
            targets: (N,) or (N, D), contiguous, written.
            weights: (N,) float32, written where rows have weights.

        Raises:
            IndexError: a row lies in none of the shards.
            CorruptFileError: a shard does not match its sum.
        """
        self.require(ids)
        self.copy(ids, inputs, targets, weights)

    def require(self, ids: Integers) -> None:
        """Check that rows can be copied; see `gather`."""
        if len(ids) and (ids.min() < 0 or ids.max() >= self.rows):
            raise IndexError(f"row numbers must lie in 0 to {self.rows - 1}")
        if not self._known.all():
            self._require(np.unique(ids // self.grid.shard_rows))

    def copy(self, ids: Integers, inputs: Floats, targets: Array, weights: Floats) -> None:
        """Copy rows as `gather` does, where `require` has checked them before."""
        kernels.gather(
            self._input_addresses,
            self._target_addresses,
            self._weight_addresses,
            self.grid.shard_rows,
            self._inputs[0],
            self._targets[0].reshape(-1),
            ids,
            self._scale,
            self._shift,
            inputs.reshape(len(ids), len(self._scale)),
            targets.reshape(len(ids), prod(self.target_shape), copy=False),
            weights,
        )

    def read(self, start: int, stop: int, inputs: Floats) -> None:
        """Copy the inputs of rows start to stop, as inference reads them."""
        self.read_rows(np.arange(start, stop, dtype=np.int32), inputs)

    def read_rows(self, ids: Integers, inputs: Floats) -> None:
        """Copy the inputs of some rows, by their numbers (N,)."""
        targets = np.empty((len(ids), *self.target_shape), self.target_dtype)
        self.gather(ids, inputs, targets, np.empty(len(ids), np.float32))

    def stored_rows(self, ids: Integers) -> Array:
        """Return a copy of the stored inputs of some rows, by their numbers (N,)."""
        shards, places = np.divmod(ids, self.grid.shard_rows)
        self._require(np.unique(shards))
        first = self._inputs[0]
        stored: Array = np.empty((len(ids), *first.shape[1:]), first.dtype)
        for shard in np.unique(shards):
            here = shards == shard
            stored[here] = self._inputs[shard][places[here]]
        return stored

    def read_stored(self, start: int, stop: int) -> Array:
        """Return a copy of the stored inputs of rows start to stop."""
        length = self.grid.shard_rows
        shards = np.arange(start // length, -(-stop // length))
        self._require(shards)
        pieces = [self._inputs[s][max(start - s * length, 0) : stop - s * length] for s in shards]
        return np.concatenate(pieces)

    def scale(self, stored: Array) -> Floats:
        """Return stored rows as inputs: float32, stored * scale + shift."""
        rows = stored.reshape(len(stored), len(self._scale))
        return (rows * self._scale + self._shift).reshape(stored.shape).astype(np.float32)

    def _require(self, shards: Integers) -> None:
        for shard in shards[~self._known[shards]]:
            if not self._input_addresses[shard] or self._verify is None:
                raise IndexError(f"shard {shard} is not part of this view")
            self._verify(int(shard))
            self._known[shard] = True

    def _addresses(self, arrays: Sequence[Array], places: Integers) -> Integers:
        """Return the address of each shard of the grid, 0 where it is absent."""
        addresses = np.zeros(self.grid.shards if arrays else 0, np.uint64)
        for place, array in zip(places, arrays, strict=False):
            addresses[place] = array.ctypes.data
        return addresses


def _arrays(tables: Sequence[pa.Table], name: str) -> list[Array]:
    return [values_of(chunk) for table in tables for chunk in table.column(name).chunks]
