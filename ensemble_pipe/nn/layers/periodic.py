"""Periodic embeddings of numbers: PLR and PBLD."""

import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.initializers import Normal, Uniform
from ensemble_pipe.nn.kernels import periodic as kernels
from ensemble_pipe.nn.kernels.lanes import LANE_BYTES
from ensemble_pipe.nn.layers.base import Binding
from ensemble_pipe.nn.layers.contiguous import Contiguous
from ensemble_pipe.nn.layers.numbers import BoundNumbers, NumberEmbedding
from ensemble_pipe.nn.layout import Parameter

Count = Annotated[int, Gt(0), Le(4096)]
# A sine is a cosine a quarter of a turn later.
_SINE = -0.25


@settings
class Periodic(NumberEmbedding):
    """PLR: ReLU([cos(2 pi c x), sin(2 pi c x)] W + b) in place of each number x.

    Gorishniy, Rubachev & Babenko 2022, "On embeddings for numerical features in tabular deep
    learning", section 3.3. Each number has its own frequencies c (M, K, F), W (M, K, 2 F, J) and
    b (M, K, J).

    Attributes:
        places, rate: as in every embedding of numbers.
        frequencies: F.
        dimension: J, the length of a number's vector.
        deviation: of the normal distribution that the frequencies are drawn from.
    """

    name: Literal["periodic"] = "periodic"
    frequencies: Count = 48
    dimension: Count = 24
    deviation: Annotated[float, Gt(0)] = 0.1

    @property
    def width(self) -> int:
        return self.dimension

    def tensors(self, count: int) -> tuple[Parameter, ...]:
        waves = 2 * self.frequencies
        limit = Uniform(limit=1 / math.sqrt(waves))
        fans = (waves, self.dimension)
        return (
            Parameter("frequencies", (count, self.frequencies), Normal(deviation=self.deviation)),
            Parameter("kernel", (count, *fans), limit, *fans, decays=True),
            Parameter("bias", (count, self.dimension), limit, *fans),
        )

    def bind_numbers(self, binding: Binding) -> "BoundPeriodic":
        return BoundPeriodic(self, binding)


@settings
class Pbld(NumberEmbedding):
    """PBLD: [x, W cos(2 pi w x + p) + b] in place of each number x.

    Holzmueller, Grinsztajn & Steinwart 2024, "Better by default", section 3.2: periodic, with
    phases, linear and densely connected. Each number has its own frequencies w and phases p
    (M, K, F), W (M, K, F, J - 1) and b (M, K, J - 1).

    Attributes:
        places, rate: as in every embedding of numbers.
        frequencies: F.
        dimension: J, the length of a number's vector, the number itself included.
        deviation: of the normal distribution that the frequencies are drawn from; phases are
            uniform.
    """

    name: Literal["pbld"] = "pbld"
    frequencies: Count = 16
    dimension: Annotated[int, Gt(1), Le(4096)] = 4
    deviation: Annotated[float, Gt(0)] = 0.1

    @property
    def width(self) -> int:
        return self.dimension

    def tensors(self, count: int) -> tuple[Parameter, ...]:
        limit = Uniform(limit=1 / math.sqrt(self.frequencies))
        fans = (self.frequencies, self.dimension - 1)
        waves = (count, self.frequencies)
        return (
            Parameter("frequencies", waves, Normal(deviation=self.deviation)),
            Parameter("phases", waves, Uniform(limit=math.pi)),
            Parameter("kernel", (count, *fans), limit, *fans, decays=True),
            Parameter("bias", (count, self.dimension - 1), limit, *fans),
        )

    def bind_numbers(self, binding: Binding) -> "BoundPeriodic":
        return BoundPeriodic(self, binding)


class BoundPeriodic(BoundNumbers):
    """A periodic embedding; that with sines has each frequency twice, and fixed phases."""

    def __init__(self, layer: Periodic | Pbld, binding: Binding) -> None:
        super().__init__(layer, binding)
        self.passes = isinstance(layer, Pbld)
        self.outputs_may_change = self.passes  # which of the others are above zero is needed
        names = ("frequencies", "phases", "kernel", "bias")
        self.tensors = {n: Contiguous(binding.tensors[n]) for n in names if n in binding.tensors}
        waves = binding.tensors["kernel"].shape[:3]
        self.turns = np.zeros(waves, binding.dtype)
        self.phases = np.zeros(waves, binding.dtype)
        self.phases[..., layer.frequencies :] = _SINE
        units = binding.tensors["bias"].shape[-1]
        self.work = np.zeros((6 + units, binding.batch_rows), binding.dtype)
        if binding.gradients is not None:
            self.gradients = {n: Contiguous(binding.gradients[n]) for n in self.tensors}
            self.turns_gradient = np.zeros(waves, binding.dtype)
            self.phases_gradient = np.zeros(waves, binding.dtype)
            self.partial = np.zeros(LANE_BYTES, binding.dtype)

    def forward(self, inputs: Floats, step: int) -> Floats:
        self.read(inputs)
        own = {name: tensor.read() for name, tensor in self.tensors.items()}
        frequencies = own["frequencies"]
        self.turns[..., : frequencies.shape[-1]] = frequencies
        if self.passes:
            np.divide(own["phases"], 2 * math.pi, out=self.phases)
        else:
            self.turns[..., frequencies.shape[-1] :] = frequencies
        kernels.periodic_forward(
            inputs, self.places, self.turns, self.phases, own["kernel"], own["bias"],
            self.passes, not self.passes, self.first, self.outputs, self.work,
        )  # fmt: skip
        return self.outputs

    def backward(self, gradient: Floats) -> Floats | None:
        self.spread(gradient)
        own = self.gradients
        kernels.periodic_backward(
            gradient, self.inputs, self.places, self.turns, self.phases,
            self.tensors["kernel"].array, self.passes, not self.passes, self.first, self.outputs,
            self.turns_gradient, self.phases_gradient, own["kernel"].array, own["bias"].array,
            self.input_gradient, self.work, self.partial,
        )  # fmt: skip
        if self.passes:
            own["frequencies"].array[...] = self.turns_gradient
            own["phases"].array[...] = self.phases_gradient
        else:
            cosines, sines = np.split(self.turns_gradient, 2, axis=-1)
            np.add(cosines, sines, out=own["frequencies"].array)
        for tensor in own.values():
            tensor.write()
        return self.below
