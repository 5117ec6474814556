"""Shuffling: the order in which a learner sees its rows, window by window.

A learner's rows are those of its view, with repeats where they are drawn more than once. Its
stream of rows runs through all of them in one pass, then in the next, and so on. A pass goes from
window to window: a window is a few whole shards, chosen anew at random in every pass, and its rows
are shuffled among themselves. Where one window holds all shards the shuffle is global.

Every draw has an address, so that any position of the stream can be read without the earlier ones.
"""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.data.shard_view import Grid


@dataclass(frozen=True)
class ShuffleWindow:
    """A section of a learner's stream whose rows, from a few shards, are shuffled together.

    Attributes:
        number: of the window, counted over all passes.
        start, stop: the positions of the stream that it covers.
        shards: that it reads, ascending; None for all.
    """

    number: int
    start: int
    stop: int
    shards: tuple[int, ...] | None


class RowStream:
    """The rows that one learner sees, by position in its stream.

    Attributes:
        rows: of one pass.
    """

    def __init__(
        self, seed: int, learner: int, grid: Grid, window_rows: int, counts: Integers | None = None
    ) -> None:
        """Lay out the windows.

        Args:
            seed: of the run.
            learner: whose order it is.
            grid: of the shards.
            window_rows: how many rows are shuffled among themselves; at least one shard.
            counts: (R,) occurrences of each row in a pass; None for one each. Not all may be 0.
        """
        self._seed, self._learner, self._grid, self._counts = seed, learner, grid, counts
        whole = window_rows >= grid.rows
        self._window_shards = grid.shards if whole else max(1, window_rows // grid.shard_rows)
        starts = np.arange(grid.shards) * grid.shard_rows
        if counts is None:
            self._lengths = np.minimum(grid.shard_rows, grid.rows - starts).astype(np.int64)
        else:
            self._lengths = np.add.reduceat(counts.astype(np.int64), starts)
        self.rows = int(self._lengths.sum())
        self._window: ShuffleWindow | None = None
        self._pass: tuple[int, Integers, Integers] | None = None
        self._ids: tuple[int, Integers] | None = None

    @property
    def windows(self) -> int:
        """Number of windows of a pass."""
        return -(-self._grid.shards // self._window_shards)

    def window(self, place: int) -> ShuffleWindow:
        """Return the window that contains a position of the stream."""
        if self._window is None or not self._window.start <= place < self._window.stop:
            self._window = self._find(place)
        return self._window

    def _find(self, place: int) -> ShuffleWindow:
        number, within = divmod(place, self.rows)
        if self.windows == 1:
            return ShuffleWindow(number, number * self.rows, (number + 1) * self.rows, None)
        order, ends = self._shard_order(number)
        window = int(np.searchsorted(ends, within, side="right"))
        first = number * self.rows
        shards = np.sort(self._shards_of(order, window))
        return ShuffleWindow(
            number * self.windows + window,
            first + (int(ends[window - 1]) if window else 0),
            first + int(ends[window]),
            tuple(int(shard) for shard in shards),
        )

    def ids(self, window: ShuffleWindow) -> Integers:
        """Return the rows of a window in order: int32, of length stop - start."""
        if self._ids is None or self._ids[0] != window.number:
            self._ids = (window.number, self._shuffle(window))
        return self._ids[1]

    def _shuffle(self, window: ShuffleWindow) -> Integers:
        number, place = divmod(window.number, self.windows)
        # Shard 0 is the address of a pass that is one window; the windows of others follow it.
        address = 0 if window.shards is None else 1 + place
        random = seeds.generator(
            self._seed, seeds.Purpose.ORDER, learner=self._learner, epoch=number, shard=address
        )
        rows = self._rows_of(window.shards)
        if self._counts is not None:
            rows = np.repeat(rows, self._counts[rows])
        random.shuffle(rows)
        return rows

    def _rows_of(self, shards: tuple[int, ...] | None) -> Integers:
        if shards is None:
            return np.arange(self._grid.rows, dtype=np.int32)
        first = self._grid.shard_rows
        return np.concatenate(
            [
                np.arange(shard * first, shard * first + self._grid.length(shard), dtype=np.int32)
                for shard in shards
            ]
        )

    def _shard_order(self, number: int) -> tuple[Integers, Integers]:
        """Return the order of the shards in a pass, and where each of its windows ends."""
        if self._pass is None or self._pass[0] != number:
            # The same for all learners, so that they want the same shards at the same time.
            random = seeds.generator(self._seed, seeds.Purpose.ORDER, epoch=number, step=1)
            order = random.permutation(self._grid.shards)
            starts = np.arange(0, len(order), self._window_shards)
            ends = np.cumsum(np.add.reduceat(self._lengths[order], starts))
            self._pass = (number, order, ends)
        return self._pass[1], self._pass[2]

    def _shards_of(self, order: Integers, window: int) -> Integers:
        first = window * self._window_shards
        return order[first : first + self._window_shards]
