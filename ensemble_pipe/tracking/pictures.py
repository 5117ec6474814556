"""Pictures of a run, as PNG files: functions of its journal and its test predictions."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.messages import printable, truncate
from ensemble_pipe.core.metrics import confusion
from ensemble_pipe.core.storage import RunPaths, atomic_write
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.aggregator import Measured
from ensemble_pipe.ensemble.combiners import Weighted, softmax
from ensemble_pipe.ensemble.importance import Importance
from ensemble_pipe.ensemble.measures import rejection
from ensemble_pipe.ensemble.metrics.calibration import reliability
from ensemble_pipe.ensemble.prediction import Metrics, Prediction
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAME = 30  # characters of a class or column
MOST_COLUMNS = 40
_MEMBER, _ENSEMBLE, _IDEAL = "#8ab4d8", "#c0392b", "#777777"


def draw_pictures(
    paths: RunPaths,
    schema: Schema,
    curve: list[Metrics],
    test: Measured,
    importance: Importance | None = None,
    is_time: Callable[[], bool] = lambda: True,
) -> list[Path]:
    """Draw every picture that fits the task, as long as there is time; return the files.

    Args:
        paths: of the run; its journal holds the learning curves.
        schema: of the data.
        curve: validation metrics of the first 1, 2, ... K members.
        test: outputs and metrics on the test part.
        importance: of the source columns; None where it was not measured.
        is_time: asked before each, but for those that the report would draw in their place.
    """
    drawings: dict[str, Callable[[], Figure]] = {
        "ensemble_size": lambda: ensemble_size(curve, schema),
        "rejection": lambda: rejection_curves(test),
    }
    if curves_of(paths.journal):
        drawings = {"learning_curves": lambda: learning_curves(paths.journal), **drawings}
    if schema.task == "classification":
        drawings["reliability"] = lambda: reliability_diagram(test)
        drawings["confusion_matrix"] = lambda: confusion_matrix(test, schema)
    else:
        drawings["predicted"] = lambda: predicted_against_true(test, schema)
    if importance is not None:
        drawings["importance"] = lambda: column_importance(importance)
    files = []
    for name, draw in drawings.items():
        if name not in ("learning_curves", "ensemble_size") and not is_time():
            break
        path = paths.picture(f"{name}.png")
        save_figure(draw(), path)
        files.append(path)
    return files


def load_drawing() -> None:
    """Load all that the first picture of a process loads, which takes a second."""
    figure = new_figure(1.0, 1.0)
    figure.subplots().set_title("0")
    png_of(figure)


def new_figure(width: float, height: float, *, fits_labels: bool = True) -> "Figure":
    """Return an empty figure of so many inches.

    Args:
        width, height: in inches.
        fits_labels: whether margins follow the labels, which takes as long as drawing again.
    """
    # Not through pyplot, which keeps global state and is not safe beside other threads.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained" if fits_labels else None)


def png_of(figure: "Figure") -> bytes:
    """Return a figure as a PNG file's content."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG file."""
    atomic_write(path, png_of(figure))


def _figure(columns: int = 1, *, fits_labels: bool = False) -> "tuple[Figure, list[Any]]":
    width = 5.2 * columns
    figure = new_figure(width, 4.0, fits_labels=fits_labels)
    if not fits_labels:
        left, right = 0.85 / width, 1 - 0.15 / width
        figure.subplots_adjust(left, 0.14, right, 0.91, wspace=0.9 * columns / width)
    axes = [figure.add_subplot(1, columns, index + 1) for index in range(columns)]
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def curves_of(journal: Path) -> dict[int, list[tuple[int, Any, Any]]]:
    """Return epochs, training and stop losses by learner, of those that have epochs."""
    curves: dict[int, list[tuple[int, Any, Any]]] = {}
    for entry in read_entries(journal):
        if isinstance(entry, EpochEntry):
            point = entry.epoch, entry.metrics.get("train/loss"), entry.metrics.get("stop/loss")
            curves.setdefault(entry.learner, []).append(point)
    return curves


def learning_curves(journal: Path) -> "Figure":
    """Loss on the training and stop parts by epoch, a line for each learner."""
    figure, axes = _figure(2)
    curves = curves_of(journal)
    for _, points in sorted(curves.items()):
        epochs, train, stop = (np.array(column, float) for column in zip(*points, strict=True))
        axes[0].plot(epochs, train, color=_MEMBER, linewidth=1.2)
        axes[1].plot(epochs, stop, color=_MEMBER, linewidth=1.2)
    for axis, part in zip(axes, ("training part", "stop part"), strict=True):
        axis.set(xlabel="epoch", ylabel="loss", title=f"{part}, {len(curves)} learners")
    return figure


def ensemble_size(curve: list[Metrics], schema: Schema) -> "Figure":
    """Validation metrics against the number of members."""
    second = "accuracy" if schema.task == "classification" else "rmse"
    sizes = np.arange(1, len(curve) + 1)
    figure, axes = _figure(2)
    for axis, name in zip(axes, ("nll", second), strict=True):
        axis.plot(sizes, [m.get(name) for m in curve], "o-", color=_ENSEMBLE, markersize=4)
        axis.set(xlabel="members", ylabel=name, title=f"validation {name}")
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure


