"""Rows of a source as data checks look at them: its columns as codes and numbers, in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.arrow import numbers_of
from ensemble_pipe.data.inspection.inspect import kind_of
from ensemble_pipe.data.labelled import LabelledRows
from ensemble_pipe.data.sources.rows import IMAGE, Rows
from ensemble_pipe.data.tables.arrow_types import is_text, to_plain

# So much of a source is looked at, from its beginning.
MOST_ROWS, MOST_BYTES, MOST_COLUMNS = 200_000, 32 << 20, 1_000
# More distinct values than these are seen in as many bins of equal numbers of rows.
MOST_CODES, BINS = 200, 64


@dataclass(frozen=True)
class SourceColumn:
    """A column of a table.

    Attributes:
        name: of the column.
        values: of the R rows.
    """

    name: str
    values: pa.Array

    @property
    def is_number(self) -> bool:
        return kind_of(self.values.type) == "number"

    @property
    def is_whole(self) -> bool:
        return bool(pa.types.is_integer(self.values.type))

    @property
    def is_text(self) -> bool:
        return is_text(self.values.type)

    @cached_property
    def codes(self) -> Integers:
        """The number (R,) of each value, by first occurrence; -1 of a missing one."""
        indices = self.values.dictionary_encode().indices
        return numbers_of(pc.fill_null(indices, -1))

    @property
    def distinct(self) -> int:
        """The number of distinct values."""
        return int(self.codes.max(initial=-1)) + 1

    @cached_property
    def numbers(self) -> Floats:
        """The values (R,) of a number or a date, float64; NaN where missing or infinite."""
        values = self.values
        if kind_of(values.type) == "date":
            values = values.cast(pa.timestamp("us")).cast(pa.int64())
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.uint8())
        doubles = values.cast(pa.float64(), safe=False)
        found = numbers_of(pc.fill_null(doubles, float("nan")))
        return np.where(np.isfinite(found), found, np.nan)

    @property
    def never_falls(self) -> bool:
        """Whether values, of a date or its text, are never below that of the row before."""
        after, before = self.values[1:], self.values[:-1]
        return bool(pc.all(pc.greater_equal(after, before)).as_py())

    @cached_property
    def bins(self) -> Integers:
        """The codes (R,), or the bins of numbers with more distinct values than `MOST_CODES`."""
        if not self.is_number or self.distinct <= MOST_CODES:
            return self.codes + 1
        edges = np.nanquantile(self.numbers, np.linspace(0, 1, BINS + 1)[1:-1])
        bins: Integers = np.where(
            np.isnan(self.numbers), 0, np.searchsorted(edges, self.numbers) + 1
        )
        return bins


@dataclass(frozen=True)
class SourceRows:
    """The first rows of a source.

    Attributes:
        count: R, of these rows.
        columns: of a table, all but the labels; empty for images.
        digests: (R,) int64, equal for equal rows.
    """

    count: int
    columns: tuple[SourceColumn, ...]
    digests: Integers

    def column(self, name: str) -> SourceColumn | None:
        return next((column for column in self.columns if column.name == name), None)


def read_source(
    data: LabelledRows, labels: Sequence[str], unlike: Sequence[str], test: LabelledRows | None
) -> tuple[SourceRows, Integers]:
    """Read the beginning of a source, and the digests of the rows of an official test part.

    Args:
        data: the rows.
        labels: columns to predict, which only digests are of.
        unlike: columns that differ in equal rows, such as identifiers.
        test: the rows of the test part, where these are not among the others.
    """
    if data.rows.is_image:
        digests = [_image_digests(part) for part in (data.rows, *([test.rows] if test else []))]
        return SourceRows(len(digests[0]), (), digests[0]), digests[-1] if test else _NONE
    names = _names(data)[:MOST_COLUMNS]
    here = _read(data.rows, names)
    there = None if test is None else _read(test.rows, [n for n in names if n in _names(test)])
    columns = tuple(
        SourceColumn(name, values)
        for name, values in here.items()
        if name not in labels and kind_of(values.type) != "other"
    )
    digests_here, digests_there = _digests(here, there, unlike)
    return SourceRows(len(digests_here), columns, digests_here), digests_there


_NONE = np.zeros(0, np.int64)


def _names(data: LabelledRows) -> list[str]:
    return list(data.rows.schema.names)


def _read(rows: Rows, names: Sequence[str]) -> dict[str, pa.Array]:
    """Return columns of the first rows, plain, without dictionaries."""
    blocks = [block for _, block in _first_blocks(rows, names)]
    table = pa.Table.from_batches(blocks, blocks[0].schema)
    return {name: to_plain(table.column(name).combine_chunks()) for name in names}


def _first_blocks(rows: Rows, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    size = 0
    for first, block in rows.blocks(names):
        yield first, block
        size += block.nbytes
        if first + block.num_rows >= MOST_ROWS or size >= MOST_BYTES:
            return


def _image_digests(rows: Rows) -> Integers:
    """Return a number (R,) for each image that equal images share."""
    found = []
    for _, block in _first_blocks(rows, [IMAGE]):
        pixels = numbers_of(block.column(0).storage.flatten()).reshape(block.num_rows, -1)
        padded = np.pad(pixels, ((0, 0), (0, -pixels.shape[1] % 8)))
        found.append(_mixed(np.ascontiguousarray(padded).view(np.uint64)))
    return np.concatenate(found)


def _digests(
    here: dict[str, pa.Array], there: dict[str, pa.Array] | None, unlike: Sequence[str]
) -> tuple[Integers, Integers]:
    """Return the digests of the rows of two tables, whose codes are made together."""
    names = [n for n in here if n not in unlike and (there is None or n in there)]
    count = len(next(iter(here.values())))
    codes = [_codes(here[name], None if there is None else there[name]) for name in names]
    if not codes:
        return np.arange(count), _NONE
    digests = _mixed(np.stack(codes, axis=1).astype(np.uint64))
    return digests[:count], digests[count:]


def _codes(here: pa.Array, there: pa.Array | None) -> Array:
    """Return a number for each value, the same for equal values of two arrays."""
    if there is not None and there.type != here.type:
        here, there = here.cast(pa.large_string()), there.cast(pa.large_string())
    values = here if there is None else pa.concat_arrays([here, there])
    if kind_of(values.type) == "other":
        return np.zeros(len(values), np.int64)
    return numbers_of(pc.fill_null(values.dictionary_encode().indices, -1))


def _mixed(words: Array) -> Integers:
    """Return one number (R,) for the words (R, W) uint64 of each row: a polynomial, mixed."""
    digests = np.full(len(words), 0x9E3779B97F4A7C15, np.uint64)
    for place in range(words.shape[1]):
        digests = (digests ^ words[:, place]) * np.uint64(0xBF58476D1CE4E5B9)
        digests ^= digests >> np.uint64(29)
    return digests.view(np.int64)
