"""Dropout of activations, and of the weights of a dense layer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Initializer
from ensemble_pipe.nn.kernels.gates import drop, scale
from ensemble_pipe.nn.kernels.philox import fill_words
from ensemble_pipe.nn.layers.base import Binding, Layer, flat
from ensemble_pipe.nn.layers.dense import Dense
from ensemble_pipe.nn.layout import Parameter

Rate = Annotated[float, Ge(0), Lt(1)]


@settings
class Dropout(Layer):
    """Dropout (Srivastava et al. 2014): each number is zero with probability `rate` in training.

    Every learner, step, row and number has a draw of its own. With r the mask of those kept:

    - inverted: y = r x / (1 - rate) in training, y = x in a prediction;
    - classic (the paper's): y = r x in training, y = (1 - rate) x in a prediction.

    Bound with draws but without gradients it predicts as in training, but with one mask r for every
    row (Monte Carlo dropout; Gal & Ghahramani 2016, "Dropout as a Bayesian approximation").

    Attributes:
        rate: the share that is dropped; 0 makes it the identity.
        form: which of the two.
    """

    name: Literal["dropout"] = "dropout"
    rate: Rate = 0.5
    form: Literal["inverted", "classic"] = "inverted"

    numbers = ("rate",)
    shares_inputs = True
    row_wise = True

    @property
    def drops(self) -> bool:
        return self.rate > 0

    def bind(self, binding: Binding) -> "BoundDropout | SampledDropout":
        return SampledDropout(self, binding) if binding.samples else BoundDropout(self, binding)


class SampledDropout:
    """Dropout in a prediction, with the same mask for every row."""

    outputs_may_change = True

    def __init__(self, layer: Dropout, binding: Binding) -> None:
        self.binding = binding
        self.inverted = layer.form == "inverted"
        self.rate = binding.values["rate"]
        self.outputs = binding.buffer(*binding.input_shape)

    def forward(self, inputs: Floats, step: int) -> Floats:
        for m, random in enumerate(self.binding.generators(step)):
            mask = kept_mask(random, self.binding.input_shape, self.rate[m])
            if self.inverted:
                mask /= 1 - self.rate[m]
            np.multiply(inputs[m % len(inputs)], mask, out=self.outputs[m])
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        raise ValueError("a prediction has no gradient")


class BoundDropout:
    """Dropout; in a prediction the identity, or the share that training kept of each number."""

    def __init__(self, layer: Dropout, binding: Binding) -> None:
        self.binding = binding
        self.inverted = layer.form == "inverted"
        self.identity = self.inverted and not binding.training
        self.outputs_may_change = binding.may_overwrite_inputs if self.identity else True
        self.rate = binding.values["rate"]
        if not self.identity:
            self.outputs = binding.buffer(*binding.input_shape)
        if binding.training:
            self.words = Words(binding, self.outputs[0].size)

    def forward(self, inputs: Floats, step: int) -> Floats:
        if self.identity:
            return inputs
        kept = 1 - self.rate
        if not self.binding.training:
            scale(flat(inputs), kept, flat(self.outputs))
            return self.outputs
        self.factor = 1 / kept if self.inverted else np.ones_like(kept)
        self.words.draw(step)
        drop(flat(inputs), self.words.array, self.rate, self.factor, flat(self.outputs))
        return self.outputs

    def backward(self, gradient: Floats) -> Floats:
        drop(flat(gradient), self.words.array, self.rate, self.factor, flat(gradient))
        return gradient


@settings
class DropConnect(Layer):
    """A dense layer whose weights are dropped (Wan et al. 2013): y = x (R * W) + b in training.

    R has a draw for each weight, learner and step, which all rows of a batch share (the paper draws
    anew for each row). The bias is never dropped. A prediction has (1 - rate) W for R * W: the mean
    network.

    Attributes:
        units: O.
        rate: the share of weights that is dropped; 0 makes it a dense layer.
        initializer: of the kernel; the bias starts at zero.
    """

    name: Literal["drop_connect"] = "drop_connect"
    units: Annotated[int, Gt(0), Le(65536)] = 128
    rate: Rate = 0.5
    initializer: Initializer = "he_normal"

    numbers = ("rate",)
    shares_inputs = True

    @property
    def dense(self) -> Dense:
        """The dense layer without dropping."""
        return Dense(units=self.units, initializer=self.initializer)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.dense.output_shape(input_shape)

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        return self.dense.parameters(input_shape)

    def absorbs(self, following: Sequence[Layer], input_shape: tuple[int, ...]) -> int:
        return self.dense.absorbs(following, input_shape)

    @property
    def drops(self) -> bool:
        return self.rate > 0

    def bind(self, binding: Binding) -> "BoundDropConnect":
        return BoundDropConnect(self, binding)


class BoundDropConnect:
    """A dense layer with a kernel of its own, made from the learner's at every pass."""

    def __init__(self, layer: DropConnect, binding: Binding) -> None:
        self.binding = binding
        self.rate = binding.values["rate"]
        self.ones = np.ones_like(self.rate)
        self.kernel = binding.tensors["kernel"]
        self.kept = np.zeros_like(self.kernel)
        if binding.training:
            self.words = Words(binding, self.kept[0].size)
        tensors = {**binding.tensors, "kernel": self.kept}
        self.dense = layer.dense.bind(replace(binding, tensors=tensors))
        self.outputs_may_change = self.dense.outputs_may_change

    def forward(self, inputs: Floats, step: int) -> Floats:
        if self.binding.training:
            self.words.draw(step)
            drop(flat(self.kernel), self.words.array, self.rate, self.ones, flat(self.kept))
        elif self.binding.samples:
            for m, random in enumerate(self.binding.generators(step)):
                mask = kept_mask(random, self.kernel[m].shape, self.rate[m])
                np.multiply(self.kernel[m], mask, out=self.kept[m])
        else:
            scale(flat(self.kernel), 1 - self.rate, flat(self.kept))
        return self.dense.forward(inputs, step)

    def backward(self, gradient: Floats) -> Floats | None:
        below = self.dense.backward(gradient)
        dropped = flat(self.dense.kernel_gradient)
        drop(dropped, self.words.array, self.rate, self.ones, dropped)
        return below


def kept_mask(random: np.random.Generator, shape: tuple[int, ...], rate: Floats) -> Floats:
    """Return 1 where a number is kept and 0 where it is dropped, of the type of `rate`."""
    return (random.random(shape, dtype=np.float32) >= rate).astype(rate.dtype)


class Words:
    """Random words of each learner, drawn anew at each step.

    Attributes:
        array: (M, R or a little more) uint32.
    """

    def __init__(self, binding: Binding, size: int) -> None:
        self.binding = binding
        self.array = np.zeros((binding.learners, -(-size // 4) * 4), np.uint32)
        self.keys = np.zeros(binding.learners, np.uint64)

    def draw(self, step: int) -> None:
        for m, random in enumerate(self.binding.generators(step)):
            self.keys[m] = random.bit_generator.random_raw()
        fill_words(self.keys, self.array)
