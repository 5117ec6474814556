"""Update rules: each learner's numbers, and one function that moves a whole stack.

A rule is frozen settings of one learner. `Stacked` lays the settings of M learners side by side
and steps their rows (M, P) at once; what a rule remembers lies in slots, each an array (M, P).
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from ensemble_pipe.arrays import Floats
from ensemble_pipe.optim import kernels
from ensemble_pipe.settings import settings


@settings
class SGD:
    """Stochastic gradient descent with momentum.

    v <- momentum v + g;  w <- w - rate v.

    The form of Sutskever et al. 2013, "On the importance of initialization and momentum in deep
    learning", eq. 1-2, with the rate outside of the velocity, as PyTorch defines it.

    Attributes:
        learning_rate: the rate at schedule factor 1.
        momentum: share of the velocity that is kept; 0 for plain descent.
    """

    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    name: Literal["sgd"] = "sgd"
    learning_rate: Annotated[float, Gt(0)] = 0.1
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9

    @staticmethod
    def step(stack: "Stacked", rows: Floats, gradients: Floats, rate: Floats, step: int) -> None:
        kernels.sgd(rows, gradients, stack.slots["velocity"], rate, stack.numbers["momentum"])


@settings
class Adam:
    """Adam, bias-corrected (Kingma & Ba 2015, "A method for stochastic optimization", alg. 1).

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g**2;
    w <- w - rate m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + epsilon).

    Attributes:
        learning_rate: the rate at schedule factor 1.
        beta1, beta2: decay of the first and second moment.
        epsilon: floor of the denominator.
    """

    slots: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")

    name: Literal["adam"] = "adam"
    learning_rate: Annotated[float, Gt(0)] = 0.001
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8

    @staticmethod
    def step(stack: "Stacked", rows: Floats, gradients: Floats, rate: Floats, step: int) -> None:
        numbers = stack.numbers
        # In float64: float32 loses the digits of 1 - beta.
        beta1, beta2 = stack.exact["beta1"], stack.exact["beta2"]
        derived = (
            1.0 - beta1,
            1.0 - beta2,
            1.0 / (1.0 - beta1 ** (step + 1)),
            1.0 / np.sqrt(1.0 - beta2 ** (step + 1)),
        )
        add1, add2, correction1, correction2 = (values.astype(rows.dtype) for values in derived)
        kernels.adam(
            rows,
            gradients,
            stack.slots["first_moment"],
            stack.slots["second_moment"],
            rate,
            numbers["beta1"],
            numbers["beta2"],
            add1,
            add2,
            numbers["epsilon"],
            correction1,
            correction2,
        )


class Stacked:
    """The same rule for M learners, each with its own numbers.

    Attributes:
        exact: each number of the rule as (M,) float64, by name.
        numbers: the same in the rows' type.
        slots: what the rule remembers, (M, P) each, by name.
    """

    def __init__(self, rules: Sequence[SGD | Adam], slots: dict[str, Floats]) -> None:
        kinds = {type(rule) for rule in rules}
        if len(kinds) != 1:
            raise ValueError("learners of one stack must share their update rule")
        self.kind = kinds.pop()
        self.slots = slots
        self.dtype = next(iter(slots.values())).dtype
        names = [field.name for field in fields(self.kind) if field.name != "name"]
        self.exact = {
            name: np.array([getattr(rule, name) for rule in rules], np.float64) for name in names
        }
        self.numbers = {name: values.astype(self.dtype) for name, values in self.exact.items()}

    def rate(self, factors: Floats) -> Floats:
        """Return the learning rates (M,) at schedule factors (M,), in float64."""
        return self.exact["learning_rate"] * factors

    def step(self, rows: Floats, gradients: Floats, rate: Floats, step: int) -> None:
        """Move rows (M, P) in place.

        Args:
            rows, gradients: (M, P).
            rate: (M,) float64, from `rate`.
            step: how many steps were taken before this one.
        """
        self.kind.step(self, rows, gradients, rate.astype(self.dtype), step)
