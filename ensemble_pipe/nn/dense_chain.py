"""Networks of dense layers alone, whose outputs `kernels.dense_chain` computes in one pass."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels import dense_chain as kernels
from ensemble_pipe.nn.kernels.lanes import aligned_zeros
from ensemble_pipe.nn.kernels.row_product import panels_size
from ensemble_pipe.nn.layers.activation import Identity, LeakyReLU, ReLU
from ensemble_pipe.nn.layers.base import Layer
from ensemble_pipe.nn.layers.dense import Dense, Flatten
from ensemble_pipe.nn.layers.dropout import Dropout
from ensemble_pipe.nn.network import Network

BLOCK_ROWS = 48  # whose numbers between two layers the first cache holds, and whole sixes
_ACTIVATIONS: dict[type[Layer], int] = {
    Identity: kernels.IDENTITY,
    ReLU: kernels.RELU,
    LeakyReLU: kernels.LEAKY_RELU,
}
_FLOAT32 = np.dtype(np.float32)


class DenseChain:
    """A network of dense layers, each with or without an activation, with all work buffers."""

    def __init__(self, network: Network, steps: "list[_Step]") -> None:
        places, panels = [], 0
        for step in steps:
            places.append([*step.shape, *step.starts, panels, step.activation])
            panels += panels_size(*step.shape, _FLOAT32)
        self._layers = np.array(places, np.int64)
        self._slopes = np.zeros(len(steps), np.float32)
        self._named = [(place, step.slope) for place, step in enumerate(steps) if step.slope]
        self._values = network.values
        self._panels = aligned_zeros((panels,), _FLOAT32)
        widest = max(step.shape[1] for step in steps)
        self._work = aligned_zeros((2, BLOCK_ROWS, widest), _FLOAT32)

    @classmethod
    def of(cls, network: Network) -> "DenseChain | None":
        """Return the chain that a network is; None where it has other layers."""
        steps = list(_steps(network))
        return None if None in steps else cls(network, [step for step in steps if step])

    def run(self, row: Floats, values: Mapping[str, float], inputs: Floats, out: Floats) -> None:
        """Write the outputs (N, O) for inputs (N, ...) of a network with parameters `row` (P,).

        Args:
            row, inputs, out: float32, contiguous.
            values: its own numbers, by name; of those that are missing, the network's.
        """
        for place, name in self._named:
            self._slopes[place] = values.get(name, self._values[name])
        flat = inputs.reshape(len(inputs), -1)
        kernels.run(flat, row, self._layers, self._slopes, self._panels, self._work, out)


class _Step(NamedTuple):
    """A dense layer: its kernel's shape, where in a row kernel and bias start, its activation."""

    shape: tuple[int, int]
    starts: tuple[int, int]
    activation: int = kernels.IDENTITY
    slope: str = ""


def _steps(network: Network) -> Iterator[_Step | None]:
    """Yield the dense layers of a network, and None for any layer that is no part of a chain."""
    chain, starts = network.chain, network.layout.offsets
    held: _Step | None = None
    for name, layer, shape in zip(chain.names, chain.layers, chain.shapes, strict=False):
        kind = type(layer)
        if kind is Dense:
            if held:
                yield held
            own = starts[f"{name}/kernel"], starts[f"{name}/bias"]
            held = _Step((shape[0], layer.units), own)  # type: ignore[attr-defined]
        elif kind in _ACTIVATIONS and held and held.activation == kernels.IDENTITY:
            slope = f"{name}/slope" if kind is LeakyReLU else ""
            held = held._replace(activation=_ACTIVATIONS[kind], slope=slope)
        elif kind is not Flatten and not _is_identity(layer):
            yield None
    yield held


def _is_identity(layer: Layer) -> bool:
    """Return whether a layer does nothing in predictions that drop no units."""
    return type(layer) is Dropout and layer.form == "inverted"
