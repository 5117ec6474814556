"""The way of each update rule down a long bowl.

The bowl is f(x, y) = x**2 / 20 + y**2, twenty times as steep in y as in x, from (-7, 2): the
gradient points across it, hardly along it.
"""

from typing import TYPE_CHECKING

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Nesterov,
    RMSprop,
    Rule,
    Segment,
    StackedRule,
)
from ensemble_pipe.report.drawing import BLUE, INK, SOFT, VERMILION
from techniques.drawing import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START = (-7.0, 2.0)
CURVATURE = np.array([0.1, 2.0])

# Rates at which each rule shows its nature on this bowl; a good rate differs for every problem.
RULES: dict[str, Rule] = {
    "sgd, momentum 0": SGD(learning_rate=0.9, momentum=0.0),
    "sgd, momentum 0.9": SGD(learning_rate=0.1, momentum=0.9),
    "nesterov": Nesterov(learning_rate=0.1, momentum=0.9),
    "adagrad": Adagrad(learning_rate=1.5),
    "adadelta": Adadelta(learning_rate=1.0, rho=0.9, epsilon=0.1),
    "rmsprop": RMSprop(learning_rate=0.2),
    "adam": Adam(learning_rate=0.3),
    "adamw": AdamW(learning_rate=0.3, weight_decay=0.1),
}

# The momentum and rate that are best for these curvatures, 2 and 0.1 (Polyak 1964): the root of the
# momentum is (sqrt(20) - 1) / (sqrt(20) + 1), that of the rate 2 / (sqrt(2) + sqrt(0.1)).
BEST_MOMENTUM = SGD(learning_rate=1.336, momentum=0.403)


def bowl(x: Floats, y: Floats) -> Floats:
    """Return f(x, y)."""
    value: Floats = (CURVATURE[0] * x * x + CURVATURE[1] * y * y) / 2.0
    return value


def trajectories(steps: int = 60) -> dict[str, Floats]:
    """Return the way of each rule, (steps + 1, 2), at a constant rate."""
    return {label: path_of(rule, steps) for label, rule in RULES.items()}


def path_of(rule: Rule, steps: int = 60) -> Floats:
    """Return the way of a rule, (steps + 1, 2)."""
    rows = np.array([START])
    slots: dict[str, Floats] = {name: np.zeros_like(rows) for name in rule.slots}
    stack = StackedRule([rule], slots, [Segment(0, 2, 1)])
    path = [rows[0].copy()]
    for step in range(steps):
        stack.step(rows, CURVATURE * rows, stack.learning_rates * np.ones(1), step)
        path.append(rows[0].copy())
    return np.stack(path)


def draw_trajectories(paths: dict[str, Floats]) -> "Figure":
    """Draw a panel for each rule: contours of the bowl, the way, its start and the minimum."""
    figure, axes = panels(len(paths), height=1.9)
    x, y = np.meshgrid(np.linspace(-8, 2.5, 61), np.linspace(-2.6, 2.6, 41))
    for axis, (label, path) in zip(axes, paths.items(), strict=True):
        axis.contour(x, y, bowl(x, y), levels=(np.arange(1, 8) / 2.2) ** 2, colors=SOFT,
                     linewidths=0.5)  # fmt: skip
        axis.plot(*path.T, "o-", color=VERMILION, markersize=2.5, linewidth=1.0)
        axis.plot(*path[0], "s", color=BLUE, markersize=6)
        axis.plot(0.0, 0.0, "+", color=INK, markersize=10)
        axis.set(xlim=(-8, 2.5), ylim=(-2.6, 2.6))
        reached = f"f = {bowl(*path[-1]):.1e} after {len(path) - 1} steps"
        axis.set_title(f"{label}: rate {RULES[label].learning_rate:g}\n{reached}", fontsize=9)
    return figure


def steps_to(path: Floats, value: float = 0.01) -> int:
    """Return the first step from which on f stays below a value; how many there are for none."""
    above = np.flatnonzero(bowl(*path.T) >= value)
    return int(above[-1]) + 1 if len(above) else 0


def overshoot(path: Floats) -> float:
    """Return how far the way goes beyond the minimum along the bowl."""
    return max(0.0, float(path[:, 0].max()))
