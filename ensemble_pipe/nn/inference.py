"""The one way from rows of parameters to outputs, for validation, prediction and serving.

The bits of a row's outputs depend on nothing around it: neither on how many rows are predicted at a
time, nor on its place among them, nor on other members. `kernels.row_product` multiplies for that,
not BLAS. Where a layer draws in predictions as well, the outputs are the mean over
`Network.test_draws` passes.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from math import prod

import numpy as np

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.core.seeds import Draws
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.nn.dense_chain import DenseChain
from ensemble_pipe.nn.network import Network

# Rows of a chunk at most. In a network with layers of a caller's own, of whose arithmetic nothing
# is known, every chunk has just as many, the last one padded.
CHUNK_ROWS = 256
# Numbers that the largest layer of a network gives for the rows of a chunk, for the cache's sake.
CHUNK_NUMBERS = 400_000
# Inputs that are read at a time, for all members, in bytes.
READ_BYTES = 8 << 20


def outputs_of(
    network: Network,
    rows: Floats | Sequence[Floats],
    read: Read,
    count: int,
    values: dict[str, Floats] | None = None,
    masks: Sequence[Floats | None] = (),
) -> Floats:
    """Return the outputs of every learner for every row.

    Args:
        network: the architecture.
        rows: (M, P) parameters, or M rows of them.
        read: read(start, stop, out) writes the network's inputs of rows start to stop into
            `out`, float32 (stop - start, *input_shape).
        count: number of rows to read.
        values: each learner's own numbers, as `Network.bind` takes them.
        masks: what each learner's inputs are multiplied by, float32 of `input_shape`; None for 1.

    Returns:
        (M, count, O) float32; logits for a classifier. Where a learner has K members (M K, count,
        O), those of the first learner first.
    """
    members = network.members
    result = np.empty((len(rows) * members, count, network.outputs), np.float32)
    if count == 0:
        return result
    own, runner = np.ascontiguousarray(rows, np.float32), _runner(network, count)
    for start, inputs in _pieces(network, read, count):
        for part, mask in _alike(masks, len(own)):
            seen = inputs if mask is None else inputs * mask
            numbers = {name: number[part] for name, number in (values or {}).items()}
            out = result[part.start * members : part.stop * members]
            runner.run(own[part], numbers, seen, out, start)
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
    result = np.empty((1, count, network.outputs), np.float32)
    if count == 0:
        return result
    layers = _Layers(network, count, draws, number)
    for start, inputs in _pieces(network, read, count):
        layers.run(row[None], {}, inputs if mask is None else inputs * mask, result, start)
    return result


class _Held(threading.local):
    """What each thread computed with last: the next rows often need the same."""

    network: Network | None = None
    count = 0
    runner: "DenseChain | _Layers"


_held = _Held()


def _runner(network: Network, count: int) -> "DenseChain | _Layers":
    """Return what computes the outputs of a network for `count` rows."""
    if _held.network is not network or _held.count != count:
        runner = DenseChain.of(network, _piece_rows(network, count)) or _Layers(network, count)
        _held.network, _held.count, _held.runner = network, count, runner
    return _held.runner


def _alike(masks: Sequence[Floats | None], members: int) -> Iterator[tuple[slice, Floats | None]]:
    """Yield the mask of each member, and None for all together where there are no masks."""
    if all(mask is None for mask in masks):
        yield slice(0, members), None
    else:
        for m, mask in enumerate(masks):
            yield slice(m, m + 1), mask


class _Layers:
    """The layers of a network one after another, for one learner at a time.

    Memory is for one learner's chunk, whatever the number of learners and rows.
    """

    def __init__(
        self, network: Network, count: int, draws: Draws | None = None, number: int | None = None
    ) -> None:
        """Bind to chunks of rows.

        Args:
            network, count: as for `outputs_of`.
            draws: what drops units; None for predictions that drop none.
            number: of the one pass to make; None for the mean over all passes.
        """
        largest = network.members * max(prod(shape) for shape in network.chain.shapes)
        most = max(1, min(CHUNK_ROWS, CHUNK_NUMBERS // largest))
        # Chunks of equal length leave little of the last one blank.
        length = CHUNK_ROWS if network.chain.has_own else -(-count // -(-count // most))
        self._members, self._defaults = network.members, network.values
        self._passes = range(network.test_draws) if number is None else (number,)
        self._row = np.zeros((1, network.layout.size), np.float32)
        self._values = {name: np.full(1, v, np.float32) for name, v in network.values.items()}
        self._inputs = np.zeros((length, *network.input_shape), np.float32)
        self._bound = network.bind(
            self._row, length, values=self._values, draws=draws, row_products=True
        )

    def run(
        self, rows: Floats, values: Mapping[str, Floats], inputs: Floats, out: Floats, first: int
    ) -> None:
        """Write the outputs of learners for some inputs, as `DenseChain.run`."""
        length = len(self._inputs)
        with one_thread():  # layers of a caller's own may call BLAS
            for m in range(len(rows)):
                self._row[0] = rows[m]
                for name, default in self._defaults.items():
                    self._values[name][0] = values[name][m] if name in values else default
                for start in range(0, len(inputs), length):
                    part = inputs[start : start + length]
                    self._inputs[: len(part)] = part
                    self._inputs[len(part) :] = 0
                    outputs, to = self._mean_outputs(), first + start
                    own = out[m * self._members : (m + 1) * self._members]
                    own[:, to : to + len(part)] = outputs[:, : len(part)]

    def _mean_outputs(self) -> Floats:
        """Return the mean outputs (K, N, O) of all passes, added in order."""
        first, *others = self._passes
        outputs: Floats = self._bound.forward(self._inputs, first)[0]
        if others:
            outputs = outputs.copy()
            for number in others:
                outputs += self._bound.forward(self._inputs, number)[0]
            outputs /= len(self._passes)
        return outputs.reshape(self._members, -1, outputs.shape[-1])


def _piece_rows(network: Network, count: int) -> int:
    """Return how many rows are read at a time: as many as `READ_BYTES` hold, in whole chunks."""
    row_bytes = 4 * prod(network.input_shape)
    return min(count, CHUNK_ROWS * max(1, READ_BYTES // (CHUNK_ROWS * row_bytes)))


def _pieces(network: Network, read: Read, count: int) -> Iterator[tuple[int, Floats]]:
    """Yield the number of the first row, and the inputs, of each piece of the rows."""
    length = _piece_rows(network, count)
    buffer = np.empty((length, *network.input_shape), np.float32)
    for start in range(0, count, length):
        inputs = buffer[: min(length, count - start)]
        read(start, start + len(inputs), inputs)
        yield start, inputs


def add_network(sums: Floats, factor: float, outputs: Floats) -> None:
    """Add a network of a boosted chain to the sum of those before it.

    Args:
        sums: (R, O) float64, changed in place.
        factor: of the network.
        outputs: (R, O) float32, of the network.
    """
    sums += factor * outputs.astype(np.float64)
