"""Runs in groups that differ in nothing but the seed, and the differences between these groups."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from string import ascii_uppercase
from typing import Any

import numpy as np

from ensemble_pipe.comparison.runs import FinishedRun
from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import InputError
from ensemble_pipe.ensemble.measures import intervals
from ensemble_pipe.ensemble.metrics.resampling import bootstrap_interval, paired_difference
from ensemble_pipe.ensemble.metrics.row_values import resamples_for

COVERAGE = 0.95
MOST_REASONS = 4


@dataclass(frozen=True)
class Estimate:
    """An estimate with its uncertainty.

    Attributes:
        mean: over runs, or of one run.
        standard_error: over seeds; None of one run.
        low, high: the 95% interval: over seeds by Student's t, of one run by the bootstrap over its
            test rows; None where there is none.
        runs: how many, or how many pairs.
        over: "seeds" or "rows".
    """

    mean: float
    standard_error: float | None
    low: float | None
    high: float | None
    runs: int
    over: str


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ in nothing but the seed.

    Attributes:
        label: A, B, ...
        runs: in order of seed.
        settings: those that differ between groups, by path.
        metrics: of the test part, by name; those of members by names such as "member_mean/nll".
    """

    label: str
    runs: tuple[FinishedRun, ...]
    settings: dict[str, Any]
    metrics: dict[str, Estimate]

    @property
    def title(self) -> str:
        """The label with the end of the run's name, or with how many runs there are."""
        count = len(self.runs)
        name = f"({count} runs)" if count > 1 else self.runs[0].short_name
        return f"{self.label} {name}"

    @property
    def cost(self) -> dict[str, float]:
        """The mean cost of a run."""
        costs = [asdict(run.cost) for run in self.runs]
        return {name: float(np.mean([cost[name] for cost in costs])) for name in costs[0]}

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values, for JSON."""
        return {
            "label": self.label,
            "name": self.runs[0].name,
            "settings": self.settings,
            "metrics": {name: asdict(one) for name, one in self.metrics.items()},
            "cost": self.cost,
            "runs": [run.to_dict() for run in self.runs],
        }


@dataclass(frozen=True)
class Comparison:
    """Groups of runs side by side.

    Attributes:
        groups: in the order in which their first runs were named.
        differences: by label, of each group but the first: its metrics minus those of the first;
            empty where they cannot be paired.
    """

    groups: tuple[RunGroup, ...]
    differences: dict[str, dict[str, Estimate]]

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence for each group that was tested on other rows than the first."""
        first, *others = self.groups
        return tuple(_remark(first, one) for one in others if _has_other_rows(first, one))

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values, for JSON."""
        differences = {
            f"{label} - {self.groups[0].label}": {name: asdict(one) for name, one in own.items()}
            for label, own in self.differences.items()
        }
        return {
            "remarks": self.remarks,
            "groups": [group.to_dict() for group in self.groups],
            "differences": differences,
        }


def compare(runs: Sequence[FinishedRun]) -> Comparison:
    """Group runs, and compare each group with the first.

    Two groups are paired by seed where they have two seeds or more in common; else by row, where
    they have one seed in common, or one run each, and these were tested on the same rows.

    Raises:
        InputError: the runs are of several tasks, or one of a group has the seed of another.
    """
    if len({run.task for run in runs}) > 1:
        raise InputError(
            "runs of classes and runs of numbers have no metrics in common; compare runs of one "
            "task"
        )
    together: dict[str, list[FinishedRun]] = {}
    for run in runs:
        together.setdefault(repr(sorted(run.settings.items())), []).append(run)
    differing = _differing([own[0].settings for own in together.values()])
    groups = []
    for place, own in enumerate(together.values()):
        own.sort(key=lambda run: run.seed)
        _require_own_seeds(own)
        settings = {name: own[0].settings.get(name) for name in differing}
        groups.append(RunGroup(_label(place), tuple(own), settings, _metrics(own)))
    first = groups[0]
    return Comparison(tuple(groups), {one.label: _difference(first, one) for one in groups[1:]})


def over_seeds(values: Floats) -> Estimate:
    """Return mean, standard error and Student's interval of values (N,), one for each seed."""
    from scipy.stats import t

    mean = float(values.mean())
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    half = float(t.ppf((1 + COVERAGE) / 2, len(values) - 1)) * error
    return Estimate(mean, error, mean - half, mean + half, len(values), "seeds")


