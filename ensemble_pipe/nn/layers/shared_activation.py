"""What happens between two products of members that share weights: y -> f(y s + b) r.

Sums y, outputs and gradients of some members of one learner are (K, N, O); the vectors s, b and r
(K, O). Gradients of the outputs become those of the sums, in place. The sums are kept for that, all
else is computed again.
"""

from typing import NamedTuple, Protocol

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels import shared as kernels
from ensemble_pipe.nn.layers.activation import Activation


class Vectors(NamedTuple):
    """The vectors s, b and r of members, or the gradients with respect to them.

    Of a stack they are (M, K, O), of some members of one learner (K, O).
    """

    scale: Floats
    bias: Floats
    next_scale: Floats

    def of(self, learner: int, members: slice) -> "Vectors":
        """Return those of some members of one learner."""
        return Vectors(*(vectors[learner, members] for vectors in self))


class SharedActivation(Protocol):
    """The two passes of an activation between its vectors."""

    def forward(self, learner: int, sums: Floats, vectors: Vectors, outputs: Floats) -> None:
        """Write the outputs of some members of the learner in that place of the stack."""
        ...

    def backward(
        self, learner: int, sums: Floats, vectors: Vectors, gradient: Floats, gradients: Vectors
    ) -> None:
        """Turn the gradient of the outputs into that of the sums; write those of the vectors."""
        ...


def bind_activation(
    activation: Activation,
    values: dict[str, Floats],
    learners: int,
    shape: tuple[int, int, int],
    dtype: np.dtype[np.floating],
) -> SharedActivation:
    """Return the passes for an activation.

    Args:
        activation: f.
        values: its numbers, (M,) each, by name; read anew in every pass.
        learners: M.
        shape, dtype: of the sums of a pass, (K, N, O).
    """
    slopes = activation.slopes(values, learners, dtype)
    if slopes is None:
        return Curve(activation, values, np.zeros(shape, dtype))
    return Bend(slopes)


class Bend:
    """A function that is x above zero and a multiple of it below: all of it in one pass."""

    def __init__(self, slopes: Floats) -> None:
        self.slopes = slopes

    def forward(self, learner: int, sums: Floats, vectors: Vectors, outputs: Floats) -> None:
        kernels.bend(sums, *vectors, self.slopes[learner], outputs)

    def backward(
        self, learner: int, sums: Floats, vectors: Vectors, gradient: Floats, gradients: Vectors
    ) -> None:
        kernels.bend_gradient(sums, *vectors, self.slopes[learner], gradient, *gradients)


class Curve:
    """Any activation, by its own kernels and passes before and after."""

    def __init__(self, activation: Activation, values: dict[str, Floats], scratch: Floats) -> None:
        self.values = values
        self.own = {name: np.zeros(len(scratch), scratch.dtype) for name in values}
        self.scratch = scratch
        self.fused = activation.fuse(scratch, self.own)

    def _activated(self, learner: int, sums: Floats, vectors: Vectors) -> Floats:
        """Return f(sums s + b), valid until the next."""
        for name, values in self.own.items():
            values[...] = self.values[name][learner]
        kernels.scale_rows(sums, vectors.scale, self.scratch)
        return self.fused.forward(vectors.bias)

    def forward(self, learner: int, sums: Floats, vectors: Vectors, outputs: Floats) -> None:
        kernels.scale_rows(self._activated(learner, sums, vectors), vectors.next_scale, outputs)

    def backward(
        self, learner: int, sums: Floats, vectors: Vectors, gradient: Floats, gradients: Vectors
    ) -> None:
        activated = self._activated(learner, sums, vectors)
        kernels.scale_gradient(gradient, activated, vectors.next_scale, gradients.next_scale)
        self.fused.backward(gradient, gradients.bias)
        kernels.scale_gradient(gradient, sums, vectors.scale, gradients.scale)