def reliability_diagram(test: Measured) -> "Figure":
    """Accuracy against confidence on the test part, for the ensemble and for its members."""
    figure, (axis,) = _figure()
    axis.plot([0, 1], [0, 1], "--", color=_IDEAL, linewidth=1, label="calibrated")
    for index, outputs in enumerate(test.prediction.outputs):
        groups = reliability(softmax(outputs), test.targets)
        label = "members" if index == 0 else None
        axis.plot(groups.confidence, groups.accuracy, color=_MEMBER, linewidth=0.8, label=label)
    groups = reliability(test.prediction.probabilities, test.targets)
    axis.plot(groups.confidence, groups.accuracy, "o-", color=_ENSEMBLE, label="ensemble")
    axis.set(
        xlabel="confidence", ylabel="accuracy",
        title=f"test reliability, ECE {test.ensemble['ece']:.3f}",
    )  # fmt: skip
    axis.legend(frameon=False)
    return figure


def rejection_curves(test: Measured) -> "Figure":
    """Accuracy or RMSE of the most certain test rows, for the ensemble and for its members."""
    figure, (axis,) = _figure()
    alone, schema = Weighted.equal(1), test.prediction.schema
    for index, outputs in enumerate(test.prediction.outputs):
        _, curve = rejection(Prediction(outputs[None], alone, schema), test.targets)
        label = "members" if index == 0 else None
        axis.plot(curve.kept, curve.mean, color=_MEMBER, linewidth=0.8, label=label)
    name, curve = rejection(test.prediction, test.targets)
    axis.plot(curve.kept, curve.mean, color=_ENSEMBLE, label="ensemble")
    axis.set(xlabel="share of the test rows kept", ylabel=name, title="the most certain test rows")
    axis.legend(frameon=False)
    return figure


def confusion_matrix(test: Measured, schema: Schema) -> "Figure":
    """Counts of predicted classes for each true class of the test part."""
    counts = confusion(test.prediction.decided, test.targets, len(schema.classes))
    figure, (axis,) = _figure(fits_labels=True)
    axis.grid(visible=False)
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [truncate(printable(str(name)), MOST_NAME) for name in schema.classes]
    if len(names) <= 30:
        turn = 90 if len(names) > 10 else 0
        axis.set_xticks(range(len(names)), names, rotation=turn, parse_math=False)
        axis.set_yticks(range(len(names)), names, parse_math=False)
    if len(names) <= 12:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, count, ha="center", va="center", color=colour, fontsize=7)
    accuracy = test.ensemble["accuracy"]
    axis.set(xlabel="predicted", ylabel="true", title=f"test, accuracy {accuracy:.3f}")
    return figure


def column_importance(found: Importance) -> "Figure":
    """By how much the NLL rises where a column's values change rows, with 95% intervals."""
    shown = [one for one in found.columns if np.isfinite(one.nll).all()][:MOST_COLUMNS]
    figure = new_figure(7.2, 1.2 + 0.22 * len(shown))
    axis = figure.add_subplot()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, axis="x")
    rises, lows, highs = np.array([one.nll for one in shown]).reshape(-1, 3).T
    places = np.arange(len(shown))
    axis.barh(places, rises, color=_MEMBER)
    axis.hlines(places, lows, highs, color=_ENSEMBLE, linewidth=1.2)
    axis.axvline(0, color=_IDEAL, linewidth=0.8)
    names = [truncate(printable(one.name), MOST_NAME) for one in shown]
    axis.set_yticks(places, names, parse_math=False)
    axis.invert_yaxis()
    axis.set(xlabel="rise of the NLL", title=f"importance, on {found.rows:,} unseen rows")
    return figure


def predicted_against_true(test: Measured, schema: Schema) -> "Figure":
    """Predictions of a regression against the truth, with one standard deviation."""
    prediction, truth = test.prediction, schema.decode_targets(test.targets)
    mean, std = prediction.mean, prediction.std
    figure, axes = _figure(schema.target_count)
    for place, (axis, name) in enumerate(zip(axes, schema.target_names, strict=True)):
        axis.errorbar(
            truth[:, place], mean[:, place], yerr=std[:, place],
            fmt=".", color=_ENSEMBLE, ecolor=_MEMBER, elinewidth=0.6,
        )  # fmt: skip
        ends = [truth[:, place].min(), truth[:, place].max()]
        axis.plot(ends, ends, "--", color=_IDEAL, linewidth=1)
        rmse = np.sqrt(np.mean((truth[:, place] - mean[:, place]) ** 2))
        axis.set(ylabel="predicted", title=f"test, RMSE {rmse:.3g}")
        axis.set_xlabel(f"true {truncate(printable(name))}", parse_math=False)
    return figure


def draw_rates(rates: Floats, losses: Floats, suggestion: float, path: Path) -> None:
    """Draw a learning-rate range test: the smoothed loss over the rate, (S,) each."""
    figure, (axis,) = _figure()
    axis.semilogx(rates, losses, color=_ENSEMBLE)
    axis.axvline(suggestion, color=_IDEAL, linestyle="--", label=f"suggestion {suggestion:g}")
    axis.set_xlabel("learning rate")
    axis.set_ylabel("loss, smoothed")
    axis.legend()
    save_figure(figure, path)
