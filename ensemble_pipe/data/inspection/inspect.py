"""Summary of a file: types, missing and distinct values, ranges, classes, image sizes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import IMAGE, Rows
from ensemble_pipe.data.sources.text_columns import MISSING, null_where_missing
from ensemble_pipe.data.tables.cells import MOST_NAME_BYTES
from ensemble_pipe.data.tables.class_names import as_numbers
from ensemble_pipe.data.tables.identifiers import is_identifier_name

MOST_DISTINCT = 10_000
MOST_FREQUENT = 5
MOST_CLASSES = 100
LABEL_NAMES = (
    "label", "target", "class", "y", "labels", "targets", "classes", "outcome", "response",
    "species", "diagnosis",
)  # fmt: skip
_ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$"

Kind = Literal["number", "category", "date", "image", "other"]


@dataclass(frozen=True)
class ColumnReport:
    """Summary of one column.

    Attributes:
        name: of the column.
        type: its Arrow type.
        kind: how a pipeline can read it; "other" where it cannot.
        missing: rows without a value, NaN among them.
        infinite: rows with an infinity.
        distinct: number of distinct values; None where more than `MOST_DISTINCT`, or where a text
            is longer than `MOST_NAME_BYTES`.
        frequent: the most frequent values and their counts; empty where `distinct` is None.
        lowest, mean, highest: of the finite numbers; None for other columns.
    """

    name: str
    type: str
    kind: Kind
    missing: int
    infinite: int = 0
    distinct: int | None = None
    frequent: tuple[tuple[str, int], ...] = ()
    lowest: float | None = None
    mean: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class Report:
    """Summary of a file.

    Attributes:
        where: the file.
        rows: their number.
        columns: the summary of each.
        label: the column to predict, as given, or as its name leaves no doubt; None where it is
            not known.
        is_named: whether the label was taken for its name, not given.
        candidates: columns that can be the label, where it is not known.
        classes: its values and their counts; empty where it has more than `MOST_DISTINCT`.
        image_shape: (H, W, C); None where the rows are no images.
        test_rows: how many an official test part has; None where there is none.
    """

    where: str
    rows: int
    columns: tuple[ColumnReport, ...]
    label: str | None
    classes: tuple[tuple[str, int], ...]
    image_shape: tuple[int, ...] | None
    test_rows: int | None = None
    is_named: bool = False
    candidates: tuple[str, ...] = ()

    def column(self, name: str) -> ColumnReport:
        return next(column for column in self.columns if column.name == name)


def inspect(rows: Rows, label: str | None = None, test_rows: int | None = None) -> Report:
    """Read all rows once, block by block, in memory that does not grow with their number.

    Args:
        rows: to inspect.
        label: the column to predict; None for one that is one of `LABEL_NAMES`, where just one is.
        test_rows: how many an official test part has.

    Raises:
        DataError: there is no column `label`, or there are no columns.
    """
    names = list(rows.schema.names)
    if not names:
        raise DataError(f"{rows.where}: has no columns")
    if label is not None:
        require_columns(rows.where, [label], names)
    tallies = [_Tally(column) for column in rows.schema]
    for _, block in rows.blocks(names):
        for tally, name in zip(tallies, names, strict=True):
            tally.add(block.column(name))
    columns = tuple(tally.report() for tally in tallies)
    chosen = label or _named_label(columns)
    if chosen is not None:
        place = names.index(chosen)
        tallies[place] = _of_label(rows, columns[place]) or tallies[place]
        columns = tuple(tally.report() for tally in tallies)
    counts = tallies[names.index(chosen)].counts if chosen else None
    shape = tuple(rows.schema.field(IMAGE).type.shape) if rows.is_image else None
    return Report(
        where=rows.where,
        rows=rows.count,
        columns=columns,
        label=chosen,
        classes=tuple(_sorted(counts)) if counts else (),
        image_shape=shape,
        test_rows=test_rows,
        is_named=label is None and chosen is not None,
        candidates=() if chosen else candidates_of(columns),
    )


def kind_of(kind: pa.DataType) -> Kind:
    """Return how a pipeline can read a column of some Arrow type."""
    if pa.types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if isinstance(kind, pa.FixedShapeTensorType):
        return "image"
    if any(is_a(kind) for is_a in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)):
        return "number"
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return "number"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "date"
    return "category" if _is_text(kind) else "other"


@dataclass
class _Tally:
    """Running statistics of one column; values are no longer counted past `MOST_DISTINCT`."""

    column: pa.Field
    missing: int = 0
    infinite: int = 0
    counts: Counter[Any] | None = field(default_factory=Counter)
    finite: int = 0
    total: float = 0.0
    lowest: float = np.inf
    highest: float = -np.inf
    dates: bool = True

    def add(self, values: pa.Array) -> None:
        values = _plain(values)
        kind = kind_of(values.type)
        self.missing += values.null_count
        values = values.drop_null() if values.null_count else values
        if kind == "image":
            self._add_finite(values.storage.flatten().to_numpy())
        elif kind == "number":
            self._add_numbers(values)
        elif kind == "category" and self.dates:
            self.dates = pc.all(pc.match_substring_regex(values, _ISO_DATE)).as_py() is not False
        if kind in ("image", "other"):
            self.counts = None
        else:
            self._count(values)

    def _count(self, values: pa.Array) -> None:
        if (
            _is_text(values.type)
            and (pc.max(pc.binary_length(values)).as_py() or 0) > MOST_NAME_BYTES
        ):
            self.counts = None
        if self.counts is not None:
            found = values.value_counts()
            for value, count in zip(_listed(found.field(0)), found.field(1), strict=True):
                self.counts[value] += count.as_py()
            if len(self.counts) > MOST_DISTINCT:
                self.counts = None

    def _add_finite(self, values: Array) -> None:
        if len(values):
            self.finite += len(values)
            self.total += float(values.sum())
            self.lowest = min(self.lowest, float(values.min()))
            self.highest = max(self.highest, float(values.max()))

    def _add_numbers(self, values: pa.Array) -> None:
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.uint8())
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        usable = numbers[np.isfinite(numbers)]
        self.infinite += len(numbers) - len(usable)
        self._add_finite(usable)

    def report(self) -> ColumnReport:
        kind = kind_of(self.column.type)
        if kind == "category" and self.dates and self.counts != Counter():
            kind = "date"
        some = self.finite > 0
        return ColumnReport(
            name=self.column.name,
            type=_type_name(self.column.type),
            kind=kind,
            missing=self.missing,
            infinite=self.infinite,
            distinct=None if self.counts is None else len(self.counts),
            frequent=tuple(_sorted(self.counts or Counter(), by_count=True)[:MOST_FREQUENT]),
            lowest=self.lowest if some else None,
            mean=self.total / self.finite if some else None,
            highest=self.highest if some else None,
        )


def _of_label(rows: Rows, column: ColumnReport) -> _Tally | None:
    """Return the summary of a label of a file without types whose numbers are names, such as 01."""
    few = column.kind == "number" and column.distinct is not None
    if rows.rewritten is None or not few or (column.distinct or 0) > MOST_CLASSES:
        return None
    tally = _Tally(pa.field(column.name, pa.string()))
    for _, block in rows.as_written([column.name]).blocks([column.name]):
        values = pc.ascii_trim_whitespace(block.column(0))
        tally.add(null_where_missing(values, MISSING))
    are_names = tally.counts is not None and as_numbers(list(tally.counts)) is None
    return tally if are_names else None


def _plain(values: pa.Array) -> pa.Array:
    """Return values as a type that can be counted; NaN is a missing value."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if _is_text(values.type):
        return values.cast(pa.large_string())
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return values


