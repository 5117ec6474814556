"""The scale of a learner's own, in front of its network."""

from dataclasses import dataclass
from typing import Protocol

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.layers.base import Binding, Layer


class Rescaling(Protocol):
    """A function of each row alone, as `data.tables.rescaling` has it."""

    def apply(self, rows: Floats, out: Floats) -> None:
        """Write the other form of rows (..., D) to `out`, of their shape."""


@dataclass(frozen=True)
class Rescale(Layer):
    """Rows of another scale than the stored ones, the first layer of a network; learns nothing.

    Attributes:
        rescaling: that it applies.
    """

    rescaling: Rescaling
    name: str = "rescale"

    shares_inputs = True
    row_wise = True

    def bind(self, binding: Binding) -> "BoundRescale":
        return BoundRescale(self.rescaling, binding)


class BoundRescale:
    """The rows of a batch, in a buffer."""

    outputs_may_change = True

    def __init__(self, rescaling: Rescaling, binding: Binding) -> None:
        self.rescaling = rescaling
        self.outputs = binding.buffer(*binding.input_shape)

    def forward(self, inputs: Floats, step: int) -> Floats:
        own = self.outputs[: len(inputs)]  # one for all learners, where they share it
        self.rescaling.apply(inputs, own)
        return own

    def backward(self, gradient: Floats) -> None:
        """Nothing before it learns."""
