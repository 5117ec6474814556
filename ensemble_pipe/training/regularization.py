"""Regularization that changes over a training: dropout, weight decay and label smoothing."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.optim import FALLS, Fall, StackedRule

if TYPE_CHECKING:
    from ensemble_pipe.training.plan import LearnerPlan

# Layers whose rate is a share that is dropped, by the beginning of their names.
_DROPPING = ("dropout", "drop_connect")
SMOOTHING = "smoothing"


@settings
class Regularization:
    """Schedules of what keeps a network from learning its rows by heart.

    Each is a factor of the number that the network, the optimizer or the loss has, at every step;
    null keeps that number throughout.

    Attributes:
        dropout: of the rates of `dropout` and `drop_connect` layers.
        weight_decay: of the optimizer's `weight_decay`, beside the learning rate's own schedule.
        label_smoothing: of the loss's `smoothing`.
    """

    dropout: Annotated[Fall, FALLS] | None = None
    weight_decay: Annotated[Fall, FALLS] | None = None
    label_smoothing: Annotated[Fall, FALLS] | None = None

    def factor(self, name: str, step: int, total: int) -> float:
        """Return the factor of one of the three at a step."""
        schedule: Fall | None = getattr(self, name)
        return 1.0 if schedule is None else schedule.factor(step, total)


class ScheduledNumbers:
    """The numbers of a stack that follow such schedules, which are set in place at every step."""

    def __init__(
        self,
        plans: "Sequence[LearnerPlan]",
        layers: Mapping[str, Floats],
        losses: Mapping[str, Floats],
        rule: StackedRule | None = None,
    ) -> None:
        """Take the numbers of M learners, each (M,) and at its full size.

        Args:
            plans: of the learners.
            layers: numbers of their layers, by "layer/field".
            losses: those of their losses.
            rule: of their weights.
        """
        self._plans = plans
        self._numbers: dict[str, list[tuple[Floats, Floats]]] = {
            "dropout": [_kept(own) for name, own in layers.items() if _drops(name)],
            "weight_decay": [] if rule is None else [_kept(rule.weight_decays)],
            "label_smoothing": [_kept(own) for name, own in losses.items() if name == SMOOTHING],
        }
        self._scheduled = [
            name
            for name in self._numbers
            if any(getattr(plan.regularization, name) is not None for plan in plans)
        ]

    def set(self, step: int, total: int) -> None:
        """Set the numbers to those of a step, of so many of the training or of a round."""
        for name in self._scheduled:
            for m, plan in enumerate(self._plans):
                factor = plan.regularization.factor(name, step, total)
                for values, full in self._numbers[name]:
                    values[m] = factor * full[m]


def _kept(values: Floats) -> tuple[Floats, Floats]:
    return values, values.copy()


def _drops(name: str) -> bool:
    *above, field = name.split("/")
    return field == "rate" and above[-1].rstrip("0123456789") in _DROPPING
