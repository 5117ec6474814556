"""Labels in compact form, and their classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.arrow import arrow_of, numbers_of
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.sources.rows import Place, Rows
from ensemble_pipe.data.tables.categories import BLANKS, NUMBER
from ensemble_pipe.data.tables.cells import MOST_NAME_BYTES
from ensemble_pipe.data.tables.class_names import class_finder
from ensemble_pipe.data.tables.other_forms import number_advice
from ensemble_pipe.data.tables.training_rows import Train

MOST_CLASSES = 100_000
_BLOCK_ROWS = 1 << 18


@dataclass(frozen=True)
class Targets:
    """The labels of R rows: numbers, or texts as indices into a list.

    Attributes:
        values: (R,) numbers of the source's own type, or int32 places in `names`; (R, D) float64 of
            several targets.
        names: the texts, sorted; None where the labels are numbers.
    """

    values: Array
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | Integers) -> "Targets":
        return Targets(self.values[rows], self.names)

    @property
    def columns(self) -> list["Targets"]:
        """Each of the targets, (R,), in order."""
        if self.values.ndim == 1:
            return [self]
        return [Targets(column) for column in self.values.T]

    def tolist(self) -> list[int | float | str]:
        """Return the labels as numbers or texts."""
        values: list[int | float | str] = self.values.tolist()
        return values if self.names is None else [self.names[int(place)] for place in values]

    def parts(self) -> Iterator[slice]:
        """Yield slices of some hundred thousand rows, for processing in bounded memory."""
        for first in range(0, len(self), _BLOCK_ROWS):
            yield slice(first, min(first + _BLOCK_ROWS, len(self)))

    def distinct(self, kept: Train | None = None) -> set[int | float | str]:
        """Return the distinct labels where `kept` (R,) is true, up to the limit of classes."""
        found: set[int] = set()
        for part in self.parts():
            values = self.values[part] if kept is None else self.values[part][kept[part]]
            found.update(pc.unique(arrow_of(values)).to_pylist())
            if len(found) > MOST_CLASSES:
                break
        return set(found) if self.names is None else {self.names[place] for place in found}

    def iter_codes(self) -> Iterator[tuple[slice, list[int | float | str], Integers]]:
        """Yield part by part its slice, distinct labels, and each row's index (n,) into these."""
        if self.names is not None:
            yield slice(0, len(self)), list(self.names), self.values
            return
        for part in self.parts():
            encoded = arrow_of(self.values[part]).dictionary_encode()
            yield part, encoded.dictionary.to_pylist(), numbers_of(encoded.indices)


def _whole(values: Array) -> Array:
    return np.asarray((np.abs(values) < 2**63) & (values == np.round(values)))


def classes_of(rows: Rows, targets: Targets, place: Place) -> tuple[int | str, ...]:
    """Return the names of the classes, sorted; place(row) names a label, for messages.

    Raises:
        DataError: there are fewer than two, about as many as rows, or a label is a fraction.
    """
    if targets.values.dtype.kind == "f":
        for part in targets.parts():
            whole = _whole(targets.values[part])
            if not whole.all():
                row = part.start + int(np.argmin(whole))
                raise DataError(
                    f"{place(row)}: label {targets.values[row].item()} is not a class; "
                    "for a numeric target set `task: regression`"
                )
    found = targets.distinct()
    classes: list[int | str]
    classes = sorted(map(int, found)) if targets.names is None else sorted(map(str, found))
    if targets.names is not None:
        require_names(rows.where, targets.names)
    if len(classes) < 2:
        raise DataError(
            f"{rows.where}: all {rows.count} rows have the one class {quote(classes[0])}; "
            "a classifier needs at least two"
        )
    if len(classes) > min(rows.count // 2, MOST_CLASSES):
        raise DataError(f"{rows.where}: {_too_many(classes, rows.count)}")
    return tuple(classes)


def _too_many(classes: Sequence[int | str], rows: int) -> str:
    """Return why so many classes cannot be learned from so many rows, and what to do."""
    if len(classes) > MOST_CLASSES:
        problem = f"more than {MOST_CLASSES} classes for {rows} rows"
    else:
        problem = f"{len(classes)} classes for {rows} rows"
        least = 2 * len(classes)
        problem += f", of which each needs two or more on average, so at least {least} in all"
    names = [name for name in classes if isinstance(name, str)]
    if advice := _advice_on_numbers(names):
        return f"{problem}; {advice}"
    if names:
        return (
            f"{problem}; name another column as the label, or merge the rarer classes into one in "
            "the file"
        )
    return f"{problem}; for a numeric target set `task: regression`"


def require_every_class(
    classes: Sequence[int | str], rows: Rows, trained: set[int | float | str]
) -> None:
    """Check that every class is among the labels of the training part.

    Raises:
        DataError: names the first that is missing.
    """
    for name in classes:
        if name not in trained:
            texts = [name for name in classes if isinstance(name, str)]
            advice = _advice_on_numbers(texts) or (
                "make the other splits smaller, or remove or merge the class"
            )
            raise DataError(
                f"{rows.where}: class {quote(name)} has no row in the training part; {advice}"
            )


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text.strip(BLANKS)) is not None


