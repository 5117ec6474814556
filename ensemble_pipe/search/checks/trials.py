"""Steps 4 and 5: a coarse search of few epochs over rate and penalty, and one around the best.

Bergstra & Bengio 2012, "Random search for hyper-parameter optimization"; CS231n, "Neural networks
part 3": rates and penalties are drawn on a logarithmic scale, first widely, then around the best.
The trials of a search are trained as one stack.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.search.checks.bench import Bench, Curve, epochs_text
from ensemble_pipe.search.checks.findings import Finding, Step, unjudged
from ensemble_pipe.search.checks.first_loss import lower_penalty
from ensemble_pipe.search.checks.rates import rate_too_high, rate_too_low

RULE_SETTINGS = ("learning_rate", "l1", "l2", "weight_decay")
COARSE_TRIALS, REFINED_TRIALS = 8, 6
COARSE_EPOCHS, REFINED_EPOCHS = 5, 15
LEAST_STEPS, FEWEST_TRIALS = 30, 4
JUDGED_STEPS = 100  # fewer say nothing of what cannot be learned
# Below and above the suggested rate; penalties.
_WIDE, _NARROW = (1 / 30, 10.0), (1 / 3, 3.0)
_PENALTIES = (1e-5, 1e-1)
# Shares of the best trial's gain over chance, below which a rate or penalty is at fault.
HIGH_GAIN, LOW_GAIN, PENALTY_GAIN = 0.8, 0.9, 0.8
LEARNS = 0.5  # the least that is gained without penalties where these are at fault
# Where the best rate is so many times lower, or higher.
TIMES_LOWER, TIMES_HIGHER = 5.0, 8.0
# No better than chance, as a share of its loss.
NO_GAIN = 0.02


@dataclass(frozen=True)
class Search:
    """Trials of one search.

    Attributes:
        own: the pipeline's own settings.
        unpenalized: the same without penalties; None where there are none anyway.
        others: at other rates and penalties.
    """

    own: Curve
    unpenalized: Curve | None
    others: tuple[Curve, ...]

    @property
    def curves(self) -> list[Curve]:
        return [c for c in (self.own, self.unpenalized, *self.others) if c is not None]

    @property
    def best(self) -> Curve:
        """The trial of the lowest loss on the rows it stops by."""
        return min(self.curves, key=lambda curve: curve.best)


def search(
    bench: Bench, center: dict[str, float], coarse: bool, seconds: float, deadline: float
) -> Search:
    """Train the pipeline's own settings beside others around a center.

    Args:
        bench: to train on.
        center: settings of the update rule, with its rate.
        coarse: whether widely around it, for a few epochs.
        seconds: that it may take, about.
        deadline: of time.monotonic.
    """
    affordable = int(seconds / (LEAST_STEPS * bench.step_s))
    count = min(COARSE_TRIALS if coarse else REFINED_TRIALS, max(affordable, FEWEST_TRIALS))
    deadline = min(deadline, time.monotonic() + 2.0 * seconds)
    most = (COARSE_EPOCHS if coarse else REFINED_EPOCHS) * bench.epoch_steps
    steps = int(max(min(most, seconds / (count * bench.step_s)), LEAST_STEPS))
    rule = bench.plan.rule
    none = {name: 0.0 for name in ("l1", "l2", "weight_decay") if getattr(rule, name)}
    settings = [{}, *([none] if none else []), center]
    settings += [_drawn(bench, center, coarse, n) for n in range(len(settings), count)]
    plans = [bench.trial(n, steps, **own) for n, own in enumerate(settings)]
    curves = bench.train(plans, deadline)
    first = 2 if none else 1
    return Search(curves[0], curves[1] if none else None, tuple(curves[first:]))


def _drawn(bench: Bench, center: dict[str, float], coarse: bool, number: int) -> dict[str, float]:
    """Return the settings of a trial, drawn at its own address."""
    random = seeds.generator(
        bench.plan.seed, seeds.Purpose.VARY, learner=number, epoch=0 if coarse else 1
    )
    low, high = _WIDE if coarse else _NARROW
    found = {"learning_rate": center["learning_rate"] * _between(low, high, random)}
    penalty = "weight_decay" if bench.plan.rule.weight_decay else "l2"
    if coarse:
        found[penalty] = _between(*_PENALTIES, random)
    elif center.get(penalty):
        found[penalty] = center[penalty] * _between(*_NARROW, random)
    return {**center, **{name: float(f"{value:.3g}") for name, value in found.items()}}


def _between(low: float, high: float, random: np.random.Generator) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def settings_of(curve: Curve) -> dict[str, float]:
    """Return the rate and the penalties of a trial."""
    return {name: getattr(curve.plan.rule, name) for name in RULE_SETTINGS}


def gain(curve: Curve | None, chance: float, best: float) -> float:
    """Return the share of the best trial's gain over chance that another has, at least 0."""
    if curve is None or not chance - best > 0:
        return 0.0
    return max(0.0, (chance - curve.best) / (chance - best))


