"""Augmentation at prediction: several augmented versions of the same rows, to be averaged over.

Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural
networks", section 4.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats, Read
from ensemble_pipe.data.augment.policy import Augment, augment
from ensemble_pipe.data.chosen_rows import PartRows
from ensemble_pipe.data.tables.spans import Span

# A row's draws are those of its place among so many rows of the whole input, of which others may be
# blank: so neither the number of rows matters, nor where the input is cut.
GROUP_ROWS = 32


@dataclass(frozen=True)
class PredictionDraws:
    """How rows are augmented when they are predicted.

    Attributes:
        augment: the policy, and the number of draws.
        seed: of the run that trained the model.
    """

    augment: Augment
    seed: int

    def reads(self, view: PartRows, spans: tuple[Span, ...], first: int = 0) -> Iterator[Read]:
        """Yield a way to read rows for each draw; for no draws that of the rows as they are.

        Args:
            view: of the rows.
            spans: of the features of a table.
            first: number of the view's first row in the whole input.
        """
        if not self.augment.test_draws:
            yield view.read
        for draw in range(self.augment.test_draws):
            yield self._read(view, spans, draw, first)

    def _read(self, view: PartRows, spans: tuple[Span, ...], draw: int, first: int) -> Read:
        def read(start: int, stop: int, inputs: Floats) -> None:
            stored = view.read_stored(start, stop)
            begin, end = first + start, first + stop  # places in the whole input
            for group in range(begin - begin % GROUP_ROWS, end, GROUP_ROWS):
                low, high = max(begin, group), min(end, group + GROUP_ROWS)
                rows = np.zeros((GROUP_ROWS, *stored.shape[1:]), stored.dtype)
                rows[low - group : high - group] = stored[low - begin : high - begin]
                drawn = self._augmented(rows, spans, draw, group)
                inputs[low - begin : high - begin] = view.scale(drawn[low - group : high - group])

        return read

    def _augmented(self, rows: Array, spans: tuple[Span, ...], draw: int, group: int) -> Array:
        random = seeds.generator(self.seed, seeds.Purpose.TEST_TIME, epoch=draw, shard=group)
        return augment(rows, self.augment.draw_policy, random, spans)
