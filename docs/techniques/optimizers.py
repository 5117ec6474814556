"""Update rules: on a bowl, and on a network."""

from typing import TYPE_CHECKING, Any

from techniques.bowl import (
    BEST_MOMENTUM,
    draw_trajectories,
    overshoot,
    path_of,
    steps_to,
    trajectories,
)
from techniques.drawing import draw_curves, draw_members, panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of a third, one and three times a usual rate the one of the lowest loss on the held-out folds.
RULES: dict[str, dict[str, Any]] = {
    "sgd, momentum 0": {"name": "sgd", "learning_rate": 0.3, "momentum": 0.0},
    "sgd, momentum 0.9": {"name": "sgd", "learning_rate": 0.03, "momentum": 0.9},
    "nesterov": {"name": "nesterov", "learning_rate": 0.03},
    "adagrad": {"name": "adagrad", "learning_rate": 0.09},
    "adadelta": {"name": "adadelta", "learning_rate": 3.0},
    "rmsprop": {"name": "rmsprop", "learning_rate": 0.003},
    "adam": {"name": "adam", "learning_rate": 0.009},
    "adamw": {"name": "adamw", "learning_rate": 0.009},
}
TO_LOSS = 0.1  # cross-entropy on the training part


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, (above, below) = panels(2, width=6.0, height=3.0)
    draw_curves(
        above,
        {label: one.curve("train/loss") for label, one in outcomes.items()},
        "loss on the training part, mean of 4",
        "cross-entropy",
    )
    above.set_yscale("log")
    members = {label: one.members["nll"] for label, one in outcomes.items()}
    draw_members(below, members, "NLL on the test part: each network, and their mean", "nats")
    return {"optimizers": draw_trajectories(trajectories()), "optimizers_network": figure}


def table(outcomes: Outcomes) -> str:
    paths = trajectories()
    rows = [
        (
            f"`{label}`",
            steps_to(paths[label]),
            _epochs(outcomes, label),
            f"{one.curve('train/loss')[-1]:.4f}",
            f"{one.mean('nll'):.3f}",
            f"{one.mean('accuracy'):.3f}",
        )
        for label, one in outcomes.items()
    ]
    head = (
        "rule", "bowl: steps until f stays below 0.01", f"network: epochs to a loss of {TO_LOSS}",
        "training loss at the end", "test NLL", "test accuracy",
    )  # fmt: skip
    return markdown(head, rows)


def _epochs(outcomes: Outcomes, label: str) -> int:
    """Return the first epoch with so low a training loss, or how many there are."""
    curve = outcomes[label].curve("train/loss")
    return next((epoch for epoch, loss in enumerate(curve, 1) if loss < TO_LOSS), len(curve))


def seen(outcomes: Outcomes) -> list[Seen]:
    paths, best = trajectories(), steps_to(path_of(BEST_MOMENTUM))
    plain, heavy, nesterov = ("sgd, momentum 0", "sgd, momentum 0.9", "nesterov")
    losses = {label: one.curve("train/loss")[-1] for label, one in outcomes.items()}
    beyond = {label: overshoot(paths[label]) for label in (heavy, nesterov)}
    epochs = {label: _epochs(outcomes, label) for label in outcomes}
    accuracy = {label: outcomes[label].mean("accuracy") for label in (heavy, "adam")}
    return [
        Seen(
            "The best momentum needs about the root of as many steps as plain descent "
            "(Polyak 1964).",
            f"On the bowl {best} steps with its momentum of {BEST_MOMENTUM.momentum:.1f}, "
            f"{steps_to(paths[plain])} without; with 0.9, too much for so round a bowl, it swings "
            f"and needs {steps_to(paths[heavy])}.",
            best < steps_to(paths[plain]),
        ),
        Seen(
            "Momentum speeds up the training of networks (Sutskever et al. 2013).",
            f"Each at its best rate, the training loss ends at {losses[heavy]:.4f} with a momentum "
            f"of 0.9 and at {losses[plain]:.4f} without, which takes ten times the rate.",
            losses[heavy] < 0.9 * losses[plain],
        ),
        Seen(
            "Nesterov's momentum swings less (Sutskever et al. 2013, section 2.1).",
            f"Along the bowl it overshoots the minimum by {beyond[nesterov]:.2f}, the plain one by "
            f"{beyond[heavy]:.2f}.",
            beyond[nesterov] < beyond[heavy],
        ),
        Seen(
            "Adam makes the fastest start of the rules (Kingma & Ba 2015, section 6).",
            f"A training loss of {TO_LOSS} takes it {epochs['adam']} epochs; the others "
            f"{min(n for label, n in epochs.items() if 'adam' not in label)} to "
            f"{max(epochs.values())}.",
            epochs["adam"] <= min(epochs.values()),
        ),
        Seen(
            "Adaptive rules predict new rows worse than momentum (Wilson et al. 2017).",
            f"Test accuracy {accuracy['adam']:.3f} with `adam`, {accuracy[heavy]:.3f} with "
            "momentum, of 360 rows: half a percent is noise.",
            accuracy["adam"] < accuracy[heavy] - 0.005,
        ),
    ]


TECHNIQUE = Technique(
    "optimizers",
    {"optimizers": {label: {"training.optimizer": rule} for label, rule in RULES.items()}},
    {"training.epochs": 1, "ensemble.learners": 2},
    draw,
    table,
    seen,
)
