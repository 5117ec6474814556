"""The training rows among the blocks of a source."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ensemble_pipe.data.sources.rows import Place, Rows

Train = npt.NDArray[np.bool_]
"""(R,) whether a row is a training row."""


def training_blocks(
    rows: Rows, names: Sequence[str], train: Train
) -> Iterator[tuple[pa.RecordBatch, Train, Place]]:
    """Yield (block, which of its rows are training rows, the place of its rows)."""
    for first, block in rows.blocks(names) if names else ():
        yield block, train[first : first + block.num_rows], rows.place_from(first)
