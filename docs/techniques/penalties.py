"""Penalties of the weights: their sizes, and what they are worth."""

from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.storage import RunPaths
from techniques.drawing import draw_histograms, draw_members, panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = np.linspace(-6, 1, 29)  # edges of the bins, log10
NEAR_ZERO = 1e-3
NONE, SMALL_L2, L2, L1, LARGE_L1, DECAY = (
    "none", "l2 0.003", "l2 0.03", "l1 0.0003", "l1 0.003", "weight_decay 0.03",
)  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    label: {f"training.optimizer.{label.split()[0]}": float(label.split()[1])}
    for label in (SMALL_L2, L2, L1, LARGE_L1, DECAY)
}


def kernels(paths: RunPaths) -> Floats:
    """Return the weights of all kernels, (K, n), of members of one network on the digits."""
    config, _ = load_pipeline(paths.pipeline)
    rows = np.stack(list(load_file(paths.model / "members.safetensors").values()))
    views = config.network.build((8, 8, 1), 10).layout.views(rows)
    found = [one.reshape(len(rows), -1) for name, one in views.items() if name.endswith("kernel")]
    return np.concatenate(found, axis=1)


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return how many weights are near zero, their norm, and the histogram of their sizes."""
    weights = np.abs(kernels(paths)).astype(float)
    logs = np.log10(np.maximum(weights, 10.0 ** SIZES[0]))
    return {
        "near_zero": float((weights < NEAR_ZERO).mean()),
        "norm": float(np.sqrt((weights**2).sum(axis=1)).mean()),
        "sizes": (np.histogram(logs, SIZES)[0] / weights.size).tolist(),
    }


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, (above, below) = panels(2, width=6.0, height=3.0)
    shown = {label: outcomes[label].more["sizes"] for label in (NONE, L2, LARGE_L1)}
    title = "size of the weights, four networks"
    draw_histograms(above, SIZES, shown, title, "log10 of the size", "share of the weights")
    members = {label: one.members["nll"] for label, one in outcomes.items()}
    draw_members(below, members, "NLL on the test part: each network, and their mean", "nats")
    return {"penalties": figure}


def table(outcomes: Outcomes) -> str:
    rows = [
        (
            f"`{label}`",
            f"{one.more['near_zero']:.1%}",
            f"{one.more['norm']:.1f}",
            f"{one.curve('train/loss')[-1]:.4f}",
            f"{one.mean('nll'):.3f}",
            f"{one.mean('accuracy'):.3f}",
        )
        for label, one in outcomes.items()
    ]
    head = (
        "penalty", f"weights below {NEAR_ZERO:g}", "norm of the weights", "training loss",
        "test NLL", "test accuracy",
    )  # fmt: skip
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    zeros = {label: one.more["near_zero"] for label, one in outcomes.items()}
    norms = {label: one.more["norm"] for label, one in outcomes.items()}
    nll = {label: one.mean("nll") for label, one in outcomes.items()}
    best = min((SMALL_L2, L2, L1, LARGE_L1, DECAY), key=nll.__getitem__)
    return [
        Seen(
            "L1 makes weights zero, L2 only small (Tibshirani 1996; Goodfellow et al. 2016, "
            "section 7.1.2).",
            f"Below {NEAR_ZERO:g} are {zeros[LARGE_L1]:.0%} of the weights with `{LARGE_L1}`, "
            f"{zeros[L2]:.0%} with `{L2}`, {zeros[NONE]:.0%} with none. Zero itself is not met: "
            "the steps of descent pass over it.",
            zeros[LARGE_L1] > 2 * zeros[L2],
        ),
        Seen(
            "L2 shrinks the norm of the weights (Krogh & Hertz 1992).",
            f"{norms[L2]:.1f} with `{L2}`, {norms[NONE]:.1f} with none.",
            norms[L2] < norms[NONE],
        ),
        Seen(
            "A penalty improves the prediction of new rows where rows are few (Krogh & Hertz 1992; "
            "Ng 2004 for L1).",
            f"Test NLL {nll[best]:.3f} with the best, `{best}`, {nll[NONE]:.3f} with none; too "
            f"much harms: {nll[L2]:.3f} with `{L2}`.",
            nll[best] < nll[NONE],
        ),
        Seen(
            "Decoupled decay is another penalty than L2 only for adaptive rules (Loshchilov & "
            "Hutter 2019, proposition 1).",
            f"Under `sgd`, with momentum: norm {norms[DECAY]:.2f} and NLL {nll[DECAY]:.3f} with "
            f"`{DECAY}`, {norms[SMALL_L2]:.2f} and {nll[SMALL_L2]:.3f} with the tenth as `l2`, "
            "since momentum of 0.9 multiplies a steady gradient by ten.",
            abs(norms[DECAY] - norms[SMALL_L2]) < 0.05 * norms[SMALL_L2],
        ),
    ]


TECHNIQUE = Technique(
    "penalties",
    {"penalties": {NONE: {}, **RUNS}},
    {"training.epochs": 1, "ensemble.learners": 2},
    draw,
    table,
    seen,
    measure,
)
