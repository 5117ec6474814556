"""What every loss has: settings, a kernel that evaluates a stack, and the outputs it reads."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.own_code import is_own, mark_unwritten, require_written


class LossFunction(ABC):
    """A loss: frozen settings of one learner, and one function that evaluates a whole stack.

    Attributes:
        name: of its kind, as pipelines write it.
        numbers: fields that may differ between the learners of a stack, in the kernel's order.
        task: what it is for.
        kernel: (outputs, targets, weights, *numbers, gradient, losses), as in `evaluate`, with
            targets as `arrange` returns them.
    """

    name: str
    numbers: ClassVar[tuple[str, ...]] = ()
    task: ClassVar[Literal["classification", "regression"]]
    kernel: ClassVar[Callable[..., None]]

    @abstractmethod
    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O, the number of outputs that a network needs.

        Args:
            classes: C, or 0 for a regression.
            targets: D, the numbers that a regression predicts.

        Raises:
            ValueError: the loss is not for so many classes.
        """

    @abstractmethod
    def predictions(self, outputs: Floats) -> Floats:
        """Return what members are combined by, in float32, from outputs (..., O) of a learner.

        Logits (..., C) whose softmax are the probabilities; or means (..., D); or means and
        variances (..., 2 D) in units of the standardised targets.
        """

    def mean_outputs(self, outputs: Floats) -> Floats:
        """Return outputs (R, O) of the mean prediction of K members with outputs (K, R, O).

        The mean itself, unless outputs are no predictions: then the mean prediction is that of
        probabilities, or a mixture of normal distributions.
        """
        if len(outputs) == 1:
            only: Floats = outputs[0]
            return only
        return self._mean_outputs(outputs.astype(np.float64)).astype(np.float32)

    def _mean_outputs(self, outputs: Floats) -> Floats:
        """Return what `mean_outputs` does, in float64."""
        mean: Floats = outputs.mean(axis=0)
        return mean

    @staticmethod
    def arrange(targets: Array) -> Array:
        """Return a view of targets (M, N) or (M, N, D) in the shape that the kernel reads."""
        return targets

    @classmethod
    def evaluate(
        cls,
        outputs: Floats,
        targets: Array,
        weights: Floats,
        numbers: dict[str, Floats],
        gradient: Floats,
        losses: Floats,
    ) -> None:
        """Write each learner's loss, and its gradient with respect to the outputs.

            losses[m] = sum_n weights[m, n] loss(outputs[m, n], targets[m, n]) / N

        in one pass that allocates nothing that grows with the batch. Weights have a mean of 1 over
        the data, hence the divisor N and not their sum over the batch. A NaN among the outputs
        makes the learner's loss one.

        Args:
            outputs: (M, N, O), of the rows' type.
            targets: class numbers (M, N) int32, each in 0 .. C - 1, or as the class says; numbers
                (M, N) or (M, N, D) for regressions.
            weights: (M, N).
            numbers: the fields that `numbers` names, (M,) each and in that order, from
                `numbers_of`.
            gradient: (M, N, O), overwritten.
            losses: (M,) float64, overwritten.

        Raises:
            InputError: the kernel is a caller's own, and left some of these unwritten.
        """
        targets, own = cls.arrange(targets), is_own(cls)
        if own:
            mark_unwritten(gradient)
            mark_unwritten(losses)
        cls.kernel(outputs, targets, weights, *numbers.values(), gradient, losses)
        if own:
            require_written(gradient, f"loss {cls.name!r}: kernel", "gradient")
            require_written(losses, f"loss {cls.name!r}: kernel", "losses")