def gains_nothing(curves: Sequence[Curve], bench: Bench) -> bool:
    """Return whether no trial is better than chance, beyond what few held-out rows let happen."""
    best = min((curve.best for curve in curves), default=np.inf)
    share = NO_GAIN + 1.0 / np.sqrt(bench.data.stop_of(bench.plan.learner).rows)
    return bool(bench.chance - best < share * max(abs(bench.chance), 0.1))


def is_long(curve: Curve, bench: Bench) -> bool:
    """Return whether a trial was trained to its end, for so long that it would have learned."""
    taken = len(curve.stop) * bench.epoch_steps
    return bool(curve.failed) or (curve.is_whole and taken >= JUDGED_STEPS)


def judge_search(search: Search, bench: Bench, title: str, judges: bool) -> Step:
    """Return the verdict on a search.

    Args:
        search: its trials.
        bench: that they were trained on.
        title: of the step.
        judges: whether the rate and the penalty of the pipeline are judged by it.
    """
    best, chance = search.best, bench.chance
    if not (has_end(search.own) and has_end(best)):
        return unjudged(title, {"chance": chance})
    share = gain(search.own, chance, best.best)
    rows = [{**settings_of(c), "loss": c.best, "epochs": len(c.stop), "failed": c.failed}
            for c in search.curves]  # fmt: skip
    measured = {"chance": chance, "trials": rows, "own_gain": share}
    if gains_nothing(search.curves, bench):
        return Step(title, f"no trial is better than chance ({chance:.3f})", (), measured)
    epochs = epochs_text(max(len(curve.stop) for curve in search.curves))
    verdict = (
        f"{len(search.curves)} trials of {epochs}: best {best.best:.3f} at a rate of "
        f"{best.rate:.2g}; the pipeline's {best_text(search.own)}"
    )
    found = list(_findings(search, bench, share)) if judges else []
    return Step(title, verdict, tuple(found), measured)


def has_end(curve: Curve) -> bool:
    """Return whether a trial has come to the end of an epoch, or has diverged."""
    return bool(len(curve.stop) or curve.failed)


def best_text(curve: Curve) -> str:
    """Return the lowest loss of a trial, or that it diverged."""
    return "diverges" if not len(curve.stop) else f"{curve.best:.3f}"


def _findings(search: Search, bench: Bench, share: float) -> list[Finding]:
    own, best = search.own, search.best
    found = []
    free = gain(search.unpenalized, bench.chance, best.best)
    if search.unpenalized is not None and share < PENALTY_GAIN * free and free > LEARNS:
        found.append(
            Finding(
                "penalty-too-strong",
                f"without its penalties the pipeline gains {free:.0%} of what the best trial gains "
                f"over chance, and with them {share:.0%}",
                change=lower_penalty(bench),
            )
        )
        return found
    why = f"it gains {share:.0%} of what the best trial of {len(search.curves)} gains over chance"
    if (share < HIGH_GAIN or own.failed) and best.rate * TIMES_LOWER < own.rate:
        found.append(rate_too_high(own.rate, best.rate, "it diverges" if own.failed else why))
    if share < LOW_GAIN and best.rate > TIMES_HIGHER * own.rate:
        found.append(rate_too_low(own.rate, best.rate, why))
    return found
