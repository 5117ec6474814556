"""The interface of layers: settings without state, and their binding to rows and buffers.

A layer defines its output shape and its tensors. Binding it to M rows of parameters and N rows of
input creates the views and all buffers of a step, once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Protocol

import numpy as np
from annotated_types import Gt, Le

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.own_code import is_own
from ensemble_pipe.core.seeds import Draws
from ensemble_pipe.nn.kernels.lanes import aligned_zeros
from ensemble_pipe.nn.layout import Parameter

# A factor of the learning rate.
RateFactor = Annotated[float, Gt(0), Le(1000)]


@dataclass(frozen=True)
class Binding:
    """The arrays and dimensions that a layer is bound to.

    Attributes:
        name: of the layer, unique in its network; the address of its draws.
        input_shape: of one row, without M and N.
        learners, batch_rows: M and N.
        dtype: of parameters, inputs and outputs.
        tensors: views (M, *shape) of parameters and statistics, by name.
        gradients: views (M, *shape) of the parameters' gradients; None for inference.
        values: the layer's own numbers, (M,) each of `dtype`, by name.
        draws: the randomness of training; in inference, of a prediction with dropout.
        row_products: for inference: whether `kernels.row_product` multiplies instead of BLAS, so
            that the bits of a row's outputs depend on no other row.
        input_gradient: whether the gradient with respect to the input is needed.
        still: names of the frozen parameters.
        frozen: whether all parameters are frozen; statistics then stay fixed too.
        may_overwrite_inputs: whether `backward` may write into the array that `forward` was given.
        absorbed: the layers after this one that it computes as well; see `Layer.absorbs`.
    """

    name: str
    input_shape: tuple[int, ...]
    learners: int
    batch_rows: int
    dtype: np.dtype[np.floating]
    tensors: dict[str, Floats] = field(default_factory=dict)
    gradients: dict[str, Floats] | None = None
    values: dict[str, Floats] = field(default_factory=dict)
    draws: Draws | None = None
    row_products: bool = False
    input_gradient: bool = True
    still: frozenset[str] = frozenset()
    frozen: bool = False
    may_overwrite_inputs: bool = False
    absorbed: "tuple[tuple[Layer, dict[str, Floats]], ...]" = ()

    @property
    def training(self) -> bool:
        return self.gradients is not None

    @property
    def samples(self) -> bool:
        """Whether predictions drop units, the same for every row."""
        return not self.training and self.draws is not None

    def buffer(self, *shape: int) -> Floats:
        """Return a zeroed work buffer (M, N, *shape)."""
        return aligned_zeros((self.learners, self.batch_rows, *shape), self.dtype)

    def generators(self, step: int) -> list[np.random.Generator]:
        """Return each learner's generator for this layer at a step of training."""
        if self.draws is None:
            raise ValueError(f"{self.name}: bound without draws")
        return self.draws.at(step, self.name)


class BoundLayer(Protocol):
    def forward(self, inputs: Floats, step: int) -> Floats:
        """Return outputs (M, N, ...).

        Args:
            inputs: (M, N, ...), or (1, N, ...) shared by all learners where the layer
                `shares_inputs`.
            step: of the training, for layers that draw; in inference, the number of the pass.
        """
        ...

    def backward(self, gradient: Floats) -> Floats | None:
        """Write parameter gradients; return the input's gradient, or None where it is not wanted.

        Args:
            gradient: (M, N, ...) with respect to the outputs; may be overwritten.
        """
        ...

    @property
    def outputs_may_change(self) -> bool:
        """Whether `backward` still works after the outputs of `forward` were overwritten."""
        ...


class Layer(ABC):
    """A layer's settings.

    Attributes:
        name: of its kind, as pipelines write it.
        numbers: fields that may differ between the learners of a stack; they reach the bound
            layer as (M,) vectors.
        shares_inputs: whether it takes inputs (1, N, ...) that all learners share.
        row_wise: whether each row of outputs (D,) is a function of its row of inputs alone, so that
            the rows of several members can pass it one after another.
        embeds_numbers: whether it puts vectors in the place of numbers.
        test_draws: the number of passes whose mean outputs make a prediction.
    """

    name: str
    numbers: ClassVar[tuple[str, ...]] = ()
    shares_inputs: ClassVar[bool] = False
    row_wise: ClassVar[bool] = False
    embeds_numbers: ClassVar[bool] = False

    @abstractmethod
    def bind(self, binding: Binding) -> BoundLayer: ...

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one row of outputs.

        Raises:
            ValueError: `input_shape` is invalid for this layer; the message names a valid one.
        """
        return input_shape

    def parameters(self, input_shape: tuple[int, ...]) -> tuple[Parameter, ...]:
        """Return its tensors, statistics included, named without the layer's own name."""
        return ()

    def values(self, input_shape: tuple[int, ...]) -> dict[str, float]:
        """Return the numbers of `numbers`, by name; containers add those of their layers."""
        return {name: getattr(self, name) for name in self.numbers}

    def absorbs(self, following: "Sequence[Layer]", input_shape: tuple[int, ...]) -> int:
        """Return how many of the layers after it this one computes together with its own work."""
        return 0

    def normalized_over(self, input_shape: tuple[int, ...], batch_rows: int) -> dict[str, int]:
        """Return the number of values of each mean and variance in training, if it normalizes.

        By "", or for a container by the names of the layers in it.
        """
        return {}

    def feature_widths(self, widths: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many of its flat outputs stand for each feature, in order.

        Args:
            widths: how many of its inputs do.
        """
        return widths

    @property
    def spreads_to(self) -> int:
        """The members that it gives a row of outputs each for every row of inputs; 1 for most."""
        return 1

    @property
    def fits(self) -> bool:
        """Whether some of its first values follow from the data: those that `fit` writes."""
        return False

    def fit(self, binding: Binding, inputs: Floats) -> None:
        """Write the first values that follow from the data, over those that were drawn.

        Args:
            binding: of one learner, without gradients; its draws are for this.
            inputs: (1, N, ...) of the layer, of training rows.
        """
        raise ValueError(f"{self.name} takes nothing from the data")

    @property
    def test_draws(self) -> int:
        return 1

    @property
    def has_own(self) -> bool:
        """Whether it is a class of a caller's own, or has one inside."""
        return is_own(type(self))

    @property
    def drops(self) -> bool:
        """Whether it drops units or weights in training."""
        return False


def require_image(input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (H, W, C), or raise ValueError for rows that are no images."""
    if len(input_shape) != 3:
        raise ValueError(f"needs images (height, width, channels), got rows of {input_shape}")
    height, width, channels = input_shape
    return height, width, channels


def require_flat(input_shape: tuple[int, ...]) -> int:
    """Return D, or raise ValueError for rows that are not flat."""
    if len(input_shape) != 1:
        raise ValueError(f"needs flat rows (features,), got {input_shape}; put a flatten before it")
    return input_shape[0]


def flat(values: Floats) -> Floats:
    """Return a view (M, R) of an array (M, ...)."""
    return values.reshape(len(values), -1)
