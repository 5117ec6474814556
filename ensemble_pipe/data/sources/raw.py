"""What a source read, before anything is fitted to it, and the checks that every source shares."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ensemble_pipe.arrays import Array, Integers
from ensemble_pipe.errors import DataError

_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True)
class Raw:
    """Rows as a source gave them.

    Attributes:
        where: the file, for messages.
        inputs: images (R, H, W, C) uint8, or features (R, D) float64.
        targets: (R,) class names or numbers; None where the file has none.
        feature_names: D names; empty for images.
        target_name: of the target column; empty where the source has no columns.
        header_lines: lines of a text file before its first row; None where rows are no lines.
    """

    where: str
    inputs: Array
    targets: Array | None
    feature_names: tuple[str, ...] = ()
    target_name: str = ""
    header_lines: int | None = None

    @property
    def rows(self) -> int:
        return len(self.inputs)

    @property
    def is_image(self) -> bool:
        return self.inputs.ndim == 4

    def at(self, row: int) -> str:
        """Name a row (counted from 0) as a person would look it up."""
        line = "" if self.header_lines is None else f" (line {row + 1 + self.header_lines})"
        return f"{self.where}: row {row + 1}{line}"


def require_file(path: Path) -> None:
    """Raise DataError where `path` is no file, or is empty."""
    if not path.exists():
        raise DataError(f"{path}: no such file; paths are taken from the current directory")
    if not path.is_file():
        raise DataError(f"{path}: is a folder; name a file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")


def of_classes(raw: Raw, classes: tuple[int | str, ...] | None) -> tuple[Raw, Integers]:
    """Return the rows of some classes (None: all), and their numbers.

    Raises:
        DataError: there are no labels, or a class has no rows.
    """
    if classes is None:
        return raw, np.arange(raw.rows)
    if len(set(map(str, classes))) < len(classes):
        raise DataError(f"classes: {', '.join(map(str, classes))} names a class twice")
    if raw.targets is None:
        raise DataError(f"{raw.where}: has no labels, so `classes` cannot choose among them")
    whole = raw.targets.dtype.kind == "f" and bool((raw.targets % 1 == 0).all())
    labels = (raw.targets.astype(np.int64) if whole else raw.targets).astype(str)
    for name in classes:
        if not (labels == str(name)).any():
            raise DataError(f"{raw.where}: no row is of class {name!r}, which `classes` names")
    kept = np.flatnonzero(np.isin(labels, [str(name) for name in classes]))
    return replace(raw, inputs=raw.inputs[kept], targets=raw.targets[kept]), kept


def check_rows(raw: Raw) -> None:
    """Check that there are rows and that every feature is a number that float32 can hold.

    Raises:
        DataError: names the first offending row and column.
    """
    if raw.rows == 0:
        raise DataError(f"{raw.where}: has no rows")
    if raw.inputs.size == 0:
        raise DataError(f"{raw.where}: its rows hold no values (shape {raw.inputs.shape[1:]})")
    if raw.inputs.dtype == np.uint8:
        return
    usable = np.abs(raw.inputs) <= _LARGEST  # neither NaN nor infinity is
    if not usable.all():
        row, column = (int(i) for i in np.argwhere(~usable)[0])
        named = column < len(raw.feature_names)
        name = raw.feature_names[column] if named else str(column)
        raise DataError(
            f"{raw.at(row)}, column {name!r}: {_problem(raw.inputs[row, column])}; "
            "every feature must be a finite number, so remove or fill such rows"
        )


def _problem(value: float) -> str:
    if np.isnan(value):
        return "a missing value or NaN"
    return "infinity" if np.isinf(value) else f"{value:g} is too large for float32"
