"""Where each parameter of a network lies in its row of numbers."""

from dataclasses import dataclass
from math import prod

from ensemble_pipe.arrays import Floats


@dataclass(frozen=True)
class Parameter:
    """One trainable tensor of one learner.

    Attributes:
        name: "layer/tensor", such as "dense1/kernel".
        shape: without the learner axis.
        initializer: a name of `nn.initializers`.
        fan_in, fan_out: connections into and out of one unit, for the initializer.
    """

    name: str
    shape: tuple[int, ...]
    initializer: str
    fan_in: int
    fan_out: int

    @property
    def size(self) -> int:
        return prod(self.shape)


class Layout:
    """Maps the parameters of a network to slices of a row of length P, in order, without gaps.

    Attributes:
        offsets: first position of each parameter, by name.
        size: P, the length of a row.
    """

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self.parameters = parameters
        self.offsets: dict[str, int] = {}
        self.size = 0
        for parameter in parameters:
            if parameter.name in self.offsets:
                raise ValueError(f"two parameters are named {parameter.name!r}")
            self.offsets[parameter.name] = self.size
            self.size += parameter.size

    def views(self, rows: Floats) -> dict[str, Floats]:
        """Return each parameter as a view with a leading learner axis.

        Args:
            rows: (M, P), contiguous.

        Returns:
            by name, an array (M, *shape) that shares memory with `rows`.
        """
        if rows.ndim != 2 or rows.shape[1] != self.size or not rows.flags.c_contiguous:
            raise ValueError(f"rows must be contiguous (M, {self.size}), got {rows.shape}")
        return {
            parameter.name: rows[:, start : start + parameter.size].reshape(-1, *parameter.shape)
            for parameter, start in zip(self.parameters, self.offsets.values(), strict=True)
        }
