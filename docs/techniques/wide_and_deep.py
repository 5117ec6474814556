"""Wide and deep: a linear model and a network in one, against either alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble_pipe.run.pipeline import RunResult, run
from techniques.comparing import spread, surely_less, table_of
from techniques.drawing import draw_curves, draw_members, panels
from techniques.frame import Outcomes, Seen, Technique
from techniques.sales import NOISE, write_sales

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS: dict[str, dict[str, Any]] = {
    "wide": {"network": {"name": "linear"}, "training.optimizer.learning_rate": 0.01},
    "deep": {"network.name": "mlp"},
    "deep, no dropout": {"network.name": "mlp", "network.dropout": None},
    "wide and deep": {},
    "wide and deep, no dropout": {"network.dropout": None},
}
WIDE, DEEP, BARE, BOTH, BARE_BOTH = RUNS


def start(pipeline: Path, *, output: Path, **settings: Any) -> RunResult:
    """Make up the table, and run the pipeline on it."""
    table = output / "sales.parquet"
    write_sales(table)
    return run(pipeline, output=output, **{"data.path": str(table), **settings})


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(2, width=4.6)
    values = {label: one.members["rmse"] for label, one in outcomes.items()}
    draw_members(axes[0], values, "each member", "test RMSE")
    axes[0].axvline(NOISE, color="#000000", linestyle=":", label="the noise")
    axes[0].legend(frameon=False, fontsize=9)
    curves = {label: outcomes[label].curve("stop/loss") for label in (WIDE, DEEP, BOTH)}
    draw_curves(axes[1], curves, "loss on the stop part", "squared error")
    return {"wide_and_deep": figure}


def table(outcomes: Outcomes) -> str:
    return table_of(outcomes, ("rmse", "nll"))


def seen(outcomes: Outcomes) -> list[Seen]:
    wide, deep, bare, both, bare_both = (outcomes[label] for label in RUNS)
    best = min((deep, bare), key=lambda one: one.mean("rmse"))
    best_both = min((both, bare_both), key=lambda one: one.mean("rmse"))
    return [
        Seen(
            "Wide and deep together are better than either alone (Cheng et al. 2016, table 1).",
            f"With dropout RMSE {spread(both, 'rmse')}; deep {spread(deep, 'rmse')}, wide "
            f"{spread(wide, 'rmse')}.",
            surely_less(both, deep, "rmse") and surely_less(both, wide, "rmse"),
        ),
        Seen(
            "The same of each with the settings that suit it (Cheng et al. 2016, table 1, compare "
            "tuned models).",
            f"The best pair, without dropout: {spread(best_both, 'rmse')} of wide and deep, "
            f"{spread(best, 'rmse')} of deep alone, which can learn a sum by itself.",
            surely_less(best_both, best, "rmse"),
        ),
        Seen(
            "Wide alone misses interactions that no feature names (Cheng et al. 2016, section 1).",
            f"RMSE {spread(wide, 'rmse')}; deep alone, without dropout, {spread(bare, 'rmse')}.",
            surely_less(bare, wide, "rmse"),
        ),
    ]


TECHNIQUE = Technique(
    "wide_and_deep",
    {"wide_and_deep": RUNS},
    {"training.epochs": 5, "ensemble.learners": 2, "splits.train": 200},
    draw,
    table,
    seen,
    start=start,
)
