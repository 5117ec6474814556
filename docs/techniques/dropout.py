"""Dropout, DropConnect and stochastic depth, on few rows."""

from typing import TYPE_CHECKING, Any

from techniques.drawing import draw_curves, draw_members, log_scale, panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = (0.0, 0.2, 0.5)
_LAYER = "network.layers.3.rate"
_BLOCKS = tuple(f"network.layers.{place}.survival" for place in (3, 4, 5))


def _labels(kind: str) -> list[str]:
    return [f"{kind} {rate:g}" for rate in RATES]


def _depth(rate: float) -> dict[str, Any]:
    return {} if not rate else dict.fromkeys(_BLOCKS, 1 - rate)


DROPOUT, CONNECT, DEPTH = (_labels(kind) for kind in ("dropout", "DropConnect", "depth"))
RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "dropout": {
        label: {"network.dropout": rate} if rate else {}
        for label, rate in zip(DROPOUT, RATES, strict=True)
    },
    # At a rate of 0 its network is the one above, to the bit.
    "dropout_connect": {
        label: {_LAYER: rate} for label, rate in zip(CONNECT[1:], RATES[1:], strict=True)
    },
    "dropout_depth": {label: _depth(rate) for label, rate in zip(DEPTH, RATES, strict=True)},
}
SHOWN = (DROPOUT[0], DROPOUT[2], CONNECT[2], DEPTH[0], DEPTH[2])


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(3, height=3.4)
    for axis, part in zip(axes, ("train", "stop"), strict=False):
        curves = {label: outcomes[label].curve(f"{part}/loss") for label in SHOWN}
        draw_curves(axis, curves, f"loss on the {part} part", "cross-entropy")
        log_scale(axis, "y", (0.001, 0.01, 0.1, 1) if part == "train" else (0.3, 0.5, 1, 2))
    members = {label: one.members["nll"] for label, one in outcomes.items()}
    draw_members(axes[2], members, "test NLL of each network, and mean", "nats")
    return {"dropout": figure}


def table(outcomes: Outcomes) -> str:
    rows = [
        (
            f"`{label}`",
            f"{one.curve('train/loss')[-1]:.4f}",
            f"{one.mean('nll'):.3f}",
            f"{one.mean('accuracy'):.3f}",
            f"{one.ensemble['nll']:.3f}",
        )
        for label, one in outcomes.items()
    ]
    head = (
        "run", "training loss", "test NLL, mean of 4", "test accuracy, mean of 4",
        "test NLL of the ensemble",
    )  # fmt: skip
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    nll = {label: one.mean("nll") for label, one in outcomes.items()}
    loss = {label: one.curve("train/loss")[-1] for label, one in outcomes.items()}
    best = min(DROPOUT[1:], key=nll.__getitem__)
    dropped, unconnected = (min(nll[label] for label in kind[1:]) for kind in (DROPOUT, CONNECT))
    return [
        Seen(
            "Dropout keeps a network from fitting its rows wholly, and predicts new ones better "
            "(Srivastava et al. 2014, section 6).",
            f"Training loss {loss[DROPOUT[0]]:.4f} without, {loss[DROPOUT[2]]:.4f} at a rate of "
            f"0.5; test NLL {nll[DROPOUT[0]]:.3f} without, {nll[best]:.3f} with `{best}`.",
            nll[best] < nll[DROPOUT[0]],
        ),
        Seen(
            "A rate of 0.5 is near the best for hidden units (Srivastava et al. 2014, section 1).",
            f"Test NLL {nll[DROPOUT[2]]:.3f} at 0.5, {nll[DROPOUT[1]]:.3f} at 0.2: networks of 128 "
            "units have few to spare.",
            nll[DROPOUT[2]] <= nll[DROPOUT[1]],
        ),
        Seen(
            "DropConnect is at least as good as dropout (Wan et al. 2013, section 6).",
            f"The best test NLL is {unconnected:.3f} with it, {dropped:.3f} with dropout. It is on "
            "one of the two layers, and one mask serves a whole batch.",
            unconnected <= dropped,
        ),
        Seen(
            "Stochastic depth predicts new rows better than the same residual network without it "
            "(Huang et al. 2016, section 4).",
            f"Test NLL {nll[DEPTH[2]]:.3f} with a survival of 0.5, {nll[DEPTH[0]]:.3f} without.",
            nll[DEPTH[2]] < nll[DEPTH[0]],
        ),
    ]


TECHNIQUE = Technique(
    "dropout", RUNS, {"training.epochs": 1, "ensemble.learners": 2}, draw, table, seen
)
