"""A network: layers in order over one row of parameters."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe import seeds
from ensemble_pipe.arrays import Floats
from ensemble_pipe.nn.initializers import INITIALIZERS
from ensemble_pipe.nn.layers import Binding, Dense, Flatten, Layer
from ensemble_pipe.nn.layout import Layout
from ensemble_pipe.settings import settings


class Network:
    """Layers in order.

    Attributes:
        input_shape: of one row: (D,) or (H, W, C).
        outputs: O.
        layout: of a row of parameters.
    """

    def __init__(self, input_shape: tuple[int, ...], layers: Sequence[Layer]) -> None:
        self.input_shape = input_shape
        self.layers = tuple(layers)
        self.outputs = self.layers[-1].output_shape[0]
        self.layout = Layout(tuple(p for layer in self.layers for p in layer.parameters))

    def initialize(self, seed: int, learner: int, dtype: type[np.floating] = np.float32) -> Floats:
        """Return a fresh row (P,) for one learner, each tensor drawn at its own address."""
        pieces = [
            INITIALIZERS[parameter.initializer](
                seeds.generator(seed, seeds.Purpose.INITIALIZE, learner=learner, shard=index),
                parameter,
            ).ravel()
            for index, parameter in enumerate(self.layout.parameters)
        ]
        return np.concatenate(pieces).astype(dtype)

    def bind(
        self, rows: Floats, batch_rows: int, gradients: Floats | None = None
    ) -> "BoundNetwork":
        """Bind to rows (M, P) and batches of N rows; without `gradients` for inference only."""
        return BoundNetwork(self, rows, batch_rows, gradients)


class BoundNetwork:
    """A network with its views and all work buffers; a step allocates none that grow with N."""

    def __init__(
        self, network: Network, rows: Floats, batch_rows: int, gradients: Floats | None
    ) -> None:
        parameters = network.layout.views(rows)
        gradient_views = None if gradients is None else network.layout.views(gradients)
        self.layers = []
        below_is_trainable = False
        for layer in network.layers:
            binding = Binding(
                learners=rows.shape[0],
                batch_rows=batch_rows,
                dtype=rows.dtype,
                parameters=parameters,
                gradients=gradient_views,
                input_gradient=below_is_trainable,
            )
            self.layers.append(layer.bind(binding))
            below_is_trainable = below_is_trainable or bool(layer.parameters)

    def forward(self, inputs: Floats) -> Floats:
        """Return outputs (M, N, O) for inputs (M, N, ...) or shared (N, ...); valid until the next.

        Classifiers return logits.
        """
        values = inputs
        for layer in self.layers:
            values = layer.forward(values)
        return values

    def backward(self, gradient: Floats) -> None:
        """Write the gradient rows, from the gradient (M, N, O) with respect to the outputs."""
        below: Floats | None = gradient
        for layer in reversed(self.layers):
            if below is None:
                break
            below = layer.backward(below)


@settings
class Mlp:
    """A multi-layer perceptron: dense layers of the given widths, then a linear output.

    Attributes:
        hidden: units of each hidden layer; an empty list makes a linear model.
        activation: after each hidden layer.
        initializer: of every kernel.
    """

    name: Literal["mlp"] = "mlp"
    hidden: tuple[Annotated[int, Gt(0), Le(65536)], ...] = (128,)
    activation: Literal["relu", "tanh"] = "relu"
    initializer: Literal["he_normal", "he_uniform", "glorot_normal", "glorot_uniform"] = "he_normal"

    def build(self, input_shape: tuple[int, ...], outputs: int) -> Network:
        """Return the network for rows of `input_shape` and `outputs` outputs."""
        flatten = Flatten(input_shape)
        widths = (*flatten.output_shape, *self.hidden, outputs)
        activations = (*(self.activation for _ in self.hidden), "linear")
        dense = [
            Dense(
                f"dense{index + 1}", widths[index], widths[index + 1], activation, self.initializer
            )
            for index, activation in enumerate(activations)
        ]
        return Network(input_shape, [flatten, *dense])
