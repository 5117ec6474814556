"""The check of a pipeline before a long training: the recipe of CS231n, step by step.

Stanford CS231n, "Neural networks part 3", and its lecture on babysitting the learning process: 1
the first loss, 2 a few rows learned by heart, 3 a rate that lowers the loss, 4 a coarse search, 5 a
refined one, 6 the curves, 7 what to change, and back to 5. The data and the network are looked at
before.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.run.preparation import Prepared, prepare
from ensemble_pipe.search.checks.bench import Bench, open_bench, thinned
from ensemble_pipe.search.checks.changes import changed, changes_of
from ensemble_pipe.search.checks.curves import check_curves
from ensemble_pipe.search.checks.data import check_data
from ensemble_pipe.search.checks.findings import Finding, Step, warnings_of
from ensemble_pipe.search.checks.first_loss import check_first_loss
from ensemble_pipe.search.checks.network import check_network
from ensemble_pipe.search.checks.overfit import check_overfit
from ensemble_pipe.search.checks.rates import check_rates
from ensemble_pipe.search.checks.trials import (
    RULE_SETTINGS,
    gains_nothing,
    is_long,
    judge_search,
    search,
    settings_of,
)

MOST_ROWS, MOST_HELD_OUT, FEWEST_ROWS = 20_000, 4_000, 500
# Shares of the time limit that parts of the check may take, about.
_EPOCH, _STARTS, _RATES, _SEARCH, _CURVE, _LONGER = 0.03, 0.03, 0.05, 0.12, 0.2, 0.3
TIME_LIMIT_S = 120.0
LEAST_LEFT = 0.3  # of it, for another round


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Attributes:
        steps: in order.
        changes: what to set, by path in the pipeline.
        seconds: that it took.
    """

    steps: tuple[Step, ...]
    changes: dict[str, Any]
    seconds: float

    @property
    def warnings(self) -> list[Finding]:
        return warnings_of(self.steps)


def check(
    config: Pipeline,
    time_limit_s: float = TIME_LIMIT_S,
    message: Callable[[str], None] = lambda text: None,
    *,
    refine: bool = False,
) -> CheckResult:
    """Check a pipeline: its data, its network, and how it trains on some of the rows.

    Args:
        config: the pipeline.
        time_limit_s: seconds; what has no time left is left out, and said to be.
        message: receives the name of each step before it is taken.
        refine: whether to go back to the refined search with what it suggests, until the curves
            are sound or the time is up.

    Raises:
        DataError, ConfigError: a run would be refused.
    """
    began = time.monotonic()
    message("data")
    prepared = prepare(config)
    steps = [check_data(prepared)]
    if prepared.plans.networks:
        deadline = began + time_limit_s
        trained = _training_steps(prepared, deadline, time_limit_s, message)
        steps += [_of_search(step, prepared.config) for step in _without_repeats(trained)]
    changes = changes_of(steps, prepared.config)
    while refine and changes and time.monotonic() + LEAST_LEFT * time_limit_s < deadline:
        prepared = prepare(changed(prepared.config, changes))
        again = [*_again(prepared, deadline, time_limit_s, message)]
        steps += again
        more = changes_of(again, prepared.config)
        if not more or all(changes.get(path) == value for path, value in more.items()):
            break
        changes |= more
    return CheckResult(tuple(steps), changes, round(time.monotonic() - began, 2))


