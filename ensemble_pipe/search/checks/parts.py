"""Targets and parts: imbalance, parts without a class, time and group leaks, the wrong task."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.inspection.side_roles import LEAST_GROUPS, ROWS_OF_GROUP, is_group_name
from ensemble_pipe.search.checks.findings import Finding
from ensemble_pipe.search.checks.source_rows import SourceColumn

IMBALANCE = 100
# Numbers with so few values, all whole, are classes; classes with so many whole values are numbers.
FEW_VALUES, MANY_CLASSES = 2, 50
_ROWS_OF_CLASS = 10
_FOLLOWS = 0.5  # correlation of a target with the one before it in time
_ALIKE = 0.9  # share of the spread of targets that groups explain
# Beyond so many deviations of standardised inputs they are not scaled.
FAR, _NEAR = 4.0, 0.01


def class_findings(
    strata: Integers, names: Sequence[object], parts: Mapping[str, Integers]
) -> Iterator[Finding]:
    """Yield imbalance of classes, and parts that lack some.

    Args:
        strata: (R,) class numbers.
        names: of the classes.
        parts: places of the rows of each part.
    """
    counts = np.bincount(strata, minlength=len(names))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] >= IMBALANCE * max(counts[least], 1):
        yield Finding(
            "class-imbalance",
            f"class {quote(names[most])} has {counts[most]:,} rows and {quote(names[least])} "
            f"{counts[least]:,}, so accuracy says little; look at each class, or let rare ones be "
            "seen more often",
            change={"view.balance_classes": True},
        )
    for part in ("validation", "stop", "test"):
        places = parts.get(part)
        if places is None or not len(places):
            continue
        seen = np.unique(strata[places])
        if len(seen) == 1:
            yield Finding(
                "one-class",
                f"the {part} part has rows of class {quote(names[int(seen[0])])} alone, so nothing "
                "can be compared on it; make it larger, or split otherwise",
            )
        elif len(seen) < len(names):
            lacking = [quote(n) for place, n in enumerate(names) if place not in set(seen.tolist())]
            yield Finding(
                "class-not-in-part",
                f"the {part} part has no row of class {list_names(lacking)}",
                "note",
            )


def task_findings(
    task: str, values: Array, names: Sequence[object], label: str
) -> Iterator[Finding]:
    """Yield whether the label looks like one of the other task.

    Args:
        task: classification or regression.
        values: (R,) labels.
        names: of the classes; empty for numbers.
        label: its name.
    """
    if task == "regression":
        distinct = np.unique(values)
        if len(distinct) <= FEW_VALUES and (distinct == np.round(distinct)).all():
            yield Finding(
                "wrong-task",
                f"{quote(label)} has {len(distinct)} values, as classes have, but is predicted as "
                "a number with a loss for numbers",
                change={"task": "classification"},
            )
        return
    numbers = all(isinstance(name, int) for name in names)
    if numbers and len(names) > MANY_CLASSES and len(values) < _ROWS_OF_CLASS * len(names):
        yield Finding(
            "wrong-task",
            f"{quote(label)} has {len(names)} whole numbers in {len(values):,} rows, as a measured "
            "number has, but is predicted as classes with a loss for classes",
            change={"task": "regression"},
        )


def time_findings(
    columns: Sequence[SourceColumn], dates: Sequence[str], targets: Array, label: str
) -> Iterator[Finding]:
    """Yield whether rows in the order of time, whose targets follow each other, are split randomly.

    Args:
        columns: that are learned from.
        dates: names of those that are dates.
        targets: (R,) numbers or class numbers, in the order of the rows.
        label: its name.
    """
    values = targets.astype(np.float64)
    if len(values) < LEAST_GROUPS or not values.std():
        return
    follows = float(np.corrcoef(values[1:], values[:-1])[0, 1])
    for column in columns:
        if column.name not in dates or column.values.null_count:
            continue
        if follows > _FOLLOWS and column.distinct > 1 and column.never_falls:
            yield Finding(
                "time-leak",
                f"the rows are in the order of {quote(column.name)} and {quote(label)} resembles "
                f"that of the row before (correlation {follows:.2f}), but the parts are drawn at "
                "random: a test row has neighbours in the training part",
                change={"data.time": column.name},
            )


def group_findings(
    columns: Sequence[SourceColumn], targets: Array, classes: bool, label: str
) -> Iterator[Finding]:
    """Yield columns of identifiers with several rows of like targets, where no group is named.

    Args:
        columns: of the table.
        targets: (R,) class numbers or numbers.
        classes: whether they are classes.
        label: its name.
    """
    for column in columns:
        if names_groups(column) and _likeness(column.codes, targets, classes) > _ALIKE:
            yield Finding(
                "identity-leak",
                f"{quote(column.name)} names things with several rows each, whose {quote(label)} "
                "is the same or nearly, and they are on both sides of the splits",
                change={"data.group": column.name},
            )


def names_groups(column: SourceColumn) -> bool:
    """Return whether a column is named as identifiers are, and its values have several rows."""
    many = LEAST_GROUPS <= column.distinct <= len(column.values) / ROWS_OF_GROUP
    return many and is_group_name(column.name) and not column.values.null_count


def _likeness(codes: Integers, targets: Array, classes: bool) -> float:
    """Return the share of the spread of targets between groups, 1 where those of each are equal."""
    counts = np.bincount(codes)
    encoded = np.eye(int(targets.max()) + 1)[targets] if classes else targets[:, None]
    encoded = encoded.astype(np.float64)
    total = ((encoded - encoded.mean(axis=0)) ** 2).sum()
    means = np.stack([np.bincount(codes, own) / counts for own in encoded.T], axis=1)
    within = ((encoded - means[codes]) ** 2).sum()
    return float(1.0 - within / total) if total else 0.0


def scale_findings(inputs: Floats, names: Sequence[str]) -> Iterator[Finding]:
    """Yield whether the inputs of networks are far from a mean of 0 and a deviation of 1.

    Args:
        inputs: (R, D) of training rows, without codes of categories.
        names: of the features; empty for pixels.
    """
    deviations, means = inputs.std(axis=0), np.abs(inputs.mean(axis=0))
    far = (deviations > FAR) | (means > FAR)
    tiny = bool(len(deviations)) and bool((deviations.max() < _NEAR) and deviations.max() > 0)
    if far.any() or tiny:
        worst = int(np.maximum(deviations, means).argmax())
        which = f"feature {quote(names[worst])}" if names else "pixels"
        yield Finding(
            "inputs-not-scaled",
            f"the inputs of the network are not scaled: {which} has a mean of {means[worst]:.3g} "
            f"and a deviation of {deviations[worst]:.3g}; a network wants about 0 and 1",
            change={"scale": {"name": "standardize"}},
        )