def _advice_on_numbers(names: Sequence[str]) -> str:
    """Return what makes texts numbers, where most are or look like these; empty where not."""
    others = [name for name in names if not _is_number(name)]
    if others and (form := number_advice(others)):
        return f"the label {form}"
    if others and 2 * len(others) <= len(names):
        return (
            f"every label but {list_names([quote(name) for name in others])} is a number: for a "
            "numeric target remove such rows"
        )
    return ""


def require_names(where: str, names: Sequence[str]) -> None:
    """Check that texts are valid class names, the same for every reader of labels.

    Raises:
        DataError: one is empty, too long, no text in UTF-8, or ends in a zero byte.
    """
    for name in names:
        if not name.strip(BLANKS):
            raise DataError(f"{where}: a label is empty text, which means a missing one")
        if name.endswith("\0"):  # which NumPy's texts are without
            raise DataError(f"{where}: label {quote(name)} ends in a zero byte; remove it")
        try:
            length = len(name.encode())
        except UnicodeEncodeError:
            raise DataError(f"{where}: label {quote(name)} is no text in UTF-8") from None
        if length > MOST_NAME_BYTES:
            raise DataError(
                f"{where}: label {quote(name)} has {length} bytes; the name of a class has at "
                f"most {MOST_NAME_BYTES}"
            )


def class_codes(targets: Targets, classes: tuple[int | str, ...], place: Place) -> Integers:
    """Return the number (R,) int32 of each row's class.

    Raises:
        DataError: a label is no class of the training data.
    """
    find = class_finder(classes)
    codes = np.empty(len(targets), np.int32)
    for part, labels, places in targets.iter_codes():
        codes[part] = np.array([find(label) for label in labels], np.int32)[places]
    missing = codes < 0
    if missing.any():
        row = int(missing.argmax())
        (label,) = targets[row : row + 1].tolist()
        raise DataError(
            f"{place(row)}: label {quote(label)} is no class of the training data; "
            f"its classes are: {list_names(classes)}"
        )
    return codes


def number_parts(targets: Targets, place: Place) -> Iterator[tuple[slice, Floats]]:
    """Yield targets part by part as float64, each with its slice.

    Raises:
        DataError: they are no numbers, or not finite.
    """
    if targets.names is not None and len(targets):
        raise DataError(_no_number(targets, targets.names, place))
    for part in targets.parts():
        numbers = targets.values[part].astype(np.float64)
        finite = np.isfinite(numbers)
        if not finite.all():
            row = int(np.argmin(finite))
            raise DataError(
                f"{place(part.start + row)}: the target is {numbers[row]}; remove such rows"
            )
        yield part, numbers


def _no_number(targets: Targets, names: Sequence[str], place: Place) -> str:
    """Return where the first text is that is no number, and what to do."""
    numbers = np.array([_is_number(name) for name in names])[targets.values]
    row = int(np.argmin(numbers))
    (text,) = targets[row : row + 1].tolist()
    if numbers[row]:
        return f"{place(row)}: target {quote(text)} is text; write the column as numbers"
    advice = _advice_on_numbers(names) or "for classes set `task: classification`"
    return f"{place(row)}: target {quote(text)} is not a number; {advice}"
