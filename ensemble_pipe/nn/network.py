"""A network: layers in order over one row of numbers."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.initializers import draw
from ensemble_pipe.nn.layers.base import Binding, Layer
from ensemble_pipe.nn.layers.chain import Chain
from ensemble_pipe.nn.layout import Layout


class Network:
    """Layers in order.

    Attributes:
        input_shape: of one row: (D,) or (H, W, C).
        outputs: O.
        members: K, of one learner; a row of inputs has so many rows of outputs.
        layout: of a row of parameters and statistics.
        values: numbers that may differ between the learners of a stack, by "layer/field".
        test_draws: the number of passes whose mean outputs make a prediction.
        drops: whether units or weights are dropped in training.
        fits: whether some first values follow from the data.
    """

    def __init__(self, input_shape: tuple[int, ...], layers: Sequence[Layer]) -> None:
        self.chain = Chain(input_shape, layers)
        self.input_shape = input_shape
        self.outputs = self.chain.output_shape[0]
        self.members = self.chain.members
        self.layout = Layout(self.chain.parameters)
        self.values = self.chain.values
        self.test_draws = self.chain.test_draws
        self.drops = self.chain.drops
        self.fits = self.chain.fits

    def initialize(
        self, seed: int, learner: int, dtype: type[np.floating] = np.float32, *, number: int = 0
    ) -> Floats:
        """Return a fresh row (P,) for one learner, each tensor drawn at its own address.

        A learner of several networks draws another for each `number` of them.
        """
        names = [parameter.name for parameter in self.layout.parameters]
        pieces = [self.draw(name, seed, learner, number=number).ravel() for name in names]
        return np.concatenate(pieces).astype(dtype)

    def draw(self, name: str, seed: int, learner: int, *, number: int = 0) -> Floats:
        """Return the first values of one tensor, float64."""
        index = [parameter.name for parameter in self.layout.parameters].index(name)
        address = seeds.generator(
            seed, seeds.Purpose.INITIALIZE, learner=learner, epoch=number, shard=index
        )
        parameter = self.layout.parameters[index]
        if not parameter.members:
            return draw(parameter.initializer, address, parameter)
        one = replace(parameter, shape=parameter.shape[1:], members=0)
        return np.stack([draw(one.initializer, address, one) for _ in range(parameter.members)])

    def fit(self, row: Floats, inputs: Floats, seed: int, learner: int, *, number: int = 0) -> None:
        """Write what follows from the data over a learner's drawn values, in its row (P,).

        Args:
            row: fresh, from `initialize`.
            inputs: (N, ...), training rows.
            seed, learner, number: as for `initialize`.
        """
        draws = seeds.Draws(seed, seeds.Purpose.START, [learner], epoch=number)
        own = row[None]
        binding = self._binding(own, len(inputs), draws=draws)
        self.chain.fit(binding, inputs[None])

    def bind(
        self,
        rows: Floats,
        batch_rows: int,
        gradients: Floats | None = None,
        *,
        draws: seeds.Draws | None = None,
        values: dict[str, Floats] | None = None,
        frozen: Collection[str] = (),
        row_products: bool = False,
    ) -> "BoundNetwork":
        """Bind to the rows of a stack and batches of N rows.

        Args:
            rows: (M, P).
            batch_rows: N.
            gradients: (M, T), for training; without them for inference only.
            draws: the randomness of training; without gradients, that of predictions which drop
                the same units for every row.
            values: (M,) each, by the names of `self.values`; None for the network's own. Those of
                the rows' type are read anew at every step.
            frozen: names of parameters that do not move.
            row_products: as in `Binding`.
        """
        binding = self._binding(
            rows, batch_rows, gradients, draws=draws, values=values, frozen=frozen,
            row_products=row_products,
        )  # fmt: skip
        return BoundNetwork(self, binding)

    def _binding(
        self,
        rows: Floats,
        batch_rows: int,
        gradients: Floats | None = None,
        *,
        draws: seeds.Draws | None = None,
        values: dict[str, Floats] | None = None,
        frozen: Collection[str] = (),
        row_products: bool = False,
    ) -> Binding:
        """Return what `bind` binds the chain to."""
        if values is None:
            values = {name: np.full(len(rows), value) for name, value in self.values.items()}
        return Binding(
            name="",
            input_shape=self.input_shape,
            learners=len(rows),
            batch_rows=batch_rows,
            dtype=rows.dtype,
            tensors=self.layout.views(rows),
            gradients=None if gradients is None else self.layout.gradient_views(gradients),
            values={name: own.astype(rows.dtype, copy=False) for name, own in values.items()},
            draws=draws,
            row_products=row_products,
            input_gradient=False,
            still=frozenset(frozen),
        )


class BoundNetwork:
    """A network with its views and all work buffers; a step allocates none that grow with N."""

    def __init__(self, network: Network, binding: Binding) -> None:
        self.lead = (binding.learners, binding.batch_rows)
        self.shares_inputs = network.chain.layers[0].shares_inputs
        self.row_axes = len(network.input_shape)
        self.chain = network.chain.bind(binding)

    def forward(self, inputs: Floats, step: int = 0) -> Floats:
        """Return outputs (M, N, O) for inputs (M, N, ...) or shared (N, ...); valid until the next.

        Classifiers return logits. Of K members of a learner they are (M, K N, O), the N rows of the
        first member, then those of the second, and so on.

        Args:
            inputs: a batch.
            step: of training, for layers that draw; in inference, the number of the pass.
        """
        if inputs.ndim == self.row_axes + 1:
            inputs = inputs[None]
            if not self.shares_inputs:
                inputs = np.broadcast_to(inputs, (self.lead[0], *inputs.shape[1:])).copy()
        return self.chain.forward(inputs, step)

    def backward(self, gradient: Floats) -> None:
        """Write the gradients (M, T), from the gradient with respect to the outputs."""
        self.chain.backward(gradient)
