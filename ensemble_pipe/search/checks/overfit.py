"""Step 2: a small sample can be learned by heart, to near zero loss, without penalties.

CS231n, "Neural networks part 3", sanity checks: a network that cannot overfit a few rows will learn
nothing from many.
"""

from dataclasses import replace

import numpy as np

from ensemble_pipe.config.sections import Splits
from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.nn.losses import SquaredError
from ensemble_pipe.run.preparation import Prepared
from ensemble_pipe.search.checks.bench import open_bench
from ensemble_pipe.search.checks.findings import Finding, Step, unjudged

TITLE = "2 overfit a few rows"
ROWS, STEPS = 32, 300
# Rates beside the pipeline's own, which may be what is wrong.
_FACTORS = (1.0, 0.1, 10.0, 0.01, 100.0)
# The share of chance's loss that may be left.
LEFT = 0.05


def check_overfit(prepared: Prepared, deadline: float) -> Step:
    """Train on a few rows at several rates, and look at the lowest loss.

    Args:
        prepared: the data.
        deadline: of time.monotonic, at which what is there counts.
    """
    places = few_rows(prepared)
    plan = prepared.plans.networks[0]
    loss = SquaredError() if prepared.schema.task == "regression" else plan.loss
    rule = replace(plan.rule, l1=0.0, l2=0.0, weight_decay=0.0)
    plan = replace(plan, loss=loss, rule=rule, view=View(), batch_rows=None, order="own")
    splits = Splits(validation=1, stop="validation")
    alone = replace(
        prepared,
        config=prepared.config.model_copy(update={"splits": splits, "augment": Augment()}),
        plans=replace(prepared.plans, networks=(plan,), folds=None),
    )
    with open_bench(alone, dict.fromkeys(("train", "stop", "validation"), places)) as bench:
        # A single class, or targets that are all alike, has no loss to lose.
        chance = max(bench.chance, 1e-6)
        trials = [
            bench.trial(number, STEPS, learning_rate=plan.rule.learning_rate * factor)
            for number, factor in enumerate(_FACTORS)
        ]
        curves = bench.train(trials[:1], deadline, LEFT * chance)
        if curves[0].best > LEFT * chance:
            curves += bench.train(trials[1:], deadline, LEFT * chance)
    best = min((curve.best for curve in curves), default=np.inf)
    measured = {"rows": len(places), "loss": best, "chance": bench.chance}
    if best <= LEFT * chance:
        verdict = f"{len(places)} rows are learned by heart: {best:.2g}, from {chance:.2g}"
        return Step(TITLE, verdict, (), measured)
    if not all(curve.is_whole for curve in curves):
        return unjudged(TITLE, measured)
    finding = Finding(
        "cannot-overfit",
        f"{len(places)} rows are not learned by heart in {STEPS} steps at any of "
        f"{len(curves)} rates: the loss is still {best:.3g}, from {chance:.3g} of chance; the "
        "network is too small or cannot learn (initial values, dead units), or equal rows have "
        "different labels",
    )
    return Step(TITLE, f"fails: {best:.3g}, from {chance:.3g}", (finding,), measured)


def few_rows(prepared: Prepared) -> Integers:
    """Return places of a few training rows, of each class in turn where there are classes."""
    train = prepared.parts["train"]
    if prepared.schema.task == "regression":
        return np.sort(train[np.linspace(0, len(train) - 1, min(ROWS, len(train))).astype(int)])
    _, codes = np.unique(prepared.data.strata[train], return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
    turn = np.arange(len(train)) - starts[codes[order]]  # which of its class a row is
    return np.sort(train[order[np.argsort(turn, kind="stable")[:ROWS]]])
