"""Step 3: the learning-rate range test, with the rate that it suggests."""

import numpy as np

from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.search.checks.bench import Bench
from ensemble_pipe.search.checks.findings import Finding, Step
from ensemble_pipe.search.range_test import FEWEST, RateCurve, raise_rate

LOW, HIGH, STEPS, FEWEST_STEPS = 1e-6, 10.0, 200, 70
# The least that the loss must fall by, as a share of chance's (or in nats, below 1).
LEAST_FALL = 0.05


def check_rates(bench: Bench, seconds: float) -> tuple[Step, RateCurve | None]:
    """Raise the rate step by step; return the verdict, and the curve where it is of use.

    Args:
        bench: to train on.
        seconds: that it may take, about.
    """
    steps = int(min(STEPS, max(FEWEST_STEPS, seconds / bench.step_s)))
    with one_thread(), np.errstate(over="ignore", invalid="ignore"):
        curve = raise_rate(bench.plan, bench.data, bench.schema, bench.first_row, LOW, HIGH, steps)
    own, title = bench.plan.rule.learning_rate, "3 learning-rate range test"
    usable = len(curve.rates) >= FEWEST
    fall = float(curve.losses[0] - curve.losses.min()) if usable else 0.0
    if fall < LEAST_FALL * max(1.0, abs(bench.uniform)):
        verdict = f"no rate between {LOW:g} and {HIGH:g} lowers the loss"
        return Step(title, verdict, (), {"suggestion": None, "rate": own}), None
    measured = {"suggestion": curve.suggestion, "lowest": curve.lowest, "rate": own}
    verdict = (
        f"suggests {curve.suggestion:g}, the loss grows from {curve.lowest:.2g} on; the pipeline "
        f"has {own:g}"
    )
    return Step(title, verdict, (), measured), curve


def rate_too_high(own: float, better: float, why: str) -> Finding:
    """Return the finding on a rate that is too high."""
    return Finding(
        "rate-too-high",
        f"the learning rate {own:g} is too high: {why}; {better:g} is better",
        change={"training.optimizer.learning_rate": better},
    )


def rate_too_low(own: float, better: float, why: str) -> Finding:
    """Return the finding on a rate that is too low."""
    return Finding(
        "rate-too-low",
        f"the learning rate {own:g} is too low: {why}; {better:g} is better",
        change={"training.optimizer.learning_rate": better},
    )