def _listed(values: pa.Array) -> list[Any]:
    """Return values as Python's; as text where these end, as for dates after the year 9999."""
    try:
        return list(values.to_pylist())
    except (OverflowError, ValueError):
        return list(values.cast(pa.string()).to_pylist())


def _named_label(columns: Sequence[ColumnReport]) -> str | None:
    """Return the column whose name is that of a label; None where none or several have such a name.

    A column y beside others than x may be a length: it is none beside z, or x and a further one.
    """
    names = [column.name for column in columns if column.kind != "image"]
    lower = [name.lower() for name in names]
    place = "y" in lower and ("z" in lower or ("x" in lower and len(names) > 2))
    found = [name for name in names if name.lower() in LABEL_NAMES]
    found = [name for name in found if not (place and name.lower() == "y")]
    return found[0] if len(found) == 1 else None


def candidates_of(columns: Sequence[ColumnReport]) -> tuple[str, ...]:
    """Return the columns that can be the label: all that have two values or more, in their order,
    but those that look like identifiers last; none where all are images.
    """
    found = [c for c in columns if c.kind != "image" and (c.distinct is None or c.distinct > 1)]
    found.sort(key=_identifies)
    return tuple(column.name for column in found)


def _identifies(column: ColumnReport) -> bool:
    """Return whether a column is text that is another in each row, or is named as an identifier."""
    if column.distinct is not None and column.frequent[0][1] > 1:
        return False
    return column.kind == "category" or is_identifier_name(column.name)


def _sorted(counts: Counter[Any], by_count: bool = False) -> list[tuple[str, int]]:
    """Return values as text with their counts, by value, or the most frequent first."""
    pairs = sorted(counts.items(), key=lambda pair: (isinstance(pair[0], str), pair[0]))
    if by_count:
        pairs.sort(key=lambda pair: -pair[1])
    return [(str(value), count) for value, count in pairs]


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _type_name(kind: pa.DataType) -> str:
    if isinstance(kind, pa.FixedShapeTensorType):
        return f"{kind.value_type} {'x'.join(map(str, kind.shape))}"
    return str(kind)