def _differing(settings: Sequence[dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for one in settings for name in one)
    return [name for name in names if len({repr(one.get(name)) for one in settings}) > 1]


def _label(place: int) -> str:
    letters = len(ascii_uppercase)
    return ascii_uppercase[place % letters] * (1 + place // letters)


def _require_own_seeds(runs: Sequence[FinishedRun]) -> None:
    for run, following in pairwise(runs):
        if run.seed == following.seed:
            raise InputError(
                f"{run.root} and {following.root}: the same settings with the same seed; leave one "
                "of them out"
            )


def _metrics(runs: Sequence[FinishedRun]) -> dict[str, Estimate]:
    """Return the test metrics that all of some runs have."""
    if len(runs) > 1:
        return {name: over_seeds(values) for name, values in _columns(runs).items()}
    ends = intervals(runs[0].values)
    found = {}
    for name, values in _columns(runs).items():
        own = ends.get(name)
        low, high = (own.low, own.high) if own else (None, None)
        found[name] = Estimate(float(values[0]), None, low, high, 1, "rows")
    return found


def _columns(runs: Sequence[FinishedRun]) -> dict[str, Floats]:
    """Return each finite test metric of all runs, (N,), without the "test/" in its name."""
    shared = [
        name
        for name in runs[0].metrics
        if "test/" in name and all(run.metrics.get(name) is not None for run in runs)
    ]
    return {
        name.replace("test/", "", 1): np.array([run.metrics[name] for run in runs], np.float64)
        for name in shared
    }


def _difference(first: RunGroup, second: RunGroup) -> dict[str, Estimate]:
    pairs = _pairs(first.runs, second.runs)
    if len(pairs) > 1:
        ours, theirs = (_columns(side) for side in zip(*pairs, strict=True))
        return {name: over_seeds(theirs[name] - ours[name]) for name in ours if name in theirs}
    if len(pairs) == 1 and pairs[0][0].same_rows(pairs[0][1]):
        return differences_by_row(*pairs[0])
    return {}


def _pairs(
    first: Sequence[FinishedRun], second: Sequence[FinishedRun]
) -> list[tuple[FinishedRun, FinishedRun]]:
    by_seed = {run.seed: run for run in first}
    pairs = [(by_seed[run.seed], run) for run in second if run.seed in by_seed]
    return pairs or ([(first[0], second[0])] if len(first) == len(second) == 1 else [])


def _has_other_rows(first: RunGroup, second: RunGroup) -> bool:
    pairs = _pairs(first.runs, second.runs) or [(first.runs[0], second.runs[0])]
    return not all(ours.same_rows(theirs) for ours, theirs in pairs)


def _remark(first: RunGroup, second: RunGroup) -> str:
    """Return a sentence on a group that was tested on other rows than the first, and why."""
    of_data = [
        name
        for name in first.settings
        if name.startswith(("data.", "splits.")) and first.settings[name] != second.settings[name]
    ]
    seeds_apart = {run.seed for run in first.runs}.isdisjoint(run.seed for run in second.runs)
    differ = [*of_data, *(["seed"] if seeds_apart else [])]
    more = f" and {len(differ) - MOST_REASONS} more" if len(differ) > MOST_REASONS else ""
    why = f" (other {', '.join(differ[:MOST_REASONS])}{more})" if differ else ""
    return (
        f"{second.title} was tested on other rows than {first.title}{why}: what differs between "
        "their metrics may be the rows"
    )


def differences_by_row(first: FinishedRun, second: FinishedRun) -> dict[str, Estimate]:
    """Return paired bootstrap differences of two runs on the same rows, the second's minus the
    first's; nothing of fewer than two rows."""
    found = {}
    for place, (name, values) in enumerate(second.values.items()):
        if len(values.values) < 2:
            return {}
        if name not in first.values:
            continue
        random = seeds.generator(0, seeds.Purpose.BOOTSTRAP, step=3, shard=place)
        difference = paired_difference(values.over, first.values[name].over)
        count = resamples_for(2 * values.values.size)
        ends = bootstrap_interval(difference, len(values.values), random, count, COVERAGE)
        found[name] = Estimate(ends.estimate, None, ends.low, ends.high, 1, "rows")
    return found
