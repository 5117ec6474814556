"""Step 1: the loss before the first step is what chance gives, and rises with a penalty.

CS231n, "Neural networks part 3", sanity checks: with small initial weights the loss is that of
outputs that know nothing, such as ln C for C classes.
"""

import math

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.search.checks.bench import Bench
from ensemble_pipe.search.checks.findings import Finding, Step
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.tensors import segments_of

# Beyond chance by so many times its loss (or nats, of one below 1), the start is bad: He's initial
# values alone give logits of a variance of 2, which is a nat.
TOO_HIGH = 2.0
# A penalty of more than so many times the loss is all that is learned from.
TOO_STRONG = 10.0
BEST_START = "he_normal"


def is_bad_start(loss: float, uniform: float) -> bool:
    """Return whether a first loss is far above that of outputs of 0, or not finite."""
    return not math.isfinite(loss) or loss > uniform + TOO_HIGH * max(1.0, abs(uniform))


def check_first_loss(bench: Bench) -> Step:
    """Compare the first loss with that of chance, and add the penalty."""
    training = bench.start(bench.plan)
    penalty = penalty_of(bench, training.state.rows[0])
    with one_thread():
        loss = float(training.take_step()[0])  # before the step
    measured = {"loss": loss, "chance": bench.uniform, "penalty": penalty}
    found = []
    if bench.first_row is None and is_bad_start(loss, bench.uniform):
        found.append(bad_start(loss, bench.uniform, initializer_of(bench.plan)))
    if penalty > TOO_STRONG * max(abs(bench.uniform), 1e-9):
        found.append(
            Finding(
                "penalty-too-strong",
                f"the penalty of the first weights is {penalty:.3g}, beside a loss of {loss:.3g}: "
                "little else is learned",
                change=lower_penalty(bench),
            )
        )
    verdict = f"{loss:.3f}, where chance gives {bench.uniform:.3f}"
    if penalty > 0:
        verdict += f"; {loss + penalty:.3f} with the penalty"
    return Step("1 first loss", verdict, tuple(found), measured)


def bad_start(loss: float, uniform: float, initializer: str | None = None) -> Finding:
    """Return the finding on a first loss that is far above chance.

    Args:
        loss: the first.
        uniform: that of outputs of 0.
        initializer: of the network; None where it names none.
    """
    found = f"the first loss is {loss:.3g}, where chance gives {uniform:.3g}: "
    if initializer == BEST_START:
        text = (
            f"the first outputs are too large, though the first weights are {BEST_START}; where "
            "the loss does not fall within an epoch, lower the learning rate or let it rise from 0"
        )
        change = {"training.schedule": {"name": "warm_up", "then": {"name": "cosine"}}}
        return Finding("exploding-start", found + text, change=change)
    return Finding(
        "exploding-start",
        f"{found}the first weights are too large; take {BEST_START} (for ReLU) or glorot_uniform "
        "(for tanh)",
        change={"network.initializer": BEST_START},
    )


def initializer_of(plan: LearnerPlan) -> str | None:
    """Return the initializer that the network of a plan names; None where it names none."""
    found: str | None = getattr(plan.network, "initializer", None)
    return found


def penalty_of(bench: Bench, row: Floats) -> float:
    """Return l2 |w|^2 / 2 + l1 |w| of the kernels in a row (P,)."""
    rule, layout = bench.plan.rule, bench.plan.build(bench.schema).layout
    segments = [s for s in segments_of(layout, bench.plan.rate_factors) if s.decays]
    weights = [row[segment.start : segment.stop].astype(np.float64) for segment in segments]
    squares = sum(float((own**2).sum()) for own in weights)
    return rule.l2 * squares / 2.0 + rule.l1 * sum(float(np.abs(own).sum()) for own in weights)


def lower_penalty(bench: Bench) -> dict[str, float]:
    """Return the penalties of the update rule, a hundredth of each."""
    rule = bench.plan.rule
    return {
        f"training.optimizer.{name}": float(f"{getattr(rule, name) / 100:.2g}")
        for name in ("l1", "l2", "weight_decay")
        if getattr(rule, name)
    }
