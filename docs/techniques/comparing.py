"""Comparison of runs: by their members, and by seeds; means with standard errors, and tables."""

from collections.abc import Iterable, Mapping, Sequence
from math import hypot
from typing import Any

import numpy as np

from ensemble_pipe.report.drawing import BLUE, VERMILION
from techniques.frame import Outcome, Outcomes, Settings, markdown

NAMES = {"accuracy": "accuracy", "nll": "NLL", "ece": "ECE", "rmse": "RMSE"}
SURELY = 2.0  # standard errors of a difference


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of values; 0 of one value."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def shown(values: Sequence[float]) -> str:
    """Return the mean of values with its standard error, as text."""
    return f"{np.mean(values):.4f} ± {standard_error(values):.4f}"


def spread(outcome: Outcome, metric: str) -> str:
    """Return a metric's mean over the members with its standard error, as text."""
    return shown(outcome.members[metric])


def surely_less(lower: Outcome, higher: Outcome, metric: str) -> bool:
    """Return whether one run's mean over members is less by twice the error of the difference."""
    errors = [standard_error(one.members[metric]) for one in (lower, higher)]
    return higher.mean(metric) - lower.mean(metric) > SURELY * hypot(*errors)


def are_surely_above_zero(values: Sequence[float]) -> bool:
    """Return whether a mean is above zero by twice its standard error."""
    return float(np.mean(values)) > SURELY * standard_error(values)


def table_of(
    outcomes: Outcomes,
    metrics: Sequence[str] = ("accuracy", "nll"),
    more: Mapping[str, Mapping[str, object]] | None = None,
) -> str:
    """Return a table of test metrics, a line for each run: of a member, and of the ensemble.

    Args:
        outcomes: the runs by label.
        metrics: of the test part.
        more: further cells of each run by the column's head, before the metrics.
    """
    more = more or {}
    head = [
        *more,
        *(f"{NAMES[metric]} of a member" for metric in metrics),
        *(f"{NAMES[metric]} of the ensemble" for metric in metrics),
    ]
    rows = [
        [
            label,
            *(cells[label] for cells in more.values()),
            *(spread(one, metric) for metric in metrics),
            *(f"{one.ensemble[metric]:.4f}" for metric in metrics),
        ]
        for label, one in outcomes.items()
    ]
    return markdown(("run", *head), rows)


def for_seeds(kinds: Mapping[str, Settings], seeds: Iterable[int]) -> dict[str, dict[str, Any]]:
    """Return the runs of several kinds, each with every seed."""
    return {
        f"{kind}, seed {seed}": {**settings, "seed": seed}
        for kind, settings in kinds.items()
        for seed in seeds
    }


def of_kind(outcomes: Outcomes, kind: str) -> list[Outcome]:
    """Return the runs of a kind, by seed."""
    return [one for label, one in outcomes.items() if label.startswith(f"{kind}, seed ")]


def by_seed(outcomes: Outcomes, kind: str, metric: str) -> list[float]:
    """Return a test metric of the ensembles of a kind, by seed."""
    return [one.ensemble[metric] for one in of_kind(outcomes, kind)]


def less_by_seed(outcomes: Outcomes, lower: str, higher: str, metric: str = "nll") -> list[float]:
    """Return how much lower a test metric of one kind is than of another, by seed."""
    pairs = zip(
        by_seed(outcomes, lower, metric), by_seed(outcomes, higher, metric), strict=True
    )  # fmt: skip
    return [other - one for one, other in pairs]


def draw_kinds(axis: Any, outcomes: Outcomes, kinds: Sequence[str], metric: str) -> None:
    """Draw a line of dots for each kind, one a seed, with a bar at their mean."""
    for place, kind in enumerate(kinds):
        values = by_seed(outcomes, kind, metric)
        axis.plot(values, [place] * len(values), "o", color=BLUE, markersize=6, alpha=0.6)
        axis.plot([np.mean(values)], [place], "|", color=VERMILION, markersize=18, mew=2.5)
    axis.set_yticks(range(len(kinds)), list(kinds))
    axis.set_ylim(len(kinds) - 0.5, -0.5)
    axis.set_xlabel(f"test {NAMES[metric]}, one dot a seed")
