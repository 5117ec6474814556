"""Pictures of a search: its history, its trials side by side, and which hyperparameters matter."""

from collections.abc import Callable, Mapping, Sequence
from math import log10, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.config.search_settings import Parameter
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.messages import printable, truncate
from ensemble_pipe.report.drawing import (
    BLUE,
    INK,
    SOFT,
    VERMILION,
    legend,
    new_axis,
    new_figure,
    short,
    whole_numbers,
)
from ensemble_pipe.report.glossary import long_name
from ensemble_pipe.report.page import yaml_text
from ensemble_pipe.search.spaces import Parameters
from ensemble_pipe.search.trials import Trial, best_first, cost_of, short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Fewer trials say too little about which hyperparameters matter.
FEWEST_TRIALS = 8
_MOST_LABELS = 8
# Seconds of an idle processor for measuring their importance, with the import of Optuna.
IMPORTANCE_S = 3.0


def search_pictures(
    trials: Sequence[Trial], metric: str, parameters: Parameters, *, explains: bool = True
) -> Mapping[str, Callable[[], "Figure"]]:
    """Return what draws each picture of a search, by name.

    Args:
        trials: in their order.
        metric: of the search.
        parameters: of its space; empty for a list of trials.
        explains: whether the importance of hyperparameters is measured, which takes seconds.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if len(scored) < 2:
        return {}
    drawings: dict[str, Callable[[], Figure]] = {
        "search_history": lambda: history(scored, metric, len(trials))
    }
    if parameters:
        drawings["search_trials"] = lambda: parallel(scored, metric, parameters)
    found = importances(scored, metric, parameters) if explains else {}
    if found:
        drawings["search_importance"] = lambda: importance(found, metric)
    return drawings


def history(scored: Sequence[Trial], metric: str, count: int) -> "Figure":
    """The score of each trial, and the best so far."""
    figure, axis = new_axis("trial", f"validation {long_name(metric)}")
    numbers = [trial.number for trial in scored]
    scores = np.array([trial.score for trial in scored], float)
    best = np.maximum.accumulate if cost_of(1.0, metric) < 0 else np.minimum.accumulate
    label = f"trials ({len(scored)} of {count} have a score)"
    axis.plot(numbers, scores, "o", color=BLUE, markersize=4.5, label=label)
    axis.step(numbers, best(scores), "--", where="post", color=VERMILION, label="best so far")
    whole_numbers(axis)
    legend(axis)
    return figure


def parallel(scored: Sequence[Trial], metric: str, parameters: Parameters) -> "Figure":
    """The values of each trial on parallel axes; the better a trial, the darker its line."""
    names = short_names(list(parameters))
    figure = new_figure(max(5.2, 1.5 * len(parameters) + 1.0), 4.0)
    axis = figure.add_subplot()
    axis.patch.set_visible(False)
    axis.spines[:].set_visible(False)
    axis.set_yticks([])
    axis.set(xlim=(-0.2, len(parameters) - 0.4), ylim=(-0.05, 1.05))
    labels = [short(names[path]) for path in parameters]
    axis.set_xticks(range(len(parameters)), labels, parse_math=False)
    ranked = best_first(scored, metric)
    strengths = np.linspace(0.95, 0.25, len(ranked)).tolist()
    for place in range(len(ranked) - 1, -1, -1):  # the best on top
        points = [_height(one, ranked[place].values.get(p)) for p, one in parameters.items()]
        at = range(len(points))
        if place == 0:
            axis.plot(at, points, "D--", color=VERMILION, linewidth=2, markersize=6)
        else:
            axis.plot(at, points, "o-", color=BLUE, alpha=strengths[place], linewidth=1, ms=3.5)
    for place, one in enumerate(parameters.values()):
        axis.axvline(place, color=SOFT, linewidth=0.8, zorder=0)
        for height, text in _marks(one):
            axis.text(place + 0.04, height, text, fontsize=8, color=INK, parse_math=False)
    return figure


def importances(scored: Sequence[Trial], metric: str, parameters: Parameters) -> dict[str, float]:
    """Return the share of the scores' variance that each hyperparameter explains alone.

    Functional analysis of variance of a random forest (Hutter et al. 2014), by Optuna, of the
    hyperparameters that every trial has; empty of few trials, or of scores that are all the same.
    """
    shared = [path for path in parameters if all(path in trial.values for trial in scored)]
    costs: Floats = np.array([cost_of(t.score or 0.0, metric) for t in scored])
    varied = [path for path in shared if len({repr(t.values[path]) for t in scored}) > 1]
    if len(scored) < FEWEST_TRIALS or not varied or np.ptp(costs) == 0:
        return {}
    from ensemble_pipe.search.optuna_studies import parameter_importances

    return parameter_importances(scored, metric, parameters, varied)


def importance(found: Mapping[str, float], metric: str) -> "Figure":
    """The importance of each hyperparameter as a bar."""
    names = short_names(list(found))
    figure, axis = new_axis(
        f"share of the variance of the {long_name(metric)}",
        height=0.9 + 0.3 * len(found),
        fits_labels=True,
    )
    places = range(len(found))
    axis.grid(visible=False, axis="y")
    axis.barh(places, list(found.values()), color=BLUE, alpha=0.75)
    axis.set_yticks(places, [short(names[path]) for path in found], parse_math=False)
    axis.invert_yaxis()
    return figure


def _height(parameter: Parameter, value: Any) -> float:
    """Return where a value lies on its axis, 0 to 1; NaN for none."""
    if value is None:
        return nan
    if parameter.choices is not None:
        return parameter.choices.index(value) / max(1, len(parameter.choices) - 1)
    low, high = parameter.bounds or (0.0, 1.0)
    if parameter.log_uniform is not None:
        return log10(value / low) / log10(high / low)
    return float((value - low) / (high - low))


def _marks(parameter: Parameter) -> list[tuple[float, str]]:
    """Return heights on the axis of a hyperparameter, and the values there."""
    ends = parameter.choices or parameter.bounds or ()
    step = -(-len(ends) // _MOST_LABELS)
    shown = [f"{value:g}" if isinstance(value, float) else yaml_text(value) for value in ends]
    marks = [(_height(parameter, value), text) for value, text in zip(ends, shown, strict=True)]
    return [(height, truncate(printable(text), 14)) for height, text in marks[::step]]
