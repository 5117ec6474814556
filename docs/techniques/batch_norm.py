"""Batch norm: with and without, over scales of the start and rates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ensemble_pipe.report.drawing import legend, line, marker
from techniques.comparing import spread, surely_less
from techniques.drawing import draw_curves, log_scale, panels
from techniques.frame import Outcome, Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEVIATIONS = (0.02, 0.06, 0.18, 0.36)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
USUAL_DEVIATION, USUAL_RATE = 0.18, 0.03
LOW_LOSS = 0.15  # cross-entropy
KINDS = {"with": (1, 4, 7, 10), "without": (1, 3, 5, 7)}  # and the places of their dense layers


def _runs(kind: str, places: Sequence[int]) -> dict[str, dict[str, Any]]:
    deviations = {
        f"{kind}, deviation {value:g}": {
            f"network.layers.{place}.initializer.deviation": value for place in places
        }
        for value in DEVIATIONS
        if value != USUAL_DEVIATION
    }
    rates = {
        f"{kind}, rate {value:g}": {"training.optimizer.learning_rate": value}
        for value in RATES
        if value != USUAL_RATE
    }
    return {kind: {}, **deviations, **rates}


def of_deviation(kind: str, value: float) -> str:
    """Return the label of the run with so large first weights."""
    return kind if value == USUAL_DEVIATION else f"{kind}, deviation {value:g}"


def of_rate(kind: str, value: float) -> str:
    """Return the label of the run at a learning rate."""
    return kind if value == USUAL_RATE else f"{kind}, rate {value:g}"


def epochs_to_low(outcome: Outcome) -> int:
    """Return the first epoch with so low a loss on the held-out folds; one more for none."""
    curve = outcome.curve("stop/loss")
    return next((epoch for epoch, loss in enumerate(curve, 1) if loss < LOW_LOSS), len(curve) + 1)


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(3)
    curves = {f"{kind} batch norm": outcomes[kind].curve("train/loss") for kind in KINDS}
    draw_curves(axes[0], curves, "training loss, mean of 4", "cross-entropy")
    axes[0].set_yscale("log")
    for axis, values, label_of, title, xlabel in (
        (
            axes[1],
            DEVIATIONS,
            of_deviation,
            "scale of the start",
            "deviation of the weights",
        ),
        (axes[2], RATES, of_rate, "learning rate", "learning rate"),
    ):
        for place, kind in enumerate(KINDS):
            accuracies = [outcomes[label_of(kind, value)].mean("accuracy") for value in values]
            axis.plot(values, accuracies, marker=marker(place), label=kind, **line(place))
        axis.set_title(title, fontsize=10)
        log_scale(axis, "x", values)
        axis.set(xlabel=xlabel, ylabel="test accuracy, mean of 4", ylim=(0, 1.03))
        legend(axis)
    return {"batch_norm": figure}


def table(outcomes: Outcomes) -> str:
    rows = [
        (
            name,
            *(f"{outcomes[label_of(kind, value)].mean('accuracy'):.3f}" for kind in KINDS),
            *(f"{outcomes[label_of(kind, value)].curve('train/loss')[-1]:.3f}" for kind in KINDS),
        )
        for name, label_of, value in (
            *((f"deviation {value:g}", of_deviation, value) for value in DEVIATIONS),
            *((f"rate {value:g}", of_rate, value) for value in RATES),
        )
    ]
    head = (
        "run", "test accuracy with batch norm", "without", "training loss after 10 epochs with",
        "without",
    )  # fmt: skip
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    scales = {
        kind: [outcomes[of_deviation(kind, value)].mean("accuracy") for value in DEVIATIONS]
        for kind in KINDS
    }
    works = {
        kind: [rate for rate in RATES if outcomes[of_rate(kind, rate)].mean("accuracy") > 0.9]
        for kind in KINDS
    }
    epochs = {
        kind: min(epochs_to_low(outcomes[of_rate(kind, rate)]) for rate in RATES) for kind in KINDS
    }
    slow = {kind: outcomes[of_rate(kind, 0.01)] for kind in KINDS}
    loss = {kind: one.curve("train/loss")[-1] for kind, one in slow.items()}
    return [
        Seen(
            "It makes training insensitive to the scale of the first weights (Ioffe & Szegedy "
            "2015, section 3.3).",
            f"Accuracy over deviations of {DEVIATIONS[0]:g} to {DEVIATIONS[-1]:g} is "
            f"{min(scales['with']):.3f} to {max(scales['with']):.3f} with it, "
            f"{min(scales['without']):.3f} to {max(scales['without']):.3f} without.",
            min(scales["with"]) > min(scales["without"]) + 0.1,
        ),
        Seen(
            "It allows higher rates (Ioffe & Szegedy 2015, section 3.3).",
            f"Accuracies above 0.9 up to a rate of {max(works['with'], default=0):g} with it, of "
            f"{max(works['without'], default=0):g} without.",
            max(works["with"], default=0) > max(works["without"], default=0),
        ),
        Seen(
            "It trains in fewer steps (Ioffe & Szegedy 2015, figure 2).",
            f"At the best of the five rates for each, the loss of the held-out folds is below "
            f"{LOW_LOSS} after {epochs['with']} epochs with it, after {epochs['without']} "
            f"without. The training loss need not be lower: at a rate of 0.01 it is "
            f"{loss['with']:.3f} after 10 with it, {loss['without']:.3f} without.",
            epochs["with"] < epochs["without"],
        ),
        Seen(
            "It regularizes, since statistics of a batch are noisy (Ioffe & Szegedy 2015, section "
            "3.4).",
            "At a rate of 0.01 it fits the training rows less and predicts new ones better: "
            f"training loss {loss['with']:.3f} with it, {loss['without']:.3f} without, test "
            f"accuracy {spread(slow['with'], 'accuracy')} and "
            f"{spread(slow['without'], 'accuracy')}.",
            loss["with"] > loss["without"]
            and surely_less(slow["without"], slow["with"], "accuracy"),
        ),
    ]


TECHNIQUE = Technique(
    "batch_norm",
    {
        "batch_norm": _runs("with", KINDS["with"]),
        "batch_norm_without": _runs("without", KINDS["without"]),
    },
    {"training.epochs": 1, "ensemble.learners": 2, "training.batch_size": 64},
    draw,
    table,
    seen,
)
