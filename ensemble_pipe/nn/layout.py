"""Where each tensor of a network lies in its row of numbers."""

from dataclasses import dataclass
from math import prod

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.initializers import FirstValues


@dataclass(frozen=True)
class Parameter:
    """One tensor of one learner.

    Attributes:
        name: "layer/tensor", such as "dense1/kernel".
        shape: without the learner axis; with the member axis in front where there are `members`.
        initializer: of its first values.
        fan_in, fan_out: connections into and out of one unit, for the initializer.
        trainable: False for statistics, such as the running mean of a batch norm.
        decays: whether penalties and weight decay shrink it; True for kernels, and for scales of
            features.
        rate_factor: factor of its learning rate.
        decay_factor: factor of the learning rate in weight decay; None for that of its own.
        begins_alike: whether its units begin alike by design, since other tensors tell them apart.
        from_data: whether its first values are nothing without those that `Layer.fit` writes.
        members: how many members of the learner have one of their own each; 0 where all share it.
    """

    name: str
    shape: tuple[int, ...]
    initializer: FirstValues
    fan_in: int = 1
    fan_out: int = 1
    trainable: bool = True
    decays: bool = False
    rate_factor: float = 1.0
    decay_factor: float | None = None
    begins_alike: bool = False
    from_data: bool = False
    members: int = 0

    @property
    def size(self) -> int:
        return prod(self.shape)


class Layout:
    """Maps tensors to slices of a row of length P, without gaps: T trainable numbers first.

    Attributes:
        parameters: in the order of the row.
        offsets: first position of each, by name.
        size: P, the length of a row.
        trainable: T, the length of its trainable prefix.
    """

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self.parameters = tuple(sorted(parameters, key=lambda p: not p.trainable))
        self.offsets: dict[str, int] = {}
        self.size = 0
        for parameter in self.parameters:
            if parameter.name in self.offsets:
                raise ValueError(f"two parameters are named {parameter.name!r}")
            self.offsets[parameter.name] = self.size
            self.size += parameter.size
        self.trainable = sum(p.size for p in self.parameters if p.trainable)

    def views(self, rows: Floats) -> dict[str, Floats]:
        """Return each tensor as a view with a leading learner axis.

        Args:
            rows: (M, P), contiguous.

        Returns:
            by name, an array (M, *shape) that shares memory with `rows`.
        """
        return self._views(rows, self.size)

    def gradient_views(self, gradients: Floats) -> dict[str, Floats]:
        """Return the trainable tensors' views of gradients (M, T), as `views` does."""
        return self._views(gradients, self.trainable)

    def _views(self, rows: Floats, size: int) -> dict[str, Floats]:
        if rows.ndim != 2 or rows.shape[1] != size or not rows.flags.c_contiguous:
            raise ValueError(f"rows must be contiguous (M, {size}), got {rows.shape}")
        return {
            parameter.name: rows[:, start : start + parameter.size].reshape(-1, *parameter.shape)
            for parameter, start in zip(self.parameters, self.offsets.values(), strict=True)
            if start < size
        }
