"""Activations in a network of six hidden layers: those that saturate, and those that do not."""

from math import log
from typing import TYPE_CHECKING, Any

from techniques.comparing import spread, surely_less, table_of
from techniques.drawing import draw_curves, draw_members, panels
from techniques.frame import Outcome, Outcomes, Seen, Technique

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish")
RUNS: dict[str, dict[str, Any]] = {name: {"network.activation": name} for name in NAMES}
DRAWN = ("sigmoid", "tanh", "relu", "elu", "gelu")
EARLY = 5  # epochs


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(2)
    curves = {name: outcomes[name].curve("train/loss") for name in DRAWN}
    draw_curves(axes[0], curves, "training loss, mean of 8", "cross-entropy")
    axes[0].set_yscale("log")
    values = {name: one.members["nll"] for name, one in outcomes.items()}
    draw_members(axes[1], values, "test NLL of each member", "test NLL")
    axes[1].set_xscale("log")
    axes[1].set_xticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    axes[1].minorticks_off()
    return {"activations": figure}


def table(outcomes: Outcomes) -> str:
    losses = {name: f"{_early(one):.3f}" for name, one in outcomes.items()}
    return table_of(outcomes, more={f"training loss after {EARLY} epochs": losses})


def seen(outcomes: Outcomes) -> list[Seen]:
    sigmoid, tanh, relu = (outcomes[name] for name in NAMES[:3])
    smooth = {name: outcomes[name] for name in ("elu", "selu", "gelu", "silu", "mish")}
    better = [name for name, one in smooth.items() if surely_less(one, relu, "nll")]
    return [
        Seen(
            "Sigmoids saturate, and their gradients vanish through the layers (Glorot & Bengio "
            "2010; CS231n: never use them).",
            f"After {EARLY} epochs the training loss is {_early(sigmoid):.2f} where chance has "
            f"2.30; that of relu is {_early(relu):.2f}. Accuracy at the end "
            f"{spread(sigmoid, 'accuracy')}.",
            _early(sigmoid) > 0.9 * log(10),
        ),
        Seen(
            "ReLU learns faster than tanh (Krizhevsky et al. 2012, figure 1: six times).",
            f"Training loss after {EARLY} epochs {_early(relu):.3f}, of tanh {_early(tanh):.3f}.",
            _early(relu) < _early(tanh),
        ),
        Seen(
            "Smooth successors of ReLU are better (Clevert et al. 2016; Hendrycks & Gimpel 2016; "
            "Misra 2020).",
            f"NLL of relu {spread(relu, 'nll')}; "
            + ", ".join(f"{name} {spread(one, 'nll')}" for name, one in smooth.items())
            + f". Surely better: {', '.join(better) or 'none'}.",
            len(better) == len(smooth),
        ),
        Seen(
            "A leak keeps units alive that ReLU lets die (Maas, Hannun & Ng 2013).",
            f"NLL {spread(outcomes['leaky_relu'], 'nll')} with a leak, {spread(relu, 'nll')} "
            "without.",
            surely_less(outcomes["leaky_relu"], relu, "nll"),
        ),
    ]


TECHNIQUE = Technique(
    "activations",
    {"activations": RUNS},
    {"training.epochs": EARLY, "ensemble.learners": 2, "splits.train": 64},
    draw,
    table,
    seen,
)


def _early(outcome: Outcome) -> float:
    return outcome.curve("train/loss")[EARLY - 1]
