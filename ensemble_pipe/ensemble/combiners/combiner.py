"""The contract of every combiner.

A combiner makes one prediction of the outputs of K members. It is a frozen settings class, which
stands in model.json and in the journal as JSON, told from others by its `name`; `kinds.py` lists
all of them. The ways to fit one are in `fits.py`.

Shapes: K members, R rows, O classes, D targets; everything in float64 and in order of member.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal, Self

from ensemble_pipe.core.arrays import Floats, Integers

Task = Literal["classification", "regression"]


class Combiner(ABC):
    """Combines the outputs of K members.

    Attributes:
        temperature: what divides the combined logits, or multiplies the standard deviations of
            numbers; 1 changes no bit.
        noise: what is then added to the variances of numbers; 0 changes no bit.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # every combiner is a settings class

    temperature: float
    noise: float

    @abstractmethod
    def check(self, task: Task, members: int, outputs: int) -> None:
        """Raise ValueError unless this combines so many members, of O classes or D targets."""

    @abstractmethod
    def member_weights(self) -> Floats:
        """Return the weight (K,) of each member; they sum to 1."""

    @abstractmethod
    def probabilities(self, logits: Floats) -> Floats:
        """Return the combined probabilities (R, O), for the members' logits (K, R, O)."""

    @abstractmethod
    def log_probabilities(self, logits: Floats) -> Floats:
        """Return the logarithm of `probabilities`, finite where those are too small."""

    @abstractmethod
    def mixture(self, means: Floats, variances: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the combined mean, aleatoric and epistemic variance, (R, D) each.

        Args:
            means, variances: (K, R, D), of the members.
        """

    @abstractmethod
    def without_zero_weights(self) -> tuple[Self, Integers]:
        """Return the combiner without members of weight 0, and the places of the others.

        Predictions keep their bits.
        """

    @abstractmethod
    def share(self, sizes: Sequence[int]) -> Self:
        """Return the combiner of groups of members, each member with an equal share of its group's.

        Args:
            sizes: members in each group, of which this combines as many as there are sizes.
        """

    @abstractmethod
    def calibrate(self, temperature: float, noise: float) -> Self:
        """Return the same combiner with another temperature and noise."""

    def to_dict(self) -> dict[str, Any]:
        """Return its settings as plain values, for JSON."""
        return asdict(self)

    @abstractmethod
    def describe(self) -> str:
        """Return what it does, such as "mean of the members' probability"."""
