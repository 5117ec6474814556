"""A dense layer whose kernel the members of a learner share."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import dense as products
from ensemble_pipe.nn.kernels.row_product import make_panels
from ensemble_pipe.nn.layers.activation import Activation, Identity
from ensemble_pipe.nn.layers.base import Binding, Layer
from ensemble_pipe.nn.layers.dense import Dense, write_kernel_gradient
from ensemble_pipe.nn.layers.shared_activation import Vectors, bind_activation
from ensemble_pipe.nn.layout import Parameter

# Sums of the members that are taken together: between a product and the passes over it they stay
# in the L2 cache. Smaller blocks make slower products, larger ones slower passes.
BLOCK_BYTES = 1 << 20


@settings
class SharedDense(Layer):
    """A dense layer of K members: y_k = f((x_k W) s_k + b_k) r_k.

    Wen, Tran & Ba 2020, "BatchEnsemble: an alternative approach to efficient ensemble and lifelong
    learning", eq. 1 and 5; Gorishniy et al. 2025, "TabM", section 3.2. W (D, O) is shared; s, b and
    r are (K, O). r multiplies the inputs of the *next* shared product, which is one product for all
    members: so all that happens between two products is done together, with f the activation
    behind the layer. Both passes go from block to block of members.

    Attributes:
        dense: of one member; s and r start at 1. First values that follow from the data are those
            of one layer for the rows of all members.
        members: K.
        scales_outputs: whether there is an r.
    """

    name: str = "dense"
    dense: Dense
    members: int
    scales_outputs: bool

    row_wise = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.dense.output_shape(input_shape)

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        kernel, bias = self.dense.parameters(input_shape)
        count = self.members
        shape = (count, self.dense.units)
        own = [
            replace(bias, shape=shape, members=count),
            Parameter("s", shape, "ones", members=count),
        ]
        if self.scales_outputs:
            own.append(Parameter("r", shape, "ones", members=count))
        return (kernel, *own)

    def absorbs(self, following: Sequence[Layer], input_shape: tuple[int, ...]) -> int:
        return self.dense.absorbs(following, input_shape)

    @property
    def fits(self) -> bool:
        return self.dense.fits

    def fit(self, binding: Binding, inputs: Floats) -> None:
        """Write the kernel, and the same bias for all members."""
        biases = binding.tensors["bias"]
        one = {"kernel": binding.tensors["kernel"], "bias": biases[:, 0]}
        self.dense.fit(replace(binding, tensors=one), inputs)
        biases[:, 1:] = biases[:, :1]

    def bind(self, binding: Binding) -> "BoundSharedDense":
        return BoundSharedDense(self, binding)


class Block(NamedTuple):
    """Some members of one learner: its place, theirs, and their rows among those of all members."""

    learner: int
    members: slice
    rows: slice


class BoundSharedDense:
    """A shared dense layer with its views and buffers, and the activation after it."""

    outputs_may_change = True

    def __init__(self, layer: SharedDense, binding: Binding) -> None:
        units, dtype = layer.dense.units, binding.dtype
        lead = binding.learners, layer.members
        self.by_member = (*lead, binding.batch_rows // layer.members, units)
        self.kernel = binding.tensors["kernel"]
        self.vectors = _vectors(binding.tensors, np.ones((*lead, units), dtype))
        self.sums, self.outputs = binding.buffer(units), binding.buffer(units)
        terms = self.kernel.shape[1] if binding.row_products else 0
        self.panels = make_panels(terms, units, dtype)
        self._bind_activation(binding)
        self.wants_input_gradient = binding.input_gradient
        self.input_gradient: Floats | None = None
        if binding.gradients is not None:
            self.kernel_gradient = binding.gradients["kernel"]
            self.added_gradient = np.zeros_like(self.kernel[:1])
            self.gradients = _vectors(binding.gradients, np.zeros((*lead, units), dtype))
            if binding.input_gradient and not binding.may_overwrite_inputs:
                self.input_gradient = binding.buffer(*binding.input_shape)

    def _bind_activation(self, binding: Binding) -> None:
        """Bind the activation to the sums of as many members as the cache holds."""
        learners, members, rows, units = self.by_member
        most = max(1, BLOCK_BYTES // (rows * units * binding.dtype.itemsize))
        count = max(b for b in range(1, members + 1) if members % b == 0 and b <= most)
        self.blocks = [
            Block(m, slice(k, k + count), slice(k * rows, (k + count) * rows))
            for m in range(learners)
            for k in range(0, members, count)
        ]
        activation, values = binding.absorbed[0] if binding.absorbed else (Identity(), {})
        assert isinstance(activation, Activation)
        shape = (count, rows, units)
        self.activation = bind_activation(activation, values, learners, shape, binding.dtype)

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs
        sums, outputs = self.sums.reshape(self.by_member), self.outputs.reshape(self.by_member)
        for m, members, rows in self.blocks:
            one = slice(m, m + 1)
            self._multiply(inputs[one, rows], self.kernel[one], self.sums[one, rows])
            vectors = self.vectors.of(m, members)
            self.activation.forward(m, sums[m, members], vectors, outputs[m, members])
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        sums, own = self.sums.reshape(self.by_member), gradient.reshape(self.by_member)
        below = self.inputs if self.input_gradient is None else self.input_gradient
        for m, members, rows in self.blocks:
            vectors, gradients = self.vectors.of(m, members), self.gradients.of(m, members)
            self.activation.backward(m, sums[m, members], vectors, own[m, members], gradients)
            one = slice(m, m + 1)
            self._add_kernel_gradient(one, rows, gradient[one, rows])
            if self.wants_input_gradient:
                products.input_gradient(gradient[one, rows], self.kernel[one], below[one, rows])
        return below if self.wants_input_gradient else None

    def _multiply(self, inputs: Floats, kernel: Floats, sums: Floats) -> None:
        if self.panels.size > 0:
            products.row_products(inputs, kernel, sums, self.panels)
        else:
            np.matmul(inputs, kernel, out=sums)

    def _add_kernel_gradient(self, learner: slice, rows: slice, gradient: Floats) -> None:
        """Write what the learner's first rows give, and add what others do."""
        inputs, total = self.inputs[learner, rows], self.kernel_gradient[learner]
        if rows.start == 0:
            write_kernel_gradient(inputs, gradient, total)
        else:
            write_kernel_gradient(inputs, gradient, self.added_gradient)
            total += self.added_gradient


def _vectors(tensors: dict[str, Floats], instead: Floats) -> Vectors:
    """Return the vectors among a layer's tensors; `instead` stands for an r that it lacks."""
    return Vectors(tensors["s"], tensors["bias"], tensors.get("r", instead))
