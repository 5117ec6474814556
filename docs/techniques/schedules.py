"""Schedules of the learning rate: their curves, and what a network makes of them."""

from typing import TYPE_CHECKING, Any

from techniques.drawing import draw_curves, draw_members, log_scale, panels
from techniques.frame import Outcomes, Seen, Technique, markdown
from techniques.schedule_curves import draw_schedules

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WARM: dict[str, Any] = {"name": "warm_up", "share": 0.1, "then": {"name": "cosine"}}
_HIGH = {"training.optimizer.learning_rate": 0.1}
RUNS: dict[str, dict[str, Any]] = {
    "constant 0.03": {"training.schedule.name": "constant"},
    "constant 0.003": {"training.optimizer.learning_rate": 0.003},
    "step": {"training.schedule.name": "step"},
    "exponential": {"training.schedule.name": "exponential"},
    "cosine": {"training.schedule.name": "cosine"},
    "warm_up, cosine": {"training.schedule": _WARM},
    "one_cycle": {"training.schedule.name": "one_cycle"},
    "constant 0.1": _HIGH,
    "cosine from 0.1": {"training.schedule.name": "cosine", **_HIGH},
    "warm_up, cosine from 0.1": {"training.schedule": _WARM, **_HIGH},
    "one_cycle to 0.1": {"training.schedule.name": "one_cycle", **_HIGH},
}
SHOWN = ("constant 0.03", "constant 0.003", "step", "cosine", "one_cycle")


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, (above, below) = panels(2, width=6.0, height=3.0)
    curves = {label: outcomes[label].curve("train/loss") for label in SHOWN}
    draw_curves(above, curves, "loss on the training part, mean of 4", "cross-entropy")
    above.set_yscale("log")
    members = {label: one.members["nll"] for label, one in outcomes.items()}
    draw_members(below, members, "NLL on the test part: each network, and their mean", "nats")
    log_scale(below, "x", (0.1, 0.2, 0.5, 1))
    return {"schedules": draw_schedules(), "schedules_network": figure}


def table(outcomes: Outcomes) -> str:
    rows = [
        (
            f"`{label}`",
            f"{one.curve('train/loss')[-1]:.3f}",
            f"{one.mean('nll'):.3f}",
            f"{one.mean('accuracy'):.3f}",
        )
        for label, one in outcomes.items()
    ]
    return markdown(("schedule", "training loss at the end", "test NLL", "test accuracy"), rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    loss = {label: one.curve("train/loss")[-1] for label, one in outcomes.items()}
    nll = {label: one.mean("nll") for label, one in outcomes.items()}
    return [
        Seen(
            "At a constant rate stochastic descent stops at a noise that grows with the rate; a "
            "rate that falls goes below it (Robbins & Monro 1951; Bottou, Curtis & Nocedal 2018, "
            "theorems 4.6 and 4.7).",
            f"Training loss {loss['constant 0.1']:.3f} at 0.1, {loss['constant 0.03']:.3f} at "
            f"0.03, and {loss['cosine']:.3f} falling from 0.03 by `cosine`.",
            loss["cosine"] < loss["constant 0.03"] < loss["constant 0.1"],
        ),
        Seen(
            "A rate that is low from the start is too slow (Goodfellow et al. 2016, section "
            "8.3.1).",
            f"Training loss {loss['constant 0.003']:.3f} at 0.003 after the same epochs.",
            loss["constant 0.003"] > loss["constant 0.03"],
        ),
        Seen(
            "A cosine is at least as good as a fall in steps (Loshchilov & Hutter 2017).",
            f"Test NLL {nll['cosine']:.3f} with `cosine`, {nll['step']:.3f} with `step`, whose "
            "first fall, after a quarter of the training, comes too early here.",
            nll["cosine"] <= nll["step"],
        ),
        Seen(
            "One cycle allows a larger rate, and trains faster by it (Smith & Topin 2018).",
            f"Training loss {loss['one_cycle to 0.1']:.3f} with a peak of 0.1, "
            f"{loss['one_cycle']:.3f} with 0.03, after the same epochs.",
            loss["one_cycle to 0.1"] < loss["one_cycle"],
        ),
        Seen(
            "Warm-up keeps a large rate from doing damage at the start (Goyal et al. 2017, section "
            "2.2).",
            f"From 0.1 test NLL {nll['warm_up, cosine from 0.1']:.3f} with it, "
            f"{nll['cosine from 0.1']:.3f} without; from 0.03 {nll['warm_up, cosine']:.3f} and "
            f"{nll['cosine']:.3f}.",
            nll["warm_up, cosine from 0.1"] < nll["cosine from 0.1"] - 0.01,
        ),
    ]


TECHNIQUE = Technique(
    "schedules",
    {"schedules": RUNS},
    {"training.epochs": 2, "ensemble.learners": 2, "training.batch_size": 64},
    draw,
    table,
    seen,
)
