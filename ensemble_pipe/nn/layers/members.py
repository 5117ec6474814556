"""The members of a learner: where their rows begin to differ, and layers that each has of its own.

Behind a `Spread` a batch holds N rows for each of K members, (M, K N, ...): those of the first
member, then those of the second, and so on. To a layer that members share these are K N rows of
one learner; to a layer that each has of its own they are N rows of M K learners.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import FirstValues
from ensemble_pipe.nn.kernels import shared as kernels
from ensemble_pipe.nn.layers.base import Binding, Layer
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layout import Parameter


@settings
class Spread(Layer):
    """Gives each member the rows of a batch: y_k = r_k x, with x (N, D), r (K, D), y (K N, D).

    Attributes:
        members: K.
        scales: the first values of r; None for no r, y_k = x.
    """

    name: str = "members"
    members: int
    scales: FirstValues | None = None

    shares_inputs = True

    @property
    def spreads_to(self) -> int:
        return self.members

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        if self.scales is None:
            return ()
        return (Parameter("r", (self.members, *input_shape), self.scales, members=self.members),)

    def bind(self, binding: Binding) -> "BoundSpread":
        return BoundSpread(self, binding)


class BoundSpread:
    """Factors of the members, and their rows."""

    outputs_may_change = True

    def __init__(self, layer: Spread, binding: Binding) -> None:
        lead = binding.learners, layer.members
        rows, columns = binding.batch_rows, int(np.prod(binding.input_shape))
        self.shape = binding.input_shape
        self.outputs = np.zeros((*lead, rows, columns), binding.dtype)
        own = layer.scales is not None
        ones = np.ones((*lead, columns), binding.dtype)
        self.factors = Contiguous(binding.tensors["r"] if own else ones)
        self.factor_gradient: Contiguous | None = None
        if binding.gradients is not None and own:
            self.factor_gradient = Contiguous(binding.gradients["r"])
        self.input_gradient: Floats | None = None
        if binding.training and binding.input_gradient:
            self.input_gradient = np.zeros((lead[0], rows, columns), binding.dtype)

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs.reshape(*inputs.shape[:2], -1)
        factors = self.factors.read()
        for m, out in enumerate(self.outputs):
            kernels.spread_rows(self.inputs[m % len(inputs)], factors[m], out)
        return self.outputs.reshape(len(factors), -1, *self.shape)

    def backward(self, gradient: Floats) -> Floats | None:
        own = gradient.reshape(self.outputs.shape)
        if self.factor_gradient is not None:
            for m, sums in enumerate(self.factor_gradient.array):
                kernels.spread_factor_gradient(own[m], self.inputs[m % len(self.inputs)], sums)
            self.factor_gradient.write()
        if self.input_gradient is None:
            return None
        for m, total in enumerate(self.input_gradient):
            kernels.gather_gradient(own[m], self.factors.array[m], total)
        return self.input_gradient.reshape(*self.input_gradient.shape[:2], *self.shape)


@settings
class PerMember(Layer):
    """A layer that each member has of its own: its tensors are (K, *shape).

    Attributes:
        name: of the layer.
        layer: that every member has.
        members: K.
    """

    name: str
    layer: Layer
    members: int

    row_wise = True

    @classmethod
    def of(cls, layer: Layer, members: int) -> Self:
        """Return a layer for each of so many members."""
        return cls(name=layer.name, layer=layer, members=members)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.layer.output_shape(input_shape)

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        count = self.members
        return tuple(
            replace(parameter, shape=(count, *parameter.shape), members=count)
            for parameter in self.layer.parameters(input_shape)
        )

    def values(self, input_shape: tuple[int, ...]) -> dict[str, float]:
        return self.layer.values(input_shape)

    def absorbs(self, following: Sequence[Layer], input_shape: tuple[int, ...]) -> int:
        return self.layer.absorbs(following, input_shape)

    def normalized_over(self, input_shape: tuple[int, ...], batch_rows: int) -> dict[str, int]:
        return self.layer.normalized_over(input_shape, batch_rows)

    @property
    def fits(self) -> bool:
        return self.layer.fits

    def fit(self, binding: Binding, inputs: Floats) -> None:
        """Write the first values of each member, by its rows."""
        rows = _split(inputs, self.members)
        for k in range(self.members):
            tensors = {name: tensor[:, k] for name, tensor in binding.tensors.items()}
            own = replace(
                binding, name=f"{binding.name}/{k}", batch_rows=rows.shape[1], tensors=tensors
            )
            self.layer.fit(own, rows[k : k + 1])

    def bind(self, binding: Binding) -> "BoundPerMember":
        return BoundPerMember(self, binding)


class BoundPerMember:
    """A layer that is bound to M K learners, with copies of tensors whose rows lie apart."""

    def __init__(self, layer: PerMember, binding: Binding) -> None:
        count, self.members = binding.learners * layer.members, layer.members
        self.rows = binding.batch_rows // layer.members
        self.tensors = {name: Contiguous(view) for name, view in binding.tensors.items()}
        self.gradients = {
            name: Contiguous(view) for name, view in (binding.gradients or {}).items()
        }
        self.values: list[tuple[Floats, Floats]] = []
        absorbed = tuple((one, self._repeated(values)) for one, values in binding.absorbed)
        own = replace(
            binding,
            learners=count,
            batch_rows=self.rows,
            tensors=_of_members(self.tensors, count),
            gradients=None if binding.gradients is None else _of_members(self.gradients, count),
            values=self._repeated(binding.values),
            absorbed=absorbed,
        )
        self.bound = layer.layer.bind(own)
        self.outputs_may_change = self.bound.outputs_may_change

    def _repeated(self, values: dict[str, Floats]) -> dict[str, Floats]:
        """Return the numbers (M,) of learners for all of their members, which every pass reads."""
        repeated = {name: np.repeat(own, self.members) for name, own in values.items()}
        self.values += [(values[name], repeated[name]) for name in values]
        return repeated

    def forward(self, inputs: Floats, step: int) -> Floats:
        for tensor in self.tensors.values():
            tensor.read()
        for own, repeated in self.values:
            repeated.reshape(-1, self.members)[...] = own[:, None]
        outputs = self.bound.forward(_split(inputs, self.members), step)
        return outputs.reshape(len(outputs) // self.members, -1, *outputs.shape[2:])

    def backward(self, gradient: Floats) -> Floats | None:
        below = self.bound.backward(_split(gradient, self.members))
        for tensor in self.gradients.values():
            tensor.write()
        if below is None:
            return None
        return below.reshape(len(gradient), -1, *below.shape[2:])


def _split(rows: Floats, members: int) -> Floats:
    """Return rows (M, K N, ...) as those (M K, N, ...) of every member."""
    return rows.reshape(len(rows) * members, -1, *rows.shape[2:])


def _of_members(tensors: dict[str, Contiguous], count: int) -> dict[str, Floats]:
    """Return tensors (M, K, *shape) as those (M K, *shape) of every member."""
    return {
        name: tensor.array.reshape(count, *tensor.array.shape[2:])
        for name, tensor in tensors.items()
    }
