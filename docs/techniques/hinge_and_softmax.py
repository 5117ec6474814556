"""The hinge loss of a support vector machine against the cross-entropy of a softmax."""

from typing import TYPE_CHECKING, Any

from techniques.comparing import spread, surely_less, table_of
from techniques.drawing import draw_members, panels
from techniques.frame import Outcomes, Seen, Technique

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SOFTMAX = {"training.loss.name": "cross_entropy"}
_LINEAR = {"network": {"name": "linear"}}
RUNS: dict[str, dict[str, Any]] = {
    "hinge, linear": _LINEAR,
    "softmax, linear": {**_LINEAR, **_SOFTMAX},
    "hinge, network": {},
    "softmax, network": _SOFTMAX,
}
POINT = 0.01  # of accuracy


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(3)
    for axis, metric, name in zip(
        axes, ("accuracy", "nll", "ece"), ("accuracy", "NLL", "ECE"), strict=True
    ):
        values = {label: one.members[metric] for label, one in outcomes.items()}
        draw_members(axis, values, f"test {name} of each member", f"test {name}")
        whole = [one.ensemble[metric] for one in outcomes.values()]
        axis.plot(whole, range(len(whole)), "kD", fillstyle="none", label="ensemble")
        axis.legend(frameon=False, fontsize=9)
    axes[1].set_yticklabels([])
    return {"hinge_and_softmax": figure}


def table(outcomes: Outcomes) -> str:
    return table_of(outcomes, ("accuracy", "nll", "ece"))


def seen(outcomes: Outcomes) -> list[Seen]:
    hinge_linear, softmax_linear, hinge, softmax = (outcomes[label] for label in RUNS)
    apart = [
        abs(one.mean("accuracy") - other.mean("accuracy"))
        for one, other in ((hinge_linear, softmax_linear), (hinge, softmax))
    ]
    return [
        Seen(
            'The accuracies of the two are hardly different (CS231n, "SVM vs. Softmax").',
            f"Of networks {spread(hinge, 'accuracy')} with the hinge loss, "
            f"{spread(softmax, 'accuracy')} with softmax; of linear models "
            f"{spread(hinge_linear, 'accuracy')} and {spread(softmax_linear, 'accuracy')}.",
            max(apart) < POINT,
        ),
        Seen(
            "Scores of a hinge loss are no probabilities until they are calibrated (Platt 1999).",
            f"NLL of a network's softmax {spread(hinge, 'nll')} with the hinge loss, "
            f"{spread(softmax, 'nll')} with cross-entropy; of the ensembles, which have a "
            f"temperature, {hinge.ensemble['nll']:.3f} and {softmax.ensemble['nll']:.3f}.",
            surely_less(softmax, hinge, "nll"),
        ),
    ]


TECHNIQUE = Technique(
    "hinge_and_softmax",
    {"hinge_and_softmax": RUNS},
    {"training.epochs": 2, "ensemble.learners": 2},
    draw,
    table,
    seen,
)
