"""Residual blocks: a branch of layers with a shortcut around it."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels.gates import add_gated, scale
from ensemble_pipe.nn.layers.base import Binding, Layer, flat
from ensemble_pipe.nn.layers.chain import BoundChain, Chain, within
from ensemble_pipe.nn.layers.convolution import Conv2d
from ensemble_pipe.nn.layers.dense import Dense
from ensemble_pipe.nn.layers.plain import PLAIN_LAYERS, PlainLayer
from ensemble_pipe.nn.layout import Parameter

SHORTCUT = "shortcut"
MAX_STRIDE = 16


@settings
class Residual(Layer):
    """y = gate f(x) + shortcut(x) (He et al. 2016, "Deep residual learning", eq. 1 and 2).

    f is the branch of `layers`. With a survival below 1 the depth is stochastic (Huang et al. 2016,
    "Deep networks with stochastic depth", eq. 2 and 5): at each step a learner's gate is 1 with
    that probability, else 0, for its whole batch; in a prediction the gate is the probability. A
    branch that is dropped still runs, so its batch-norm statistics move on.

    Attributes:
        layers: of the branch.
        survival: probability of the branch in training.
        shortcut: "identity" needs a branch that keeps the shape; "projection" is a dense layer, or
            for images a convolution of 1 by 1 pixels with the stride that fits; "auto" is the
            identity where it can be.
    """

    name: Literal["residual"] = "residual"
    layers: tuple[Annotated[PlainLayer, PLAIN_LAYERS], ...]
    survival: Annotated[float, Gt(0), Le(1)] = 1.0
    shortcut: Literal["auto", "identity", "projection"] = "auto"

    numbers = ("survival",)
    shares_inputs = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        branch = self._branch(input_shape)
        self._shortcut(branch)
        return branch.output_shape

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        branch = self._branch(input_shape)
        shortcut = self._shortcut(branch).parameters
        return (
            *branch.parameters,
            *(replace(parameter, name=f"{SHORTCUT}/{parameter.name}") for parameter in shortcut),
        )

    def values(self, input_shape: tuple[int, ...]) -> dict[str, float]:
        return {"survival": self.survival, **self._branch(input_shape).values}

    def normalized_over(self, input_shape: tuple[int, ...], batch_rows: int) -> dict[str, int]:
        return self._branch(input_shape).normalized_over(batch_rows)

    def bind(self, binding: Binding) -> "BoundResidual":
        branch = self._branch(binding.input_shape)
        return BoundResidual(binding, branch, self._shortcut(branch))

    @property
    def fits(self) -> bool:
        return any(layer.fits for layer in self.layers)

    def fit(self, binding: Binding, inputs: Floats) -> None:
        self._branch(binding.input_shape).fit(binding, inputs)

    @property
    def test_draws(self) -> int:
        return max((layer.test_draws for layer in self.layers), default=1)

    @property
    def has_own(self) -> bool:
        return any(layer.has_own for layer in self.layers)

    @property
    def drops(self) -> bool:
        return any(layer.drops for layer in self.layers)

    def _branch(self, input_shape: tuple[int, ...]) -> Chain:
        if not self.layers:
            raise ValueError("has no layers inside; list at least one")
        return Chain(input_shape, self.layers)

    def _shortcut(self, branch: Chain) -> Chain:
        """Return the shortcut around a branch: no layer at all for the identity."""
        before, after = branch.shapes[0], branch.output_shape
        if self.shortcut == "projection" or (self.shortcut == "auto" and before != after):
            return Chain(before, [_projection(before, after)])
        if before != after:
            raise ValueError(
                f"its layers give rows of shape {after}, to which an identity shortcut cannot be "
                'added; let them keep the shape, or use shortcut "projection"'
            )
        return Chain(before, [])


class BoundResidual:
    """A residual block with the gates (M,) of the last pass."""

    outputs_may_change = True

    def __init__(self, binding: Binding, branch: Chain, shortcut: Chain) -> None:
        self.binding = binding
        self.survival = binding.values["survival"]
        self.gates = np.ones_like(self.survival)
        self.branch = branch.bind(replace(binding, absorbed=()))
        self.shortcut = _bind_shortcut(shortcut, binding)
        self.outputs: Floats | None = None
        if not self.branch.outputs_may_change:
            self.outputs = binding.buffer(*branch.output_shape)
        if binding.training:
            self.branch_gradient = binding.buffer(*branch.output_shape)

    def forward(self, inputs: Floats, step: int) -> Floats:
        self._set_gates(step)
        branch, shortcut = self.branch.forward(inputs, step), self.shortcut.forward(inputs, step)
        outputs = branch if self.outputs is None else self.outputs
        add_gated(flat(branch), flat(shortcut), self.gates, flat(outputs))
        return outputs

    def backward(self, gradient: Floats) -> Floats | None:
        scale(flat(gradient), self.gates, flat(self.branch_gradient))
        below = self.branch.backward(self.branch_gradient)
        beside = self.shortcut.backward(gradient)
        if below is None or beside is None:
            return None
        below += beside
        return below

    def _set_gates(self, step: int) -> None:
        if self.binding.training and (self.survival < 1).any():
            for m, random in enumerate(self.binding.generators(step)):
                self.gates[m] = random.random() < self.survival[m]
        else:
            self.gates[:] = self.survival


def _bind_shortcut(shortcut: Chain, binding: Binding) -> BoundChain:
    gradients = binding.gradients
    own = replace(
        binding,
        name=f"{binding.name}/{SHORTCUT}",
        tensors=within(SHORTCUT, binding.tensors),
        gradients=None if gradients is None else within(SHORTCUT, gradients),
        still=frozenset(within(SHORTCUT, dict.fromkeys(binding.still))),
        absorbed=(),
    )
    return shortcut.bind(own)


def _projection(before: tuple[int, ...], after: tuple[int, ...]) -> Layer:
    """Return the layer that makes rows of one shape from rows of another."""
    if len(before) == len(after) == 1:
        return Dense(units=after[0])
    if len(before) == len(after) == 3:
        for stride in range(1, MAX_STRIDE + 1):
            layer = Conv2d(filters=after[2], kernel_size=1, stride=stride, bias=False)
            if layer.output_shape(before) == after:
                return layer
    raise ValueError(
        f"its layers give rows of shape {after} from rows of shape {before}, which no shortcut "
        "does; let them give flat rows from flat rows, or from images those that 1 by 1 pixels "
        "with a stride give"
    )
