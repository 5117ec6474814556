"""Batch norm against none: from which scales of the first weights a network trains.

CS231n, "Neural networks part 2", batch normalization: networks with it are much less sensitive to
a bad start. Both kinds of a network take some steps from weights that are scaled by several factors
(Ioffe & Szegedy 2015, "Batch normalization", section 3.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ensemble_pipe.nn.layers import (
    BatchNorm,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    Layer,
    Residual,
    SeparableConv2d,
)
from ensemble_pipe.nn.networks import Cnn, Mlp, SeparableCnn, Sequential
from ensemble_pipe.search.checks.bench import Bench
from ensemble_pipe.training.loop import StackTraining
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.state import initial_state

FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)
STEPS, _LAST = 40, 10
# The share of the loss of outputs of 0 that a network which trains has left.
_TRAINS = 0.9
_WEIGHTED = (Dense, Conv2d, DepthwiseConv2d, SeparableConv2d)


@dataclass(frozen=True)
class Starts:
    """Losses after some steps from scaled weights, by factor; infinite where training diverged.

    Attributes:
        normed, plain: of the network with batch norm, and without.
        has: whether the pipeline's own network has it.
        uniform: the loss of outputs of 0.
    """

    normed: dict[float, float]
    plain: dict[float, float]
    has: bool
    uniform: float

    def text(self) -> str:
        """Return the ranges of factors from which either kind trains."""
        own = " (as here)"
        normed = f"with batch norm{own if self.has else ''} it trains {self._range(self.normed)}"
        plain = f"without{'' if self.has else own} {self._range(self.plain)}"
        return f"from first weights scaled by 0.01 to 100, {normed}, {plain}"

    def to_dict(self) -> dict[str, Any]:
        """Return the losses as plain values, by factor."""
        kinds = {"batch_norm": self.normed, "none": self.plain}
        return {
            kind: {f"{factor:g}": loss for factor, loss in losses.items()}
            for kind, losses in kinds.items()
        }

    def _range(self, losses: dict[float, float]) -> str:
        bound = self.uniform - (1 - _TRAINS) * abs(self.uniform)
        trains = [factor for factor, loss in losses.items() if loss < bound]
        if not trains:
            return "from none"
        return f"from {min(trains):g}" + (f" to {max(trains):g}" if len(trains) > 1 else " alone")


def has_starts(bench: Bench) -> bool:
    """Return whether there are hidden layers to normalise, without shortcuts or given weights."""
    if not isinstance(bench.plan.network, Mlp | Cnn | SeparableCnn | Sequential):
        return False
    layers = _hidden(bench)
    if bench.first_row is not None or not any(isinstance(one, _WEIGHTED) for one in layers):
        return False
    return not any(isinstance(layer, Residual) for layer in layers)


def compare_starts(bench: Bench, seconds: float) -> Starts | None:
    """Train from scaled weights, with batch norm and without.

    Args:
        bench: to train on, of a network that has such starts.
        seconds: that it may take, about.

    Returns:
        None where there is no time for it.
    """
    if 2 * len(FACTORS) * STEPS * bench.step_s > seconds:
        return None
    layers = _hidden(bench)
    plain = [layer for layer in layers if not isinstance(layer, BatchNorm)]
    losses = [
        {factor: _loss_from(_with(bench.plan, own), bench, factor) for factor in FACTORS}
        for own in (_normed(plain), plain)
    ]
    return Starts(losses[0], losses[1], len(plain) < len(layers), bench.uniform)


def _hidden(bench: Bench) -> list[Layer]:
    """Return the layers of the network, but for the last, which gives the outputs."""
    stored = replace(bench.plan, scale=None)  # its own comes in front of any list of layers
    return list(stored.build(bench.schema).chain.layers)[:-1]


def _normed(layers: Sequence[Layer]) -> list[Layer]:
    """Return layers with batch norm behind each that has weights."""
    return [
        one
        for layer in layers
        for one in ([layer, BatchNorm()] if isinstance(layer, _WEIGHTED) else [layer])
    ]


def _with(plan: LearnerPlan, layers: Sequence[Layer]) -> LearnerPlan:
    network = Sequential(layers=tuple(layers))  # type: ignore[arg-type]  # Layer is their base
    return replace(plan, network=network, rate_factors=())


def _loss_from(plan: LearnerPlan, bench: Bench, factor: float) -> float:
    """Return the mean loss of the last of some steps from weights times a factor."""
    layout = plan.build(bench.schema).layout
    row = initial_state(plan, bench.schema).row.copy()
    kernels = [parameter.name for parameter in layout.parameters if parameter.decays]
    for name in kernels[:-1]:  # the last gives the outputs, which nothing normalises
        layout.views(row[None])[name][...] *= factor
    state = initial_state(plan, bench.schema, row)
    training = StackTraining(Stack((plan,), (state,)), bench.data, bench.schema)
    steps = min(STEPS, training.steps.total)
    losses = [float(training.take_step()[0]) for _ in range(steps)]
    found = float(np.mean(losses[-_LAST:]))
    return found if np.isfinite(found) else float("inf")
