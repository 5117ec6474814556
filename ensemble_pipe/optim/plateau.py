"""A schedule that follows the loss: it lowers the rate where the loss no longer falls."""

from math import copysign, inf
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Lt

from ensemble_pipe.core.settings import settings


class PlateauState(NamedTuple):
    """What a learner's plateau schedule remembers; plain numbers, for a checkpoint's JSON.

    Attributes:
        factor: of the rate, from now on.
        best: lowest loss so far; None before the first.
        bad_epochs: how many in a row brought no better one.
        cooldown: epochs left in which none counts as bad.
    """

    factor: float = 1.0
    best: float | None = None
    bad_epochs: int = 0
    cooldown: int = 0


@settings
class Plateau:
    """The rate times `decay` whenever the loss on the stop part has not fallen for a while.

    PyTorch's ReduceLROnPlateau in its mode "min" with a relative threshold, without its eps (which
    leaves out changes of the rate below 1e-8). A loss is better where
    loss < best - min_change |best|; the rate falls after more than `patience` epochs without one.
    PyTorch has best (1 - min_change), the same above 0; below 0, where the negative log-likelihood
    of a density can lie, that is above `best`, so that a loss that stands still counts as better.

    The training loop starts each learner with PlateauState(), multiplies factor(step, total), which
    is 1, by the state's factor, replaces the state by observe(state, loss) once at the end of each
    epoch, with "stop/loss", and keeps it in checkpoints.

    >>> plateau, state = Plateau(decay=0.5, patience=1), PlateauState()
    >>> for loss in (2.0, 1.0, 1.0, 1.0, 1.0):
    ...     state = plateau.observe(state, loss)
    >>> state
    PlateauState(factor=0.5, best=1.0, bad_epochs=1, cooldown=0)

    Attributes:
        decay: factor of each fall.
        patience: epochs without a better loss that are let pass.
        min_change: by which share of its size a loss must fall to count as better.
        cooldown: epochs after a fall in which none counts as bad.
        minimum: lowest factor.
    """

    name: Literal["plateau"] = "plateau"
    decay: Annotated[float, Gt(0), Lt(1)] = 0.1
    patience: Annotated[int, Ge(0)] = 10
    min_change: Annotated[float, Ge(0), Lt(1)] = 1e-4
    cooldown: Annotated[int, Ge(0)] = 0
    minimum: Annotated[float, Ge(0), Lt(1)] = 0.0

    def factor(self, step: int, total: int) -> float:
        return 1.0

    def observe(self, state: PlateauState, loss: float) -> PlateauState:
        """Return the state after an epoch with this loss; a loss that is not a number is bad."""
        enough = inf
        if state.best is not None:
            enough = state.best * (1.0 - copysign(self.min_change, state.best))
        better = loss < enough
        best = loss if better else state.best
        cooling = state.cooldown > 0
        bad_epochs = 0 if better or cooling else state.bad_epochs + 1
        if bad_epochs <= self.patience:
            return PlateauState(state.factor, best, bad_epochs, max(0, state.cooldown - 1))
        factor = max(state.factor * self.decay, self.minimum)
        return PlateauState(factor, best, 0, self.cooldown)
