"""Members by passes with dropout, by bootstrap samples, and by initialisation."""

from typing import TYPE_CHECKING, Any

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.tracking.run_summary import read_run_summary
from techniques.comparing import (
    are_surely_above_zero,
    by_seed,
    draw_kinds,
    for_seeds,
    less_by_seed,
    of_kind,
    shown,
)
from techniques.drawing import panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (1, 2, 3, 4)
KINDS: dict[str, dict[str, Any]] = {
    "one network": {"ensemble": {"strategy": "independent", "learners": 1}},
    "20 passes with dropout": {},
    "five bagged networks": {"ensemble": {"strategy": "bagging", "learners": 5}},
    "five networks": {"ensemble": {"strategy": "independent", "learners": 5}},
}
ONE, PASSES, BAGGED, FIVE = KINDS


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return how often two members disagree on a test row; 0 of one member."""
    metrics = read_run_summary(paths).metrics
    return {"disagreement": metrics.get("diversity/test/disagreement", 0.0)}


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(2)
    for axis, metric in zip(axes, ("accuracy", "nll"), strict=True):
        draw_kinds(axis, outcomes, list(KINDS), metric)
    axes[1].set_yticklabels([])
    return {"mc_dropout_and_bagging": figure}


def table(outcomes: Outcomes) -> str:
    rows = []
    for kind in KINDS:
        runs = of_kind(outcomes, kind)
        rows.append((
            kind,
            *(shown(by_seed(outcomes, kind, metric)) for metric in ("accuracy", "nll", "ece")),
            shown([one.mean("nll") for one in runs]),
            shown([one.more["disagreement"] for one in runs]),
        ))  # fmt: skip
    head = (
        "members", "test accuracy", "test NLL", "test ECE", "NLL of a member",
        "disagreement of two members",
    )  # fmt: skip
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    nll = {kind: shown(by_seed(outcomes, kind, "nll")) for kind in KINDS}
    own = {kind: [one.mean("nll") for one in of_kind(outcomes, kind)] for kind in KINDS}
    apart = {kind: [one.more["disagreement"] for one in of_kind(outcomes, kind)] for kind in KINDS}
    weaker, further = (
        [one - other for one, other in zip(of[BAGGED], of[FIVE], strict=True)]
        for of in (own, apart)
    )
    return [
        Seen(
            "The mean over passes with dropout has a lower NLL than the network that drops nothing "
            "(Gal & Ghahramani 2016, table 1).",
            f"NLL {nll[PASSES]}, of one network {nll[ONE]}.",
            are_surely_above_zero(less_by_seed(outcomes, PASSES, ONE)),
        ),
        Seen(
            "Independent networks are better than passes with dropout (Lakshminarayanan et al. "
            "2017).",
            f"NLL {nll[FIVE]}, of the passes {nll[PASSES]}.",
            are_surely_above_zero(less_by_seed(outcomes, FIVE, PASSES)),
        ),
        Seen(
            "Bootstrap samples make members differ more (Breiman 1996).",
            f"Two bagged networks disagree on {shown(apart[BAGGED])} of the rows, two others on "
            f"{shown(apart[FIVE])}.",
            are_surely_above_zero(further),
        ),
        Seen(
            "Of networks bagging is worse than initialisation alone, since each sees 63% of the "
            "rows (Lakshminarayanan et al. 2017, section 2.4; Lee et al. 2015).",
            f"A bagged member's NLL is higher by {shown(weaker)}; that of the ensemble is "
            f"{nll[BAGGED]}, without bagging {nll[FIVE]}.",
            are_surely_above_zero(less_by_seed(outcomes, FIVE, BAGGED)),
        ),
    ]


TECHNIQUE = Technique(
    "mc_dropout_and_bagging",
    {"mc_dropout_and_bagging": for_seeds(KINDS, SEEDS)},
    {"training.epochs": 2, "seed": 1},
    draw,
    table,
    seen,
    measure,
)
