"""The four parts of the data: train, stop, validation, test."""

from collections.abc import Mapping

import numpy as np

from ensemble_pipe import seeds
from ensemble_pipe.arrays import Array, Integers
from ensemble_pipe.errors import DataError


def split_rows(
    strata: Array | None, rows: int, sizes: Mapping[str, float | int], seed: int, where: str
) -> dict[str, Integers]:
    """Divide rows 0 to R - 1 into parts.

    With strata, each part holds every class in its proportion of what the parts before it left, to
    within one row: rows are put in order of class, at random within a class, and a part takes rows
    at equal distances (systematic sampling; Cochran 1977, "Sampling techniques", chapter 8).

    Args:
        strata: (R,) class of each row; None to draw from all rows alike.
        rows: R.
        sizes: of each part: a share below 1, or a number of rows; without `train`, it gets the
            rest.
        seed: of the run.
        where: the source, for messages.

    Returns:
        Ascending row numbers of each part, no row in two.

    Raises:
        DataError: the parts need more rows than there are, or one would be empty.
    """
    counts = _counts(sizes, rows)
    needed = sum(counts.values())
    for name, count in counts.items():
        if count < 1:
            raise DataError(
                f"{where}: splits.{name} is {sizes[name]} of {rows} rows, which is none"
            )
    if needed + ("train" not in counts) > rows:
        wanted = ", ".join(f"{name} {count}" for name, count in counts.items())
        rest = "" if "train" in counts else " and training at least one"
        raise DataError(
            f"{where}: the splits need {needed} rows ({wanted}){rest}, "
            f"but there are {rows}; make splits smaller"
        )
    random = seeds.generator(seed, seeds.Purpose.SPLIT)
    left = random.permutation(rows)
    if strata is not None:
        left = left[np.argsort(strata[left], kind="stable")]
    parts: dict[str, Integers] = {}
    for name, count in counts.items():
        positions = ((np.arange(count) + random.random()) * (len(left) / count)).astype(np.int64)
        parts[name] = np.sort(left[positions])
        left = np.delete(left, positions)
    return parts if "train" in parts else {**parts, "train": np.sort(left)}


def _counts(sizes: Mapping[str, float | int], rows: int) -> dict[str, int]:
    """Return the number of rows of each part."""
    shares = {name for name, size in sizes.items() if isinstance(size, float) and size < 1}
    counts = {name: round(n * rows) if name in shares else int(n) for name, n in sizes.items()}
    if shares == {"train", *sizes} and sum(sizes.values()) <= 1 + 1e-9:
        # Shares of a whole may be rounded to more rows than there are.
        others = sum(counts.values()) - counts["train"]
        counts["train"] = min(counts["train"], rows - others)
    return counts
