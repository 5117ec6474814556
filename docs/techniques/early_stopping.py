"""Early stopping: where learning curves turn."""

from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.report.drawing import INK
from techniques.drawing import draw_curves, draw_members, panels
from techniques.frame import Outcome, Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL, FEW, SOME, MANY, LAST = (
    "to the end", "patience 3", "patience 10", "patience 30", "patience 10, last epoch",
)  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    ALL: {},
    FEW: {"training.early_stopping": {"patience": 3}},
    SOME: {"training.early_stopping": {"patience": 10}},
    MANY: {"training.early_stopping": {"patience": 30}},
    LAST: {"training.early_stopping": {"patience": 10, "restore_best": False}},
}


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return the mean norm of the members' weights."""
    rows = np.stack(list(load_file(paths.model / "members.safetensors").values()))
    return {"norm": float(np.linalg.norm(rows.astype(float), axis=1).mean())}


def epochs(outcome: Outcome) -> float:
    """Return the mean number of epochs that a learner was trained for."""
    return float(np.mean([len(one) for one in outcome.curves["train/loss"]]))


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, (above, below) = panels(2, width=6.0, height=3.0)
    one = outcomes[ALL]
    curves = {
        "training part": one.curves["train/loss"][0],
        "stop part": one.curves["stop/loss"][0],
    }
    draw_curves(above, curves, "one network, trained to the end", "squared error, scaled")
    best = int(np.argmin(curves["stop part"]))
    above.axvline(best + 1, color=INK, linestyle=":", linewidth=1)
    above.annotate(
        f"best epoch, {best + 1}", (best + 1, 0.95), xycoords=("data", "axes fraction"),
        xytext=(4, 0), textcoords="offset points", fontsize=9,
    )  # fmt: skip
    above.set_ylim(0, 2.5 * min(curves["stop part"]))
    members = {label: one.members["rmse"] for label, one in outcomes.items()}
    draw_members(below, members, "RMSE on the test part: each network, and their mean", "RMSE")
    return {"early_stopping": figure}


def table(outcomes: Outcomes) -> str:
    rows = [
        (
            label,
            f"{epochs(one):.0f}",
            f"{one.more['norm']:.1f}",
            f"{one.mean('rmse'):.1f}",
            f"{one.mean('r2'):.3f}",
            f"{one.ensemble['rmse']:.1f}",
        )
        for label, one in outcomes.items()
    ]
    head = (
        "run", "epochs, mean of 4", "norm of the weights", "test RMSE, mean of 4", "R²",
        "RMSE of the ensemble",
    )  # fmt: skip
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    rmse = {label: one.mean("rmse") for label, one in outcomes.items()}
    norm = {label: one.more["norm"] for label, one in outcomes.items()}
    longer = epochs(outcomes[MANY]) / epochs(outcomes[FEW])
    stop, train = (outcomes[ALL].curve(f"{part}/loss") for part in ("stop", "train"))
    return [
        Seen(
            "The loss of new rows falls, turns and rises while that of the training falls on "
            "(Goodfellow et al. 2016, figure 7.3).",
            f"On the held-out folds from {min(stop):.3f} at its lowest to {stop[-1]:.3f} at the "
            f"end, on the training rows to {train[-1]:.3f}.",
            stop[-1] > 1.1 * min(stop),
        ),
        Seen(
            "Stopping there predicts new rows better (Prechelt 1998).",
            f"Test RMSE {rmse[SOME]:.1f} with a patience of 10, {rmse[ALL]:.1f} at the end.",
            rmse[SOME] < rmse[ALL],
        ),
        Seen(
            "More patience gains little and costs much: about 4% for four times the training "
            "(Prechelt 1998).",
            f"A patience of 30 takes {longer:.1f} times the epochs of 3, and changes RMSE from "
            f"{rmse[FEW]:.1f} to {rmse[MANY]:.1f}, by {rmse[MANY] / rmse[FEW] - 1:+.1%}.",
            longer > 1.5 and abs(rmse[MANY] / rmse[FEW] - 1) < 0.04,
        ),
        Seen(
            "It limits the weights as L2 does (Goodfellow et al. 2016, section 7.8, equations 7.33 "
            "to 7.45).",
            f"Norm {norm[SOME]:.1f} with a patience of 10, {norm[ALL]:.1f} at the end.",
            norm[SOME] < norm[ALL],
        ),
        Seen(
            "The weights of the best epoch are to be kept, not the last ones (Goodfellow et al. "
            "2016, algorithm 7.1).",
            f"Test RMSE {rmse[SOME]:.1f} with the best ones, {rmse[LAST]:.1f} with the last.",
            rmse[SOME] < rmse[LAST],
        ),
    ]


TECHNIQUE = Technique(
    "early_stopping",
    {"early_stopping": RUNS},
    {"training.epochs": 2, "ensemble.learners": 2},
    draw,
    table,
    seen,
    measure,
)
