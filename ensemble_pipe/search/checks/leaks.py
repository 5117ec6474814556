"""Leaks: columns that give the label away, that know the future, and rows on both sides of a split.

A column is judged by what it alone predicts: the mean target, or most frequent class, of each of
its values (or bins) in every other row is tried on the rows between.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.messages import quote
from ensemble_pipe.search.checks.findings import Finding
from ensemble_pipe.search.checks.source_rows import SourceColumn

# Skill is the share of the error of a constant prediction that a column alone removes.
IS_THE_LABEL, IS_NEAR = 0.99, 0.8
# A near copy leaves all other columns so far behind.
_BEHIND = 0.6
_LEAST_OTHERS = 10  # rows of other classes than the largest
KNOWS_FUTURE, _STEPS = 0.8, 3
_LEAST_TIMES = 60
_LAGS = 7
# Deviations of a correlation of unrelated columns; columns that one is compared with.
_UNRELATED, _LEAST_BESIDE, _MOST_BESIDE = 4.0, 3, 60
LEAST_SHARED, UNLIKE_CHANCE, MANY_SHARED, _RICH = 0.01, 3.0, 0.25, 0.5


def skill_of(bins: Integers, targets: Array, classes: bool) -> float:
    """Return how much of a constant's error a column of R bins removes, 1 for all of it.

    Args:
        bins: (R,) counted from 0.
        targets: (R,) class numbers, or numbers.
        classes: whether they are classes.
    """
    fitted, tried = slice(0, None, 2), slice(1, None, 2)
    count = int(bins.max()) + 1
    if classes:
        table = np.zeros((count, int(targets.max()) + 1), np.int64)
        np.add.at(table, (bins[fitted], targets[fitted]), 1)
        common = int(table.sum(axis=0).argmax())
        guesses = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), common)
        wrong = int((targets[tried] != common).sum())
        if wrong < _LEAST_OTHERS:
            return 0.0
        return 1.0 - int((targets[tried] != guesses[bins[tried]]).sum()) / wrong
    sums = np.bincount(bins[fitted], targets[fitted], count)
    counts = np.bincount(bins[fitted], minlength=count)
    mean = targets[fitted].mean()
    means = np.where(counts > 0, sums / np.maximum(counts, 1), mean)
    chance = float(((targets[tried] - mean) ** 2).sum())
    error = float(((targets[tried] - means[bins[tried]]) ** 2).sum())
    return 1.0 - error / chance if chance > 0 else 0.0


def label_findings(
    columns: Sequence[SourceColumn], targets: Array, classes: bool, label: str
) -> Iterator[Finding]:
    """Yield the columns that give the label away: the label, a copy of it, or one with noise.

    Args:
        columns: that are learned from.
        targets: (R,) of their rows.
        classes: whether they are classes.
        label: its name.
    """
    skills = {column.name: skill_of(column.bins, targets, classes) for column in columns}
    ordered = sorted(skills, key=lambda name: -skills[name])
    exact = [name for name in ordered if skills[name] >= IS_THE_LABEL]
    others = [name for name in ordered if name not in exact]
    for name in exact:
        yield Finding(
            "label-among-features",
            f"column {quote(name)} alone predicts {quote(label)} in every row or nearly "
            f"({skills[name]:.1%} of a guess's error is gone): it is the label, or follows from it",
            change={"data.ignore": [name]},
        )
    later = {column.name for column in columns if _is_lag(column, targets)}
    near = [name for name in others if skills[name] >= IS_NEAR and name not in later]
    rest = max((skills[name] for name in others if name not in near), default=0.0)
    stands_out = len(near) == 1 and rest < _BEHIND * skills[near[0]]
    by_name = {column.name: column for column in columns}
    for name in near:
        beside = [by_name[other] for other in others if other != name]
        if stands_out or is_noise_beside_label(by_name[name], beside, targets, classes):
            yield Finding(
                "label-with-noise",
                f"column {quote(name)} alone removes {skills[name]:.0%} of a guess's error of "
                f"{quote(label)}, "
                + (
                    f"and no other more than {rest:.0%}"
                    if stands_out
                    else "and the rest of it has to do with no other column"
                )
                + ": it may be a copy of the label with noise, or be known only after it",
                change={"data.ignore": [name]},
            )


def is_noise_beside_label(
    column: SourceColumn, others: Sequence[SourceColumn], targets: Array, classes: bool
) -> bool:
    """Return whether what a column says beyond the target is related to no other column.

    A measurement that tells classes apart is related to others within each class; noise is not.

    Args:
        column: to judge.
        others: at least `_LEAST_BESIDE` of numbers, of which one is related to another.
        targets: (R,) class numbers, or numbers.
        classes: whether they are classes.
    """
    measured = [other for other in others if other.is_number and not other.values.null_count]
    if len(measured) < _LEAST_BESIDE or column.values.null_count or column.is_text:
        return False
    known = np.eye(int(targets.max()) + 1)[targets] if classes else _with_ones(targets)
    values = np.stack([c.numbers for c in (column, *measured[:_MOST_BESIDE])], axis=1)
    rest = values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
    rest /= np.maximum(rest.std(axis=0), 1e-12)
    related = np.abs(rest.T @ rest) / len(rest)
    np.fill_diagonal(related, 0.0)
    bound = _UNRELATED / np.sqrt(len(rest))
    return bool(related[0].max() < bound and related[1:, 1:].max() > 2.0 * bound)


def _with_ones(targets: Array) -> Floats:
    return np.stack([targets.astype(np.float64), np.ones(len(targets))], axis=1)


def _is_lag(column: SourceColumn, targets: Array) -> bool:
    """Return whether a column is the target of some row before, as in a table in time order."""
    if not column.is_number or column.values.null_count or len(targets) <= 2 * _LAGS:
        return False
    values, series = column.numbers, targets.astype(np.float64)
    if not (np.ptp(values[_LAGS:]) and np.ptp(series[_LAGS:-_LAGS])):
        return False
    return any(
        np.corrcoef(values[lag:], series[:-lag])[0, 1] ** 2 > IS_THE_LABEL
        for lag in range(1, _LAGS + 1)
    )


def future_findings(
    columns: Sequence[SourceColumn], targets: Array, order: Integers, label: str
) -> Iterator[Finding]:
    """Yield the columns that know later targets, beyond what past and present ones tell.

    Args:
        columns: that are learned from.
        targets: (R,) numbers, or class numbers.
        order: (R,) of the rows in time.
        label: its name.
    """
    series = targets[order].astype(np.float64)
    if len(series) < _LEAST_TIMES or not np.ptp(series):
        return
    padded = np.pad(series, _STEPS, mode="edge")
    shifted = [padded[_STEPS + k : _STEPS + k + len(series)] for k in range(-_STEPS, _STEPS + 1)]
    inside = slice(_STEPS, -_STEPS)
    known = np.stack([*shifted[: _STEPS + 1], np.ones_like(series)], axis=1)[inside]
    later = np.stack(shifted[_STEPS + 1 :], axis=1)[inside]
    beyond = later - known @ np.linalg.lstsq(known, later, rcond=None)[0]
    for column in columns:
        if not column.is_number or column.distinct < 2 or column.values.null_count:
            continue
        values = column.numbers[order][inside]
        left = values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
        if left.std() <= 1e-6 * values.std():
            continue
        share = _explained(left, beyond)
        if share > KNOWS_FUTURE:
            yield Finding(
                "future-values",
                f"column {quote(column.name)} knows later values of {quote(label)} ({share:.0%} of "
                "what it says beyond past and present ones): it is not there yet when a prediction "
                "is wanted",
                change={"data.ignore": [column.name]},
            )


def _explained(values: Floats, by: Floats) -> float:
    """Return the share of the variance of values (R,) that a linear fit by (R, K) explains."""
    rest = values - by @ np.linalg.lstsq(by, values, rcond=None)[0]
    return float(1.0 - (rest**2).sum() / max((values**2).sum(), 1e-300))


def shared_findings(train: Integers, test: Integers, rich: bool, part: str) -> Iterator[Finding]:
    """Yield whether rows of a held-out part stand in the training part as well.

    In tables of few values, rows are equal by chance: then as often within the training part.

    Args:
        train, test: (R,) digests of the rows.
        rich: whether a column is different in most rows, so that none are equal by chance.
        part: the name of the held-out one.
    """
    if not len(test) or not len(train):
        return
    shared = float(np.isin(test, train).mean())
    _, counts = np.unique(train, return_counts=True)
    within = float(counts[counts > 1].sum() / len(train))
    bound = LEAST_SHARED if rich else max(LEAST_SHARED, UNLIKE_CHANCE * within)
    if shared > min(bound, MANY_SHARED):
        yield Finding(
            "shared-rows",
            f"{shared:.1%} of the rows of the {part} part stand in the training part as well, so "
            "its metrics are too good; remove duplicates, or give rows that belong together a "
            "`group`",
        )


def is_rich(columns: Sequence[SourceColumn]) -> bool:
    """Return whether some measured column is different in most rows."""
    return any(
        column.is_number and not column.is_whole and column.distinct > _RICH * len(column.values)
        for column in columns
    )
