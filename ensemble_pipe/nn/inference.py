"""The one way from rows of parameters to outputs, for validation, prediction and serving.

Another number of rows in a product changes its last bits; the position within a fixed number does
not. So inference always runs on chunks of exactly `CHUNK_ROWS` rows, the last one padded.
"""

from collections.abc import Callable

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.nn.network import Network

CHUNK_ROWS = 256

Read = Callable[[int, int, Floats], None]


def outputs_of(
    network: Network,
    rows: Floats,
    read: Read,
    count: int,
    values: dict[str, Floats] | None = None,
) -> Floats:
    """Return the outputs of every learner for every row.

    Args:
        network: the architecture.
        rows: (M, P) parameters.
        read: read(start, stop, out) writes the network's inputs of rows start to stop into
            `out`, float32 (stop - start, *input_shape).
        count: number of rows to read.
        values: each learner's own numbers, as `Network.bind` takes them.

    Returns:
        (M, count, O) float32; logits for a classifier.
    """
    bound = network.bind(np.ascontiguousarray(rows), CHUNK_ROWS, values=values)
    inputs = np.zeros((CHUNK_ROWS, *network.input_shape), np.float32)
    result = np.empty((rows.shape[0], count, network.outputs), np.float32)
    for start in range(0, count, CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, count)
        read(start, stop, inputs[: stop - start])
        inputs[stop - start :] = 0
        with one_thread():
            result[:, start:stop] = bound.forward(inputs)[:, : stop - start]
    return result
