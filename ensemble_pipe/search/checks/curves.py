"""Step 6: the curves of loss and accuracy, judged in words.

CS231n, "Neural networks part 3", babysitting the learning process: the shape of the loss says
whether the rate is too high or too low, the gap between training and held-out rows whether the
network overfits.
"""

import time

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.losses.gaussian import GaussianLoss
from ensemble_pipe.search.checks.bench import Bench, Curve, epochs_text
from ensemble_pipe.search.checks.findings import Finding, Step, unjudged
from ensemble_pipe.search.checks.rates import rate_too_high
from ensemble_pipe.search.checks.trials import gain, gains_nothing

# How many times as long a training is tried to see whether more epochs would gain.
LONGER = 4
# Shares of the gain over chance: lost again after the best epoch; gained by a longer training.
LOST, GAINED = 0.15, 0.05
# The share of the epochs that pass before the loss begins to fall.
FLAT = 0.3
_FALLEN = 0.05
_LEAST_EPOCHS = 8
LEAST_HELD_OUT = 40


def check_curves(bench: Bench, steps: int, own: bool, seconds: float, deadline: float) -> Step:
    """Train the pipeline's own settings, and judge the curves.

    Args:
        bench: to train on.
        steps: of the pipeline's whole training.
        own: whether so many steps are affordable; else fewer are taken, and the end is not judged.
        seconds: that a longer training may take.
        deadline: of time.monotonic.
    """
    curve = bench.train([bench.trial(0, steps)], deadline)[0]
    measured = {
        "epochs": len(curve.stop), "whole": own and curve.is_whole, "failed": curve.failed,
        "train": curve.train.tolist(), "stop": curve.stop.tolist(),
        "accuracy": curve.accuracy.tolist(),
    }  # fmt: skip
    title = "6 curves"
    few = bench.data.stop_of(bench.plan.learner).rows < LEAST_HELD_OUT
    if curve.failed:
        rate = float(f"{curve.rate / 10:.2g}")
        finding = rate_too_high(
            curve.rate, rate, f"training diverges after {epochs_text(len(curve.stop))}"
        )
        return Step(title, "diverges", (finding,), measured)
    if not len(curve.stop):
        return unjudged(title, measured)
    is_whole = own and curve.is_whole
    if gains_nothing([curve], bench):
        if not is_whole:
            so_far = f"no better than chance after {epochs_text(len(curve.stop))}"
            return unjudged(title, measured, so_far)
        finding = Finding(
            "no-better-than-chance",
            f"after {epochs_text(len(curve.stop))} of the pipeline's own settings the loss on "
            f"held-out rows is {curve.best:.3f} at best, where chance gives {bench.chance:.3f}",
        )
        return Step(title, "no better than chance", (finding,), measured)
    verdicts = [f"{epochs_text(len(curve.stop))} to {curve.stop[-1]:.3f}, best {curve.best:.3f}"]
    found: list[Finding] = []
    if few:
        verdicts.append("too few held-out rows to judge more")
    for name, verdict, said in [] if few else _judged(bench, curve):
        measured[name] = True
        verdicts.append(verdict)
        found += [said] if said else []
    affordable = LONGER * steps * bench.step_s < min(seconds, deadline - time.monotonic())
    if not is_whole:
        verdicts.append("the rest of the training is not judged: time was up")
    elif not affordable:
        verdicts.append("whether more epochs would gain is not judged: time was up")
    elif not few:
        longer = _longer(bench, curve, steps, deadline)
        verdicts.append("more epochs would gain" if longer else "ends on a plateau")
        found += [longer] if longer else []
    return Step(title, "; ".join(verdicts), tuple(found), measured)


def _judged(bench: Bench, curve: Curve) -> list[tuple[str, str, Finding | None]]:
    """Return what the shape of a curve says: a key, words, and a finding where it is one."""
    said: list[tuple[str, str, Finding | None]] = []
    lost = 1.0 - (bench.chance - curve.stop[-1]) / (bench.chance - curve.best)
    remedy = _remedy(bench)
    if lost > LOST:
        best = int(curve.stop.argmin()) + 1
        finding = Finding(
            "overfitting",
            f"the loss on held-out rows is lowest after {best} of {len(curve.stop)} epochs, and "
            f"then {lost:.0%} of what was gained is lost" + (f"; {remedy}" if remedy else ""),
            "note" if remedy else "warning",
            {}
            if remedy
            else {"training.early_stopping": {"patience": max(5, len(curve.stop) // 4)}},
        )
        said.append(("overfits", "overfits", finding))
    flat = flat_share(curve.train)
    if flat > FLAT and len(curve.train) >= _LEAST_EPOCHS:
        finding = Finding(
            "bad-start",
            f"the training loss does not fall in the first {flat:.0%} of the epochs: initial "
            "values or the first rate do not fit; warm up, or take other initial values",
            change={"training.schedule": {"name": "warm_up", "then": {"name": "cosine"}}},
        )
        said.append(("bad_start", "falls late", finding))
    if not said and curve.train[-1] > 0.9 * curve.stop[-1]:
        said.append(("underfits", "no gap between training and held-out rows", None))
    return said


def _remedy(bench: Bench) -> str:
    """Return what the pipeline does about overfitting; empty for nothing."""
    if bench.config.training.early_stopping is not None:
        return "early stopping takes the best epoch"
    how = bench.config.ensemble.combine
    if isinstance(bench.plan.loss, GaussianLoss) and how.temperature:
        return "the temperature scales variances that are too small"
    return ""


def flat_share(losses: Floats) -> float:
    """Return the share of the epochs (E,) before the loss has begun to fall.

    >>> import numpy as np
    >>> flat_share(np.array([2.3, 2.3, 2.3, 1.0]))
    0.75
    """
    fallen = losses < losses[0] - _FALLEN * max(losses[0] - losses.min(), 1e-12)
    return float(np.argmax(fallen)) / len(losses) if fallen.any() else 1.0


def _longer(bench: Bench, curve: Curve, steps: int, deadline: float) -> Finding | None:
    """Return a finding where a training of several times as many epochs gains much more."""
    other = bench.train([bench.trial(0, LONGER * steps)], deadline)[0]
    share = gain(curve, bench.chance, min(other.best, curve.best))
    if share >= 1.0 - GAINED or not other.is_whole:
        return None
    epochs = bench.config.training.epochs or 1
    return Finding(
        "too-few-epochs",
        f"{LONGER} times as many epochs lower the held-out loss from {curve.best:.3f} to "
        f"{other.best:.3f}: training ends while it still improves",
        change={"training.epochs": LONGER * epochs},
    )
