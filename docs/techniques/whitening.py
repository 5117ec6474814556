"""Whitening: gradient descent on standardised, rotated and whitened columns."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.report.drawing import BLUE
from techniques.drawing import draw_curves, panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALES = ("standardize", "pca", "zca")
RUNS = {
    "whitening": {f"network, {scale}": {"scale.name": scale} for scale in SCALES},
    "whitening_linear": {f"linear, {scale}": {"scale.name": scale} for scale in SCALES},
}
PAIR = (4, 5)  # two blood values of the diabetes data, correlated by 0.9
POINTS = 80


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return two encoded numbers of the first training rows, (POINTS, 2), and their correlation."""
    with pa.memory_map(str(paths.base / "train.arrow")) as stream:
        column = pa.ipc.open_file(stream).read_all().column("input")
        inputs = np.concatenate([chunk.to_numpy_ndarray() for chunk in column.chunks])
    pair = inputs[:, list(PAIR)].astype(float)
    correlation = float(np.corrcoef(pair.T)[0, 1])
    return {"points": pair[:POINTS].tolist(), "correlation": correlation}


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    inputs, axes = panels(3, columns=3, width=2.45, height=2.6)
    for axis, scale in zip(axes, SCALES, strict=True):
        more = outcomes[f"linear, {scale}"].more
        axis.plot(*np.array(more["points"]).T, ".", color=BLUE, markersize=4)
        axis.set_title(f"{scale}: correlation {abs(more['correlation']):.2f}", fontsize=10)
        axis.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
    losses, (linear, network) = panels(2)
    above = {scale: above_least(outcomes, scale) for scale in SCALES}
    draw_curves(linear, above, "linear model", "training loss less the least")
    linear.set_yscale("log")
    linear.set_ylim(1e-5, 1)
    curves = {scale: outcomes[f"network, {scale}"].curve("train/loss") for scale in SCALES}
    draw_curves(network, curves, "network, mean of 4", "cross-entropy of the training part")
    return {"whitening": inputs, "whitening_training": losses}


def above_least(outcomes: Outcomes, scale: str) -> list[float]:
    """Return the training loss of the linear model above the least of any scale, by epoch."""
    least = min(min(outcomes[f"linear, {one}"].curve("train/loss")) for one in SCALES)
    return [loss - least for loss in outcomes[f"linear, {scale}"].curve("train/loss")]


def epochs_to(outcomes: Outcomes, scale: str, above: float = 0.002) -> int | None:
    """Return the first epoch of the linear model with a loss that is so near the least."""
    losses = above_least(outcomes, scale)
    return next((epoch for epoch, loss in enumerate(losses, 1) if loss < above), None)


def table(outcomes: Outcomes) -> str:
    rows = []
    for scale in SCALES:
        network, epochs = outcomes[f"network, {scale}"], epochs_to(outcomes, scale)
        rows.append((
            f"`{scale}`",
            epochs or f"more than {len(above_least(outcomes, scale))}",
            f"{network.curve('train/loss')[-1]:.3f}",
            f"{network.mean('nll'):.3f}",
            f"{network.mean('accuracy'):.3f}",
        ))  # fmt: skip
    head = (
        "scale", "linear: epochs until 0.002 above the least loss", "network: training loss at "
        "the end", "network: test NLL, mean of 4", "network: test accuracy, mean of 4",
    )  # fmt: skip
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    slow, quick = (epochs_to(outcomes, scale) or 10_000 for scale in ("standardize", "zca"))
    networks = {scale: outcomes[f"network, {scale}"] for scale in SCALES}
    loss = {scale: one.curve("train/loss")[-1] for scale, one in networks.items()}
    nll = {scale: one.mean("nll") for scale, one in networks.items()}
    shown = f"more than {len(above_least(outcomes, 'standardize'))}" if slow == 10_000 else slow
    return [
        Seen(
            "Decorrelated inputs of equal variance let gradient descent converge faster, since one "
            "rate suits all directions (LeCun et al. 1998, section 4.3).",
            f"In the linear model: {quick} epochs with `zca`, {shown} with `standardize`.",
            quick < slow,
        ),
        Seen(
            "The same of a network.",
            f"Of this one, after equal epochs at one rate, the training loss is "
            f"{loss['zca']:.3f} with `zca` and {loss['standardize']:.3f} with `standardize`.",
            loss["zca"] < loss["standardize"],
        ),
        Seen(
            "Whitening removes what large variances say, which costs accuracy on new rows where "
            "rows are few (Wadia et al. 2021).",
            f"Test NLL {nll['pca']:.3f} with `pca`, {nll['zca']:.3f} with `zca`, "
            f"{nll['standardize']:.3f} with `standardize`.",
            min(nll["pca"], nll["zca"]) > nll["standardize"],
        ),
    ]


TECHNIQUE = Technique(
    "whitening",
    RUNS,
    {"training.epochs": 2, "ensemble.learners": 2},
    draw,
    table,
    seen,
    measure,
)
