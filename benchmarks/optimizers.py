"""The way of each update rule down a long bowl, and the curve of each schedule, as pictures.

    python benchmarks/optimizers.py

writes docs/pictures/optimizers.png and docs/pictures/schedules.png. The bowl is
f(x, y) = x**2 / 20 + y**2, twenty times as steep in y as in x, from (-7, 2): the gradient points
across it, hardly along it.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.optim import (
    SCHEDULES,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Nesterov,
    Plateau,
    PlateauState,
    RMSprop,
    Rule,
    Segment,
    StackedRule,
    cycle_ends,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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

_LINE, _MARK = "#c0392b", "#2c6fa8"


def bowl(x: Floats, y: Floats) -> Floats:
    """Return f(x, y)."""
    value: Floats = (CURVATURE[0] * x * x + CURVATURE[1] * y * y) / 2.0
    return value


def trajectories(steps: int = 60) -> dict[str, Floats]:
    """Return the way of each rule, (steps + 1, 2), at a constant rate."""
    return {label: _path(rule, steps) for label, rule in RULES.items()}


def _path(rule: Rule, steps: int) -> Floats:
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
    figure, panels = _panels(len(paths), columns=2, height=2.1, width=5.2)
    x, y = np.meshgrid(np.linspace(-8, 2.5, 211), np.linspace(-2.6, 2.6, 105))
    for panel, (label, path) in zip(panels, paths.items(), strict=True):
        panel.contour(x, y, bowl(x, y), levels=(np.arange(1, 14) / 4) ** 2, colors="#cccccc",
                      linewidths=0.7)  # fmt: skip
        panel.plot(*path.T, "o-", color=_LINE, markersize=2.5, linewidth=1.0)
        panel.plot(*path[0], "s", color=_MARK, markersize=6)
        panel.plot(0.0, 0.0, "+", color="black", markersize=10)
        panel.set(xlim=(-8, 2.5), ylim=(-2.6, 2.6))
        loss = bowl(*path[-1])
        panel.set_title(f"{label}: rate {RULES[label].learning_rate:g}, f = {loss:.1e} "
                        f"after {len(path) - 1} steps", fontsize=9)  # fmt: skip
    return figure


def draw_schedules(total: int = 1000) -> "Figure":
    """Draw a panel for each schedule: its factor by step, and a mark where a cycle ends."""
    figure, panels = _panels(len(SCHEDULES), columns=4, height=1.8, width=2.8)
    for panel, (name, kind) in zip(panels, SCHEDULES.items(), strict=True):
        schedule = kind()
        factors = np.array([schedule.factor(step, total) for step in range(total)])
        if isinstance(schedule, Plateau):
            factors = _after_losses(replace(schedule, patience=2), total)
        panel.plot(np.arange(total) / total, factors, color=_LINE, linewidth=1.3)
        ends = np.array(cycle_ends(schedule, total), int)
        panel.plot(ends / total, factors[ends - 1], "o", color=_MARK, markersize=4)
        panel.set_title(name, fontsize=9)
        if name == "range_test":
            panel.set_yscale("log")
        else:
            panel.set_ylim(-0.05, 1.08)
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


def _panels(
    count: int, *, columns: int, height: float, width: float
) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    lines = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * lines), layout="constrained")
    panels = [figure.add_subplot(lines, columns, index + 1) for index in range(count)]
    for panel in panels:
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def main() -> None:
    """Draw both pictures."""
    folder = Path(__file__).parents[1] / "docs" / "pictures"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=folder, help="where the pictures go")
    arguments = parser.parse_args()
    drawn = {"optimizers": draw_trajectories(trajectories()), "schedules": draw_schedules()}
    for name, figure in drawn.items():
        path = arguments.folder / f"{name}.png"
        figure.savefig(path, dpi=120)
        print(path)


if __name__ == "__main__":
    main()
