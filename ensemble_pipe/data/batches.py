"""Mini-batches: the rows that each learner sees at each step, copied into buffers.

A learner's stream of rows (see `data.order`) runs on across epochs, so that every batch has exactly
N rows: batch b holds places b N to (b + 1) N - 1 of the stream. Any batch can be read without those
before it, so an iterator is restored by reading from its step on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.augment.mixing import mix, with_addresses, write_shares
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import ShardRequest, TrainingData
from ensemble_pipe.data.tables.spans import code_places

Order = Literal["own", "shared"]

# Rows start to stop of a step, counted over all its learners, come from one view.
Run = tuple[ShardView, int, int]

# Steps whose rows are looked up together, which costs little more than those of one.
LOOK_AHEAD = 64


@dataclass(frozen=True)
class Steps:
    """The number of steps of a training, from its rows, batch size and epochs.

    Attributes:
        rows: R, of the learner's training data.
        batch_rows: N, at most R.
        epochs: passes over the rows.
    """

    rows: int
    batch_rows: int
    epochs: int

    @property
    def total(self) -> int:
        return self.end_of(self.epochs - 1)

    def end_of(self, epoch: int) -> int:
        """Return the number of steps taken when `epoch` ends."""
        return (epoch + 1) * self.rows // self.batch_rows

    def epochs_done(self, step: int) -> int:
        """Return the number of epochs completed after `step` steps."""
        return ((step + 1) * self.batch_rows - 1) // self.rows


@dataclass(frozen=True)
class Section:
    """A section of a learner's stream that is read from one view: of one window, in one epoch.

    Attributes:
        start, stop: the positions of the stream that it covers.
        ids: (stop - start,) rows of these.
        request: of the shards that they lie in.
        view: of these shards.
    """

    start: int
    stop: int
    ids: Integers
    request: ShardRequest
    view: ShardView

    def left(self, place: int) -> int:
        """Return how many positions there are from one on; 0 where it lies outside."""
        return self.stop - place if self.start <= place < self.stop else 0


@dataclass(frozen=True)
class Ahead:
    """The rows of some steps, each learner's within one section, and all of one view.

    Attributes:
        first: the number of the first of these S steps.
        ids: (S, M N), of the learners in order.
        view: that has them all.
    """

    first: int
    ids: Integers
    view: ShardView


class Batches:
    """The batches of a stack of learners.

    Attributes:
        inputs: the current batch, (M, N, *shape) float32; (N, *shape) where the order is shared.
        targets: (M, N); (M, N, D) of several targets; (M, N, T) float32 where rows are mixed.
        weights: (M, N) float32, with a mean of 1 over the data.
    """

    def __init__(
        self,
        data: TrainingData,
        learners: Sequence[int],
        batch_rows: int,
        order: Order,
        *,
        view: View | None = None,
        outputs: int = 1,
        epochs: int | None = None,
        own_targets: Sequence[Floats] | None = None,
        augment: Augment | None = None,
    ) -> None:
        """Prepare buffers.

        Args:
            data: the training part.
            learners: ids of the M learners.
            batch_rows: N.
            order: "own" gives each learner an order of its own; "shared" one to all.
            view: which rows and columns each learner sees; None for all, as a shared order needs.
            outputs: T, of the targets of mixed rows: the number of classes, 1 for one share, or D
                numbers.
            epochs: to be read, so that no shards of a further one are requested.
            own_targets: (R, T) float32 of each learner, which replace the stored targets; needs the
                order "own".
            augment: of these learners; None for that of the data.
        """
        self._data = data
        view = view or View()
        keys = list(learners) if order == "own" else [0]
        self._batch_rows = batch_rows
        self._epoch_rows = data.epoch_rows(keys[0], view)
        self._streams = [data.stream(key, view) for key in keys]
        self._keys = keys
        self._epochs = epochs
        self._views: dict[ShardRequest, ShardView] = {}
        self._sections: list[Section | None] = [None for _ in keys]
        self._ahead: Ahead | None = None
        shape = data.scale.shape
        self._buffer = np.empty((len(keys), batch_rows, *shape), np.float32)
        self.inputs: Floats = self._buffer if order == "own" else self._buffer[0]
        lead = len(learners), batch_rows
        stored: Array = np.empty((*lead, *data.target_shape), data.target_dtype)
        self._own_targets = own_targets
        self._targets = stored
        if own_targets is not None:
            self._targets = np.empty((*lead, own_targets[0].shape[1]), np.float32)
        self.weights: Floats = np.ones((len(learners), batch_rows), np.float32)
        # The same buffers with the rows of all learners in one line.
        self._rows = self._buffer.reshape(-1, *shape)
        self._row_targets = stored[: len(keys)].reshape(-1, *data.target_shape)
        self._row_weights = self.weights[: len(keys)].reshape(-1)
        self._ids = np.empty(len(self._rows), np.int32)
        self._masks = [data.mask(key, view) for key in keys]
        self._own = augment
        self._mixings = with_addresses((augment or data.recipe.augment).mixings)
        self.targets = self._targets
        if self._mixings:
            self.targets = np.empty((len(learners), batch_rows, outputs), np.float32)
            self._draws = seeds.Draws(data.recipe.seed, seeds.Purpose.MIX, keys)
            self._scratch = np.empty_like(self._buffer[0])
            self._codes = code_places(data.recipe.spans)

    def read(self, step: int) -> None:
        """Fill the buffers with the batches of step number `step`."""
        ids = self._copy_rows(step)
        for m, own in enumerate(self._own_targets or ()):
            own_ids = ids[m * self._batch_rows : (m + 1) * self._batch_rows]
            np.take(own, own_ids, axis=0, out=self._targets[m], mode="clip")
        for inputs, mask in zip(self._buffer, self._masks, strict=True):
            if mask is not None:
                inputs *= mask
        if self._mixings:
            self._mix(step)
        if len(self._keys) < len(self.targets):
            self.targets[1:] = self.targets[0]
            self.weights[1:] = self.weights[0]

    def _copy_rows(self, step: int) -> Integers:
        """Copy the rows of a step, and return their numbers (M N,)."""
        ahead = self._ahead
        if ahead is None or not ahead.first <= step < ahead.first + len(ahead.ids):
            ahead = self._ahead = self._look_ahead(step)
        if ahead is None:
            return self._copy_runs(step)
        ids: Integers = ahead.ids[step - ahead.first]
        ahead.view.copy(ids, self._rows, self._row_targets, self._row_weights)
        return ids

    def _look_ahead(self, step: int) -> Ahead | None:
        """Return the rows from a step on; None where a section ends within it, or views differ."""
        place, sections = step * self._batch_rows, self._sections
        left = min(s.left(place) if s is not None else 0 for s in sections)
        steps = min(LOOK_AHEAD, left // self._batch_rows)
        views = {id(s.view): s.view for s in sections if s is not None}
        if not steps or len(views) > 1:
            return None
        ids = np.empty((steps, len(sections), self._batch_rows), np.int32)
        for m, section in enumerate(sections):
            assert section is not None
            start = place - section.start
            own = section.ids[start : start + steps * self._batch_rows]
            ids[:, m] = own.reshape(steps, self._batch_rows)
        (view,) = views.values()
        view.require(ids.reshape(-1))
        return Ahead(step, ids.reshape(steps, -1), view)

    def _copy_runs(self, step: int) -> Integers:
        """Copy the rows of a step from section to section, and return their numbers (M N,)."""
        used: dict[ShardRequest, ShardView] = {}
        runs: list[Run] = []
        for m in range(len(self._keys)):
            self._look_up(m, step * self._batch_rows, used, runs)
        for view, start, stop in runs:
            rows, targets = self._rows[start:stop], self._row_targets[start:stop]
            view.gather(self._ids[start:stop], rows, targets, self._row_weights[start:stop])
        self._views = used
        return self._ids

    def _look_up(
        self, m: int, place: int, used: dict[ShardRequest, ShardView], runs: list[Run]
    ) -> None:
        """Look up the rows of the m-th learner, from a position in its stream on."""
        first, stop = m * self._batch_rows, (m + 1) * self._batch_rows
        while first < stop:
            section = self._sections[m]
            if section is None or not section.start <= place < section.stop:
                section = self._sections[m] = self._section(m, place, used)
            count = min(stop - first, section.stop - place)
            within = place - section.start
            self._ids[first : first + count] = section.ids[within : within + count]
            view = used[section.request] = section.view
            if runs and runs[-1][0] is view:
                runs[-1] = (view, runs[-1][1], first + count)
            else:
                runs.append((view, first, first + count))
            place, first = place + count, first + count

    def _section(self, m: int, place: int, used: dict[ShardRequest, ShardView]) -> Section:
        """Return the section around a position in the stream of the m-th learner."""
        stream, epoch = self._streams[m], place // self._epoch_rows
        window = stream.window(place)
        start = max(window.start, epoch * self._epoch_rows)
        stop = min(window.stop, (epoch + 1) * self._epoch_rows)
        ids = stream.ids(window)[start - window.start : stop - window.start]
        request = self._data.request(self._keys[m], epoch, window.shards, self._own)
        return Section(start, stop, ids, request, self._view(m, request, stop, used))

    def _view(
        self, m: int, wanted: ShardRequest, end: int, used: dict[ShardRequest, ShardView]
    ) -> ShardView:
        """Return the shards of a section; those at its `end` are prefetched."""
        if wanted not in used:
            view = self._views.get(wanted)
            if view is None:
                view = self._data.view(wanted, self._coming(m, end))
            used[wanted] = view
        return used[wanted]

    def _coming(self, m: int, place: int) -> ShardRequest | None:
        """Return the shard request at a position in the stream; None after the last epoch."""
        epoch = place // self._epoch_rows
        if epoch == self._epochs:
            return None
        shards = self._streams[m].window(place).shards
        return self._data.request(self._keys[m], epoch, shards, self._own)

    def _mix(self, step: int) -> None:
        """Convert targets into shares, and mix rows of each batch with one another."""
        for m in range(len(self._keys)):
            write_shares(self._targets[m], self.targets[m])
        for address, mixing in self._mixings:
            for m, random in enumerate(self._draws.at(step, address)):
                batch = self._buffer[m], self.targets[m], self.weights[m]
                mix(mixing, *batch, random, self._scratch, self._codes)
