"""Pictures of a training: loss and learning rate by epoch, and the ensemble as it grows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.report.drawing import (
    BLUE,
    SOFT,
    VERMILION,
    Drawings,
    figure_legend,
    legend,
    line,
    marker,
    new_axis,
    whole_numbers,
)
from ensemble_pipe.tracking.kinds import EpochEntry, Numbers
from ensemble_pipe.tracking.run_summary import RunSummary, kind_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 6  # learners whose lines are told apart


def curve_pictures(run: RunSummary) -> Drawings:
    """Return what draws each picture of a run's training, by name."""
    found: dict[str, Any] = {}
    if run.epochs:
        found["stop_curves"] = lambda: learning_curves(run, "stop")
        found["training_curves"] = lambda: learning_curves(run, "train")
        if any(_values(one, "learning_rate").size > 1 for one in run.epochs.values()):
            found["rates"] = lambda: learning_rates(run)
    curve = [metrics for _, metrics in sorted(run.ensembles.items())]
    if len(curve) > 1:
        found["ensemble_size"] = lambda: ensemble_size(curve, run)
    return found


def best_epoch(entries: Sequence[EpochEntry]) -> int | None:
    """Return the epoch of the lowest loss on the stop part; None where it has none."""
    losses = _values(entries, "stop/loss")
    if not losses.size or np.isnan(losses).all():
        return None
    return entries[int(np.nanargmin(losses))].epoch


def learning_curves(run: RunSummary, part: str) -> "Figure":
    """Loss by epoch, a line for each learner; on the stop part its best epoch is marked."""
    rows = "stop part" if part == "stop" else "training part"
    figure, axis = new_axis("epoch", f"loss on the {rows}")
    few = len(run.epochs) <= _MOST_NAMED
    for place, (learner, entries) in enumerate(sorted(run.epochs.items())):
        style = line(place) if few else {"color": BLUE, "alpha": 0.5}
        epochs, losses = [one.epoch for one in entries], _values(entries, f"{part}/loss")
        if not losses.size:
            continue
        name = f"learner {learner}, {kind_of(run.plans[learner])}" if few else None
        alone = "o" if len(epochs) == 1 else None  # a line of one point cannot be seen
        axis.plot(epochs, losses, linewidth=1.3, label=name, marker=alone, **style)
        best = best_epoch(entries) if part == "stop" else None
        if best is not None:
            at = losses[epochs.index(best)]
            label = "best epoch" if place == 0 and not few else None
            axis.plot([best], [at], marker(place if few else 0), color=style["color"], ms=6,
                      label=label)  # fmt: skip
    whole_numbers(axis)
    if axis.get_legend_handles_labels()[0]:
        legend(axis)
    return figure


def learning_rates(run: RunSummary) -> "Figure":
    """Learning rate by epoch, a line for each different course of it."""
    figure, axis = new_axis("epoch", "learning rate")
    courses: dict[tuple[float, ...], list[int]] = {}
    for learner, entries in sorted(run.epochs.items()):
        rates = _values(entries, "learning_rate")
        if rates.size:
            courses.setdefault(tuple(rates.tolist()), []).append(learner)
    for place, (course, learners) in enumerate(courses.items()):
        name = "all learners" if len(courses) == 1 else f"learner {learners[0]}"
        more = f" and {len(learners) - 1} more" if len(courses) > 1 and len(learners) > 1 else ""
        label = name + more if place < _MOST_NAMED else None
        epochs = range(1, len(course) + 1)
        axis.plot(epochs, course, linewidth=1.4, label=label, **line(place))
    whole_numbers(axis)
    legend(axis)
    return figure


def ensemble_size(curve: Sequence[Numbers], run: RunSummary) -> "Figure":
    """NLL on the validation part against the number of members."""
    # Margins follow the labels, which are long where an NLL of large units changes little.
    figure, axis = new_axis("members", "NLL on the validation part, in nats", fits_labels=True)
    values = [metrics.get("nll") for metrics in curve]
    sizes = sorted(run.ensembles)
    axis.plot(sizes, np.array(values, float), "-", color=BLUE, linewidth=1.4)
    axis.plot(sizes, np.array(values, float), "o", color=BLUE, ms=4, label="ensemble so far")
    own = [member.validation.get("nll") for member in run.members]
    known = [value for value in own if value is not None]
    if known:
        mean = float(np.mean(known))
        axis.axhline(mean, color=VERMILION, linestyle="--", linewidth=1.2, label="mean member")
        axis.axhline(min(known), color=SOFT, linestyle=":", linewidth=1.4, label="best member")
    whole_numbers(axis)
    figure_legend(figure, axis)
    return figure


def _values(entries: Sequence[EpochEntry], name: str) -> Floats:
    """Return a metric of each epoch, NaN where it is unknown; empty where it always is."""
    found = np.array([entry.metrics.get(name) for entry in entries], float)
    return found if not np.isnan(found).all() else np.zeros(0)
