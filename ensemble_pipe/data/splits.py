"""Random, stratified, grouped or time-ordered splits of rows into parts of given sizes.

Official test parts are taken before, where a run prepares its data.
"""

from collections.abc import Mapping

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.errors import DataError

Sizes = Mapping[str, float | int]
Parts = dict[str, Integers]
_BLOCK_ROWS = 1 << 18


def split_rows(
    strata: Array | None,
    rows: int,
    sizes: Sizes,
    seed: int,
    where: str,
    *,
    groups: Array | None = None,
    times: Array | None = None,
) -> Parts:
    """Divide rows 0 to R - 1 into parts.

    With strata, each part holds every class in its proportion of what the parts before it left, to
    within one row: rows are put in order of class, at random within a class, and a part takes rows
    at equal distances (systematic sampling; Cochran 1977, "Sampling techniques", chapter 8).
    With groups, whole groups are given out, in random order from the largest on, each to the part
    that lacks most; strata then do not count. With times, the latest rows are the test part, those
    before them validation, then stop, and the earliest are trained on.

    Args:
        strata: (R,) class of each row; None to draw from all rows alike.
        rows: R.
        sizes: of each part: a share below 1, or a number of rows; without `train`, it gets the
            rest.
        seed: of the run.
        where: the source, for messages.
        groups: (R,) group of each row, no two parts of which share one.
        times: (R,) of each row.

    Returns:
        Ascending row numbers of each part, no row in two, int32 where many are drawn.

    Raises:
        DataError: the parts need more rows than there are, a part would be empty, both groups and
            times are given, or all times are equal.
    """
    if groups is not None and times is not None:
        raise DataError(
            f"{where}: rows of one group may lie far apart in time, so the splits cannot follow "
            "both; name a group column or a time column"
        )
    counts = _counts(sizes, rows)
    _require_rows(counts, sizes, rows, where)
    if groups is not None:
        return _by_group(groups, counts, seed, where)
    if times is not None:
        if times.min() == times.max():
            raise DataError(
                f"{where}: all rows have the same time, so the splits cannot follow it; name "
                "another time column, or none"
            )
        return _by_time(times, counts)
    random = seeds.generator(seed, seeds.Purpose.SPLIT)
    left: Integers = np.arange(rows, dtype=np.int32)
    random.shuffle(left)
    if strata is not None:
        left = _by_class(left, strata)
    parts: Parts = {}
    for name, count in counts.items():
        taken = np.zeros(len(left), bool)
        taken[_positions(count, len(left), random.random())] = True
        parts[name] = np.sort(left[taken])
        left = left[~taken]
    left.sort()
    return parts if "train" in parts else {**parts, "train": left}


def _by_class(rows: Integers, strata: Array) -> Integers:
    """Return rows sorted stably by class.

    A counting sort, block by block: apart from the result its memory does not grow with the rows.
    """
    firsts = range(0, len(rows), _BLOCK_ROWS)
    classes = np.unique(
        np.concatenate([np.unique(strata[first : first + _BLOCK_ROWS]) for first in firsts])
    )
    counts = np.zeros(len(classes), np.int64)
    for first in firsts:
        found = np.searchsorted(classes, strata[first : first + _BLOCK_ROWS])
        counts += np.bincount(found, minlength=len(classes))
    starts = np.cumsum(counts) - counts
    ordered = np.empty_like(rows)
    for first in firsts:
        block = rows[first : first + _BLOCK_ROWS]
        found = np.searchsorted(classes, strata[block])
        order = np.argsort(found, kind="stable")
        counts = np.bincount(found, minlength=len(classes))
        places = np.arange(len(block)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        ordered[places] = block[order]
        starts += counts
    return ordered


def _positions(count: int, length: int, offset: float) -> Integers:
    """Return `count` equidistant positions among `length`, the first within one distance."""
    places = np.arange(count, dtype=np.float64)
    places += offset
    places *= length / count
    return places.astype(np.int32)


def _require_rows(counts: Mapping[str, int], sizes: Sizes, rows: int, where: str) -> None:
    needed = sum(counts.values())
    for name, count in counts.items():
        if count < 1:
            raise DataError(
                f"{where}: {rows} rows are too few: the {name} part has a share of {sizes[name]}, "
                f"which is none of them; at least {_least_rows(sizes)} are needed, or give "
                f"the part a number of rows, such as `splits: {{{name}: 1}}`"
            )
    if needed + ("train" not in counts) > rows:
        wanted = ", ".join(f"{name} {count}" for name, count in counts.items())
        rest = "" if "train" in counts else " and training at least one"
        raise DataError(
            f"{where}: the splits need {needed} rows ({wanted}){rest}, "
            f"but there are {rows}; make splits smaller"
        )


def _least_rows(sizes: Sizes) -> int:
    """Return the least number of rows of which no share is rounded to none."""
    return max(int(0.5 / size) + 1 for size in sizes.values() if 0 < size < 1)


def _by_group(groups: Array, counts: Mapping[str, int], seed: int, where: str) -> Parts:
    codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    lacking = dict(counts)
    lacking.setdefault("train", len(groups) - sum(counts.values()))
    order = seeds.generator(seed, seeds.Purpose.SPLIT).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    names = list(lacking)
    part_of = np.full(len(sizes), -1)
    for group in order:
        name = max(names, key=lambda name: lacking[name])
        if lacking[name] > 0:
            part_of[group] = names.index(name)
            lacking[name] -= sizes[group]
    parts: Parts = {
        name: np.flatnonzero(part_of[codes] == index).astype(np.int64)
        for index, name in enumerate(names)
    }
    empty = [name for name, rows in parts.items() if not len(rows)]
    if empty:
        raise DataError(
            f"{where}: {len(sizes)} groups are too few, or too unequal: none is left for the "
            f"{empty[0]} part; make it larger, or leave the group column out"
        )
    return parts


def _by_time(times: Array, counts: Mapping[str, int]) -> Parts:
    order = np.argsort(times, kind="stable")
    parts: Parts = {}
    end = len(order)
    for name in ("test", "validation", "stop", "train"):
        if name in counts or name == "train":
            start = end - counts.get(name, end)
            parts[name] = np.sort(order[start:end])
            end = start
    return parts


def _counts(sizes: Mapping[str, float | int], rows: int) -> dict[str, int]:
    """Return the number of rows of each part."""
    shares = {name for name, size in sizes.items() if isinstance(size, float) and size < 1}
    counts = {name: round(n * rows) if name in shares else int(n) for name, n in sizes.items()}
    if shares == {"train", *sizes} and sum(sizes.values()) <= 1 + 1e-9:
        # Shares of a whole may be rounded to more rows than there are.
        others = sum(counts.values()) - counts["train"]
        counts["train"] = min(counts["train"], rows - others)
    return counts
