"""Networks of dense layers alone, whose outputs `kernels.dense_chain` computes in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels import dense_chain as kernels
from ensemble_pipe.nn.kernels import row_product
from ensemble_pipe.nn.kernels.lanes import aligned_zeros
from ensemble_pipe.nn.layers.activation import Identity, LeakyReLU, ReLU
from ensemble_pipe.nn.layers.base import Layer
from ensemble_pipe.nn.layers.dense import Dense, Flatten
from ensemble_pipe.nn.layers.dropout import Dropout
from ensemble_pipe.nn.network import Network

BLOCK_ROWS = 48  # whose numbers between two layers the first cache holds, and whole sixes
# Others are not worth the time to compile them here as well.
_ENDINGS: dict[type[Layer], int] = {
    Identity: row_product.LINEAR,
    ReLU: row_product.RELU,
    LeakyReLU: row_product.LEAKY_RELU,
}
_FLOAT32 = np.dtype(np.float32)


class DenseChain:
    """A network of dense layers, each with or without an activation, with all work buffers."""

    def __init__(self, network: Network, steps: "Sequence[_Step]", count: int) -> None:
        """Args: the network, its layers, and the most rows of a call."""
        panels, places = 0, []
        for step in steps:
            places.append((*step.shape, *step.starts, panels, step.ending))
            panels += row_product.panels_size(*step.shape, _FLOAT32)
        self._layers = np.array(places, np.int64)
        self._slopes = [step.slope for step in steps]
        self._values = network.values
        few = count <= row_product.FEW_ROWS
        self._panels = aligned_zeros((0 if few else panels,), _FLOAT32)
        widest = max(step.shape[1] for step in steps)
        self._work = aligned_zeros((2, min(count, BLOCK_ROWS), widest), _FLOAT32)

    @classmethod
    def of(cls, network: Network, count: int) -> "DenseChain | None":
        """Return the chain that a network is, for calls of up to `count` rows.

        None where the network has other layers.
        """
        steps = []
        for step in _steps(network):
            if step is None:
                return None
            steps.append(step)
        return cls(network, steps, count)

    def run(
        self, rows: Floats, values: Mapping[str, Floats], inputs: Floats, out: Floats, first: int
    ) -> None:
        """Write the outputs (M, R, O) of learners for inputs (N, ...), from the row `first` on.

        Args:
            rows: (M, P) of the learners.
            values: their own numbers, (M,) by name; of those that are missing, the network's.
            inputs, out: contiguous.
        """
        slopes = np.zeros((len(rows), len(self._slopes)), np.float32)
        for place, name in enumerate(self._slopes):
            if name:
                slopes[:, place] = values.get(name, self._values[name])
        flat = inputs.reshape(len(inputs), -1)
        kernels.run(flat, rows, self._layers, slopes, self._panels, self._work, out, first)


class _Step(NamedTuple):
    """A dense layer: its kernel's shape, where in a row kernel and bias start, its activation."""

    shape: tuple[int, int]
    starts: tuple[int, int]
    ending: int = row_product.LINEAR
    slope: str = ""


def _steps(network: Network) -> Iterator[_Step | None]:
    """Yield the dense layers of a network, and None for any layer that is no part of a chain."""
    chain, starts = network.chain, network.layout.offsets
    held: _Step | None = None
    for name, layer, shape in zip(chain.names, chain.layers, chain.shapes, strict=False):
        if type(layer) is Dense:
            if held:
                yield held
            own = starts[f"{name}/kernel"], starts[f"{name}/bias"]
            held = _Step((shape[0], layer.units), own)
        elif type(layer) in _ENDINGS and held and held.ending == row_product.LINEAR:
            slope = f"{name}/slope" if type(layer) is LeakyReLU else ""
            held = held._replace(ending=_ENDINGS[type(layer)], slope=slope)
        elif type(layer) is not Flatten and not _is_identity(layer):
            yield None
    yield held


def _is_identity(layer: Layer) -> bool:
    """Return whether a layer does nothing in predictions that drop no units."""
    return type(layer) is Dropout and layer.form == "inverted"