def _without_repeats(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps, each without the kinds of findings that a step before has reported."""
    seen: set[str] = set()
    for step in steps:
        yield replace(step, findings=tuple(f for f in step.findings if f.name not in seen))
        seen |= {finding.name for finding in step.findings}


def _of_search(step: Step, config: Pipeline) -> Step:
    """Return a step in which a setting that the pipeline's search chooses is only noted."""
    space = None if config.search is None else config.search.space
    if not isinstance(space, Mapping):
        return step
    found = [
        replace(one, level="note") if one.change and set(one.change) <= set(space) else one
        for one in step.findings
    ]
    return replace(step, findings=tuple(found))


def _training_steps(
    prepared: Prepared, deadline: float, limit_s: float, message: Callable[[str], None]
) -> Iterator[Step]:
    """Yield the steps that train, each on rows that its time allows."""
    with _affordable(prepared, limit_s) as bench:
        message("first loss and network")
        start = [check_first_loss(bench), check_network(bench, _STARTS * limit_s)]
        yield from start
        message("overfit a few rows")
        overfit = check_overfit(prepared, min(deadline, time.monotonic() + _CURVE * limit_s))
        yield overfit
        message("learning-rate range test")
        rates, curve = check_rates(bench, _RATES * limit_s)
        yield rates
        message("coarse search")
        center = {"learning_rate": curve.suggestion if curve else bench.plan.rule.learning_rate}
        coarse = search(bench, center, True, _SEARCH * limit_s, deadline)
        yield judge_search(coarse, bench, "4 coarse search", judges=False)
        message("refined search")
        refined = search(bench, settings_of(coarse.best), False, _SEARCH * limit_s, deadline)
        step = judge_search(refined, bench, "5 refined search", judges=True)
        learns = all(one.is_sound for one in (*start, overfit))
        long = all(is_long(curve, bench) for curve in refined.curves)
        if learns and long and gains_nothing(refined.curves + coarse.curves, bench):
            step = replace(step, findings=(*step.findings, _no_signal(bench)))
        yield step
        message("curves")
        yield _curves(prepared, bench, deadline, limit_s)


def _again(
    prepared: Prepared, deadline: float, limit_s: float, message: Callable[[str], None]
) -> Iterator[Step]:
    """Yield the refined search and the curves of a changed pipeline."""
    with _affordable(prepared, limit_s) as bench:
        message("refined search with the changes")
        rule = bench.plan.rule
        center = {name: getattr(rule, name) for name in RULE_SETTINGS}
        refined = search(bench, center, False, _SEARCH * limit_s, deadline)
        yield judge_search(refined, bench, "5 refined search with the changes", judges=True)
        message("curves with the changes")
        step = _curves(prepared, bench, deadline, limit_s)
        yield replace(step, title="6 curves with the changes")


def _curves(prepared: Prepared, bench: Bench, deadline: float, limit_s: float) -> Step:
    """Judge the curves of the whole training, or of as much of it as there is time for."""
    whole = bench.plan.steps(prepared.rows["train"]).total
    own = whole * bench.step_s < _CURVE * limit_s
    steps = whole if own else max(1, int(_CURVE * limit_s / bench.step_s))
    return check_curves(bench, steps, own, _LONGER * limit_s, deadline)


def _no_signal(bench: Bench) -> Finding:
    return Finding(
        "no-signal",
        "a few rows are learned by heart, but on held-out rows no trial is better than chance "
        f"({bench.chance:.3f}): the labels may be shuffled against the rows, or the features say "
        "nothing of them",
    )


@contextmanager
def _affordable(prepared: Prepared, limit_s: float) -> Iterator[Bench]:
    """Yield a bench of so many rows that an epoch takes a small share of the time limit."""
    parts = _some_rows(prepared, MOST_ROWS)
    with open_bench(prepared, parts) as bench:
        epoch_s = max(bench.epoch_steps * bench.step_s, 1e-6)
        affordable = int(len(parts["train"]) * _EPOCH * limit_s / epoch_s)
        if affordable >= len(parts["train"]):
            yield bench
            return
    with open_bench(prepared, _some_rows(prepared, max(FEWEST_ROWS, affordable))) as bench:
        yield bench


def _some_rows(prepared: Prepared, most: int) -> dict[str, Integers]:
    """Return places of the rows to train on, and of held-out ones."""
    held = min(MOST_HELD_OUT, most)
    parts = {
        name: thinned(places, most if name == "train" else held)
        for name, places in prepared.parts.items()
        if name != "test"
    }
    if "stop" in parts and len(parts["stop"]) < len(parts["validation"]):
        parts["stop"] = parts["validation"]  # which says more of a curve
    return parts
