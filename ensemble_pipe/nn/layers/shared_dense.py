"""A dense layer whose kernel the members of a learner share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import dense as products
from ensemble_pipe.nn.kernels import shared as kernels
from ensemble_pipe.nn.kernels.row_product import make_panels
from ensemble_pipe.nn.layers.activation import Activation, Identity
from ensemble_pipe.nn.layers.base import Binding, Layer
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layers.dense import Dense, write_kernel_gradient
from ensemble_pipe.nn.layout import Parameter

# Sums of some members that are looked at several times in turn should stay in the L2 cache.
BLOCK_BYTES = 1 << 18


@settings
class SharedDense(Layer):
    """A dense layer of K members: y_k = f((x_k W) s_k + b_k) r_k.

    Wen, Tran & Ba 2020, "BatchEnsemble: an alternative approach to efficient ensemble and lifelong
    learning", eq. 1 and 5; Gorishniy et al. 2025, "TabM", section 3.2. W (D, O) is shared; s, b and
    r are (K, O). r multiplies the inputs of the *next* shared product, which is one product for all
    members: so all that happens between two products is done in one pass, with f the activation
    behind the layer. The sums x_k W are kept, all else is computed again for the gradients.

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


class BoundSharedDense:
    """A shared dense layer with its views and buffers, and the activation after it."""

    outputs_may_change = True

    def __init__(self, layer: SharedDense, binding: Binding) -> None:
        members, units = layer.members, layer.dense.units
        rows = binding.batch_rows // members
        self.by_member = (binding.learners, members, rows, units)
        self.kernel = binding.tensors["kernel"]
        self.bias = binding.tensors["bias"]
        self.scale = Contiguous(binding.tensors["s"])
        ones = np.ones((binding.learners, members, units), binding.dtype)
        self.next_scale = Contiguous(binding.tensors["r"] if layer.scales_outputs else ones)
        self.sums, self.outputs = binding.buffer(units), binding.buffer(units)
        terms = self.kernel.shape[1] if binding.row_products else 0
        self.panels = make_panels(terms, units, binding.dtype)
        self._bind_activation(binding)
        self.input_gradient: Floats | None = None
        if binding.gradients is not None:
            self.kernel_gradient = binding.gradients["kernel"]
            self.bias_gradient = binding.gradients["bias"]
            self.scale_gradient = Contiguous(binding.gradients["s"])
            unused = np.zeros_like(ones)
            own = binding.gradients["r"] if layer.scales_outputs else unused
            self.next_gradient = Contiguous(own)
            if binding.input_gradient:
                self.input_gradient = binding.buffer(*binding.input_shape)

    def _bind_activation(self, binding: Binding) -> None:
        """Bind the activation to scratch for the sums of as many members as the cache holds."""
        _, members, rows, units = self.by_member
        most = max(1, BLOCK_BYTES // (rows * units * binding.dtype.itemsize))
        self.block = max(b for b in range(1, members + 1) if members % b == 0 and b <= most)
        self.scratch = np.zeros((self.block, rows, units), binding.dtype)
        activation, values = binding.absorbed[0] if binding.absorbed else (Identity(), {})
        assert isinstance(activation, Activation)
        self.values = values
        own = {name: np.zeros(self.block, binding.dtype) for name in values}
        self.activation, self.own_values = activation.fuse(self.scratch, own), own

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.inputs = inputs
        if self.panels.size > 0:
            products.row_products(inputs, self.kernel, self.sums, self.panels)
        else:
            np.matmul(inputs, self.kernel, out=self.sums)
        self.scale.read()
        next_scale, outputs = self.next_scale.read(), self.outputs.reshape(self.by_member)
        for m, part in self._blocks():
            kernels.scale_rows(self._activated(m, part), next_scale[m, part], outputs[m, part])
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        above, sums = gradient.reshape(self.by_member), self.sums.reshape(self.by_member)
        for m, part in self._blocks():
            own, activated = above[m, part], self._activated(m, part)
            next_scale, next_gradient = self.next_scale.array[m, part], self.next_gradient.array
            kernels.scale_gradient(own, activated, next_scale, next_gradient[m, part])
            self.activation.backward(own, self.bias_gradient[m, part])
            scale, scale_gradient = self.scale.array[m, part], self.scale_gradient.array
            kernels.scale_gradient(own, sums[m, part], scale, scale_gradient[m, part])
        self.scale_gradient.write()
        self.next_gradient.write()
        write_kernel_gradient(self.inputs, gradient, self.kernel_gradient)
        if self.input_gradient is not None:
            products.input_gradient(gradient, self.kernel, self.input_gradient)
        return self.input_gradient

    def _blocks(self) -> list[tuple[int, slice]]:
        """Return each learner's place with some of its members, in order."""
        learners, members = self.by_member[:2]
        starts = range(0, members, self.block)
        return [(m, slice(start, start + self.block)) for m in range(learners) for start in starts]

    def _activated(self, m: int, part: slice) -> Floats:
        """Return f(sums s + b) of some members, valid until the next."""
        for name, values in self.own_values.items():
            values[...] = self.values[name][m]
        sums = self.sums.reshape(self.by_member)
        kernels.scale_rows(sums[m, part], self.scale.array[m, part], self.scratch)
        return self.activation.forward(self.bias[m, part])
