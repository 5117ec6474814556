"""The one way from rows of parameters to outputs, for validation, prediction and serving.

Another number of rows in a product of BLAS changes its last bits. So inference always runs on
chunks of exactly `CHUNK_ROWS` rows, the last one padded. On processors where BLAS makes the bits of
a row depend on its position in the chunk too, `kernels.row_product` multiplies instead. Where a
layer draws in predictions as well, the outputs are the mean over `Network.test_draws` passes.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.core.seeds import Draws
from ensemble_pipe.nn.blas import one_thread, position_changes_bits
from ensemble_pipe.nn.network import BoundNetwork, Network

CHUNK_ROWS = 256


def outputs_of(
    network: Network,
    rows: Floats,
    read: Read,
    count: int,
    values: dict[str, Floats] | None = None,
    masks: Sequence[Floats | None] = (),
) -> Floats:
    """Return the outputs of every learner for every row.

    Args:
        network: the architecture.
        rows: (M, P) parameters.
        read: read(start, stop, out) writes the network's inputs of rows start to stop into
            `out`, float32 (stop - start, *input_shape).
        count: number of rows to read.
        values: each learner's own numbers, as `Network.bind` takes them.
        masks: what each learner's inputs are multiplied by, float32 of `input_shape`; None for 1.

    Returns:
        (M, count, O) float32; logits for a classifier.
    """
    # One learner at a time: memory for one, whatever their number; the bits are the same.
    row = np.empty((1, rows.shape[1]), rows.dtype)
    own = {name: np.empty(1, rows.dtype) for name in values or {}} or None
    row_products = position_changes_bits(CHUNK_ROWS)
    bound = network.bind(row, CHUNK_ROWS, values=own, row_products=row_products)
    result = np.empty((rows.shape[0], count, network.outputs), np.float32)
    with one_thread():
        for start, stop, inputs in _chunks(network, read, count):
            for m in range(len(rows)):
                row[0] = rows[m]
                for name, number in (own or {}).items():
                    number[0] = (values or {})[name][m]
                mask = masks[m] if masks else None
                seen = inputs if mask is None else inputs * mask
                outputs = _mean_outputs(bound, seen, network.test_draws)
                result[m, start:stop] = outputs[0, : stop - start]
    return result


def sampled_outputs_of(
    network: Network,
    row: Floats,
    read: Read,
    count: int,
    draws: Draws,
    number: int,
    mask: Floats | None = None,
) -> Floats:
    """Return the outputs of one learner with some of its units dropped, the same for every row.

    Args:
        network, read, count: as for `outputs_of`.
        row: (P,) parameters.
        draws: of the learner.
        number: of the pass that draws.
        mask: what the inputs are multiplied by.

    Returns:
        (1, count, O) float32.
    """
    row_products = position_changes_bits(CHUNK_ROWS)
    bound = network.bind(row[None], CHUNK_ROWS, draws=draws, row_products=row_products)
    result = np.empty((1, count, network.outputs), np.float32)
    with one_thread():
        for start, stop, inputs in _chunks(network, read, count):
            outputs = bound.forward(inputs if mask is None else inputs * mask, number)
            result[0, start:stop] = outputs[0, : stop - start]
    return result


def _chunks(network: Network, read: Read, count: int) -> Iterator[tuple[int, int, Floats]]:
    """Yield (start, stop, inputs): inputs has `CHUNK_ROWS` rows, zero behind the last."""
    inputs = np.zeros((CHUNK_ROWS, *network.input_shape), np.float32)
    for start in range(0, count, CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, count)
        read(start, stop, inputs[: stop - start])
        inputs[stop - start :] = 0
        yield start, stop, inputs


def _mean_outputs(bound: BoundNetwork, inputs: Floats, passes: int) -> Floats:
    """Return the mean outputs of numbered passes, added in order."""
    outputs = bound.forward(inputs)
    if passes > 1:
        outputs = outputs.copy()
        for number in range(1, passes):
            outputs += bound.forward(inputs, number)
        outputs /= passes
    return outputs


def add_network(sums: Floats, factor: float, outputs: Floats) -> None:
    """Add a network of a boosted chain to the sum of those before it.

    Args:
        sums: (R, O) float64, changed in place.
        factor: of the network.
        outputs: (R, O) float32, of the network.
    """
    sums += factor * outputs.astype(np.float64)
