"""Pictures of how members differ: who disagrees with whom, and a map of their predictions.

The map is that of Fort et al. 2019, "Deep ensembles: a loss landscape perspective", figure 2, with
principal components, which need no settings, in the place of t-SNE.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.numbers import member_means
from ensemble_pipe.report.drawing import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Drawings,
    legend,
    marker,
    new_axis,
    short,
)
from ensemble_pipe.report.errors import heat
from ensemble_pipe.report.numbers import Numbers, TestPart
from ensemble_pipe.tracking.run_summary import kind_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_MEMBERS = 60
_MOST_VALUES = 14  # members whose pairs have their values in the cells
_MOST_ROWS = 2_000


def diversity_pictures(numbers: Numbers) -> Drawings:
    """Return what draws each picture of the members' diversity, by name; none of a single one."""
    test = numbers.test
    if test is None or not 2 <= len(test.prediction.outputs) <= MOST_MEMBERS:
        return {}
    found: dict[str, Any] = {"diversity": lambda: difference_matrix(test, _names(numbers))}
    if len(test.prediction.outputs) > 2:
        found["members_map"] = lambda: members_map(test, numbers)
    return found


def _names(numbers: Numbers) -> list[str]:
    places = numbers.run.combined.members if numbers.run.combined is not None else []
    several = len({learner for learner, _ in places}) < len(places)
    return [f"{learner}.{number}" if several else f"{learner}" for learner, number in places]


def differences(test: TestPart) -> Floats:
    """Return how much each pair of members differs, (K, K).

    Of classes the share of rows on which they predict different ones; of numbers 1 less the
    correlation of their residuals, the mean over targets.
    """
    outputs = test.prediction.outputs
    if test.schema.task == "classification":
        predicted = outputs.argmax(axis=2)
        return np.array([(predicted != one).mean(axis=1) for one in predicted])
    residuals = member_means(outputs, test.schema) - test.truth
    correlations = [_correlations(residuals[:, :, one]) for one in range(residuals.shape[2])]
    found: Floats = 1.0 - np.mean(correlations, axis=0)
    return found


def _correlations(values: Floats) -> Floats:
    """Return the correlations (K, K) of rows of values (K, R); 0 with a constant one."""
    centred = values - values.mean(axis=1, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=1))
    unit = centred / np.where(lengths > 0, lengths, 1.0)[:, None]
    found: Floats = unit @ unit.T
    np.fill_diagonal(found, 1.0)
    return found


def difference_matrix(test: TestPart, names: list[str]) -> "Figure":
    """How much each pair of members differs; the darker, the more."""
    values = differences(test)
    count = len(values)
    side = min(6.0, max(3.2, 1.3 + 0.32 * count))
    figure, axis = new_axis("learner", "learner", width=side, height=0.95 * side, fits_labels=True)
    axis.grid(visible=False)
    most = float(values.max()) or 1.0
    heat(axis, np.maximum(values, 0) / most)
    if count <= 30:
        axis.set_xticks(range(count), names, fontsize=8)
        axis.set_yticks(range(count), names, fontsize=8)
    if count <= _MOST_VALUES:
        for (row, column), value in np.ndenumerate(values):
            if row != column:
                axis.text(column, row, f"{100 * value:.1f}", ha="center", va="center", fontsize=7,
                          color=INK)  # fmt: skip
    return figure


def members_map(test: TestPart, numbers: Numbers) -> "Figure":
    """Members by the two directions in which their predictions differ most."""
    positions, shares = components(predictions_of_members(test))
    combined, plans = numbers.run.combined, numbers.run.plans
    places = [] if combined is None else combined.members
    kinds = [kind_of(plans[learner]) for learner, _ in places]
    figure, axis = new_axis(
        f"first component ({shares[0]:.0%} of the differences)",
        f"second component ({shares[1]:.0%})",
    )
    colours = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
    for place, kind in enumerate(dict.fromkeys(kinds)):
        own = [index for index, one in enumerate(kinds) if one == kind]
        axis.plot(
            *positions[own].T, marker(place), color=colours[place % 6], ms=7, label=short(kind)
        )
    for (x, y), name in zip(positions, _names(numbers), strict=True):
        axis.annotate(name, (x, y), (5, 4), textcoords="offset points", fontsize=8)
    axis.plot([0], [0], "+", color=INK, ms=10, mew=2, label="mean of the members")
    axis.margins(0.12)
    legend(axis)
    return figure


def predictions_of_members(test: TestPart) -> Floats:
    """Return the predictions (K, V) of members on rows that are spread over the test part."""
    outputs = test.prediction.outputs
    step = -(-outputs.shape[1] // _MOST_ROWS)
    if test.schema.task == "classification":
        found = np.stack([softmax(one[::step]) for one in outputs])
    else:
        found = outputs[:, ::step, : test.schema.target_count].astype(np.float64)
    return found.reshape(len(outputs), -1)


def components(values: Floats) -> tuple[Floats, Floats]:
    """Return positions (K, 2) by the first two principal components of (K, V), and their shares."""
    centred = values - values.mean(axis=0)
    products = centred @ centred.T
    squares, vectors = np.linalg.eigh(products)
    first = np.maximum(squares[::-1][:2], 0)
    whole = float(np.maximum(squares, 0).sum()) or 1.0
    positions: Floats = vectors[:, ::-1][:, :2] * np.sqrt(first)
    return positions, first / whole
