"""How unsure an ensemble is of rows of a kind that it has not seen, beside that of test rows.

Such rows are made of test rows: the values of each column change their rows, so that each is usual
by itself and their combination is not; the pixels of an image change their places. What an ensemble
knows of its limits shows in how much less sure it is of them (Lakshminarayanan et al. 2017, "Simple
and scalable predictive uncertainty estimation", section 3.5).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.ranking import auroc, counts_of, places_of
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.measures import standardise, unsureness
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.report.drawing import (
    BLUE,
    VERMILION,
    Drawings,
    figure_legend,
    new_axis,
    short,
)
from ensemble_pipe.report.numbers import Numbers, TestPart
from ensemble_pipe.serving.artifact import components_of
from ensemble_pipe.serving.model import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS, FEWEST_ROWS = 500, 20
_BINS = 30


def unfamiliar_pictures(numbers: Numbers) -> Drawings:
    """Return what draws the picture, by name.

    There is none without a model, where it needs what is not in it (predictions of other programs,
    a caller's own components), and of few rows.
    """
    test, paths = numbers.test, numbers.paths
    if test is None or len(test.rows) < FEWEST_ROWS or numbers.run.given:
        return {}
    if not (paths.model / "manifest.json").is_file() or components_of(paths.model):
        return {}
    return {"unfamiliar": lambda: unfamiliar(test, paths)}


def unfamiliar(test: TestPart, paths: RunPaths) -> "Figure":
    """Histograms of how unsure the ensemble is: of test rows, and of rows of another kind."""
    places = np.unique(np.linspace(0, len(test.rows) - 1, MOST_ROWS).astype(int))
    known = replace(test.prediction, outputs=test.prediction.outputs[:, places])
    model = load(paths.model)
    unknown = model.of_outputs(model.stored_outputs(shuffled(test.stored(places), test.schema)))
    measure, unit = _measure(test.schema)
    figure, axis = new_axis(f"how unsure it is: {measure}", "share of rows", fits_labels=True)
    both = unit * unsureness(known), unit * unsureness(unknown)
    edges = np.linspace(min(values.min() for values in both), _end(np.concatenate(both)), _BINS + 1)
    looks = ((BLUE, "-", "test rows"), (VERMILION, "--", "of another kind"))
    for values, (colour, dashes, label) in zip(both, looks, strict=True):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        axis.stairs(counts / len(values), edges, color=colour, linestyle=dashes, linewidth=1.6,
                    label=label)  # fmt: skip
    axis.set_ylim(bottom=0)
    figure_legend(figure, axis)
    axis.set_title(_told_apart(known, unknown), fontsize=9, loc="right")
    return figure


def _measure(schema: Schema) -> tuple[str, float]:
    """Return what `unsureness` measures, in words, and the unit that it is shown in."""
    if schema.task == "classification":
        return "1 less the largest probability", 1.0
    if len(schema.fitted_targets) > 1:
        return "predicted deviation, of each target in its own deviations", 1.0
    return f"predicted deviation of {short(schema.target_names[0])}", schema.fitted_targets[0].unit


def _end(values: Floats) -> float:
    """Return the end of a histogram, whose last bin has the most unsure hundredth as well."""
    end = float(np.quantile(values, 0.99))
    return end if end > float(values.min()) else float(values.max()) + 1e-9


def _told_apart(known: Prediction, unknown: Prediction) -> str:
    """Return how well rows of two kinds are told apart, in words."""
    text = f"told apart: {told_apart(unsureness(known), unsureness(unknown)):.0%}"
    if len(known.outputs) < 2:
        return text
    return f"{text}; by disagreement {told_apart(_disagreement(known), _disagreement(unknown)):.0%}"


def _disagreement(prediction: Prediction) -> Floats:
    """Return how much the members disagree, (R,)."""
    if prediction.schema.task == "classification":
        return prediction.uncertainty()["mutual_information"]
    return standardise(prediction.epistemic, prediction)


def told_apart(known: Floats, unknown: Floats) -> float:
    """Return how often a row of another kind is the less sure one of a pair (AUROC)."""
    return float(auroc(counts_of(*places_of(known, unknown)))[0])


def shuffled(stored: Array, schema: Schema) -> Array:
    """Return encoded rows (R, *shape) of another kind, made of some rows.

    Columns are permuted each by itself, with all of their features; where the scale mixes them,
    features are. The pixels of each image are permuted by themselves.
    """
    found = stored.copy()
    random = seeds.generator(0, seeds.Purpose.PERMUTATION, shard=2)
    if schema.is_image:
        channels = stored.shape[-1]
        for place, image in enumerate(stored.reshape(len(stored), -1, channels)):
            found[place] = random.permutation(image).reshape(stored.shape[1:])
        return found
    columns = list(schema.feature_places.values())
    if schema.scaling.mixes:
        columns = [(place, place + 1) for place in range(stored.shape[1])]
    for start, stop in columns:
        found[:, start:stop] = stored[random.permutation(len(stored)), start:stop]
    return found
