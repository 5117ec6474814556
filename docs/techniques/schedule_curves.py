"""The factor of each schedule of the learning rate by step."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.optim import SCHEDULES, Plateau, PlateauState, cycle_ends
from ensemble_pipe.report.drawing import BLUE, VERMILION
from techniques.drawing import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_schedules(total: int = 1000) -> "Figure":
    """Draw a panel for each schedule: its factor by step, and a mark where a cycle ends."""
    figure, axes = panels(len(SCHEDULES), columns=4, width=1.85, height=1.5)
    for axis, (name, kind) in zip(axes, SCHEDULES.items(), strict=True):
        schedule = kind()
        factors = np.array([schedule.factor(step, total) for step in range(total)])
        if isinstance(schedule, Plateau):
            factors = _after_losses(replace(schedule, patience=2), total)
        axis.plot(np.arange(total) / total, factors, color=VERMILION, linewidth=1.3)
        ends = np.array(cycle_ends(schedule, total), int)
        axis.plot(ends / total, factors[ends - 1], "o", color=BLUE, markersize=4)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        if name == "range_test":
            axis.set_yscale("log")
        else:
            axis.set_ylim(-0.05, 1.08)
            axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    figure.supxlabel("share of the training", fontsize=9)
    figure.supylabel("factor of the learning rate", fontsize=9)
    return figure


def _after_losses(schedule: Plateau, total: int, epochs: int = 20) -> Floats:
    """Return a plateau schedule's factors where the loss falls for six epochs and then stays."""
    state, factors = PlateauState(), []
    for epoch in range(epochs):
        factors += [state.factor] * (total // epochs)
        state = schedule.observe(state, 1.0 / (1 + min(epoch, 6)))
    return np.array(factors)
