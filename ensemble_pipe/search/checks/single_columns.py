"""Columns by themselves: constants, duplicates, identifiers, numbers stored as text."""

import re
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.sources.text_columns import MISSING
from ensemble_pipe.data.tables import describing
from ensemble_pipe.data.tables.decisions import ColumnDecision, DecisionKind
from ensemble_pipe.search.checks.findings import Finding
from ensemble_pipe.search.checks.source_rows import SourceColumn, SourceRows

MOSTLY_MISSING = 0.5
# Shares of the values: of text that are numbers, and of a column that are different.
_NUMBERS, _DIFFERENT = 0.9, 0.98
_LEAST_ROWS = 20
# Numbers as people write them, with units, signs of money, and separators of thousands.
_WRITTEN = r"^[^\w.+-]*[+-]?(\d{1,3}([,' ]\d{3})+|\d+)([.,]\d+)?\s*([%°€$£]|[A-Za-z]{1,3})?$"
_OF_IDENTIFIERS = re.compile(r"(^|[_\s.-])(id|uid|uuid|key|number|no|nr|index)$|[a-z](Id|ID)$")


def column_findings(
    source: SourceRows,
    decisions: Sequence[ColumnDecision],
    missing_values: Sequence[str],
    as_written: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield what single columns, and pairs of equal ones, have.

    Args:
        source: the rows.
        decisions: what a run does with each column.
        missing_values: texts that mean a missing value.
        as_written: columns that are read as text since the pipeline says so.
    """
    learned = {d.name: d for d in decisions if d.kind != "left out"}
    yield from _constant(source, decisions)
    yield from _identifiers(source, decisions)
    yield from _duplicates([c for c in source.columns if c.name in learned and c.distinct > 1])
    kinds = {decision.name: decision.kind for decision in decisions}
    for column in source.columns:
        if column.name in kinds and column.name not in as_written:
            yield from _as_text(column, kinds[column.name], missing_values)
        if column.name in learned:
            yield from _missing(column)


def _constant(source: SourceRows, decisions: Sequence[ColumnDecision]) -> Iterator[Finding]:
    for decision in decisions:
        column = source.column(decision.name)
        left_out = decision.kind == "left out"
        said = left_out and decision.treatment.startswith(
            (describing.ONE_VALUE, describing.NO_VALUE)
        )
        if said or (
            column is not None and not left_out and column.distinct <= 1 and _is_full(column)
        ):
            yield Finding(
                "constant-column",
                f"column {quote(decision.name)} has one value in all rows and says nothing; "
                + ("it is left out" if left_out else "leave it out"),
                "note" if left_out else "warning",
                {} if left_out else {"data.ignore": [decision.name]},
            )


def _is_full(column: SourceColumn) -> bool:
    return column.values.null_count in (0, len(column.values))


def _identifiers(source: SourceRows, decisions: Sequence[ColumnDecision]) -> Iterator[Finding]:
    for decision in decisions:
        column = source.column(decision.name)
        if column is None or len(column.values) < _LEAST_ROWS:
            continue
        left_out = decision.kind == "left out"
        if left_out and decision.treatment.startswith(describing.ONE_VALUE):
            continue
        if _is_identifier(column):
            yield Finding(
                "identity-column",
                f"column {quote(decision.name)} has another value in each row, as an identifier "
                "has, which says nothing of new rows; "
                + ("it is left out" if left_out else "leave it out"),
                "note" if left_out else "warning",
                {} if left_out else {"data.ignore": [decision.name]},
            )


def _is_identifier(column: SourceColumn) -> bool:
    """Return whether text names each row, or whole numbers count the rows or are named as keys."""
    rows = len(column.values)
    if column.distinct < _DIFFERENT * rows or column.values.null_count:
        return False
    if column.is_text:
        return not _written_as_numbers(column, ())
    if not column.is_whole:
        return False
    counts = np.ptp(column.numbers) < 2 * rows and (np.diff(column.numbers) > 0).all()
    return bool(counts) or _OF_IDENTIFIERS.search(column.name) is not None


def _duplicates(columns: Sequence[SourceColumn]) -> Iterator[Finding]:
    """Yield groups of columns that are equal, or numbers that differ by scale and offset alone."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for column in columns:
        groups.setdefault((column.is_number, _signature(column)), []).append(column.name)
    for names in groups.values():
        if len(names) > 1:
            yield Finding(
                "duplicate-columns",
                f"columns {list_names([quote(name) for name in names])} say the same in every row; "
                "keep one",
                change={"data.ignore": names[1:]},
            )


def _signature(column: SourceColumn) -> bytes:
    """Return what equal columns share: the codes, or numbers standardised and rounded."""
    if not column.is_number:
        return column.codes.tobytes()
    numbers = column.numbers
    deviation = np.nanstd(numbers)
    if not deviation > 0:
        return column.codes.tobytes()
    standard = (numbers - np.nanmean(numbers)) / deviation
    first = standard[np.flatnonzero(np.abs(np.nan_to_num(standard)) > 1e-3)[:1]]
    rounded: bytes = (np.round(standard * np.sign(first), 4) + 0.0).tobytes()
    return rounded


def _as_text(
    column: SourceColumn, kind: DecisionKind, missing_values: Sequence[str]
) -> Iterator[Finding]:
    if not column.is_text or not _written_as_numbers(column, missing_values):
        return
    read = kind == "number"
    done = "it is left out" if kind == "left out" else f"it is read as {kind}"
    yield Finding(
        "numbers-as-text",
        f"column {quote(column.name)} holds numbers stored as text; "
        + (
            "they are read as numbers"
            if read
            else f"{done}, which loses what they say: store them as numbers"
        ),
        "note" if read else "warning",
    )


def _written_as_numbers(column: SourceColumn, missing_values: Sequence[str]) -> bool:
    """Return whether nearly all texts are numbers as people write them, more than a few of them."""
    texts = pc.utf8_trim_whitespace(column.values.drop_null().unique())
    usual = pc.is_in(texts, value_set=pa.array([*MISSING, *missing_values], texts.type))
    texts = texts.filter(pc.invert(usual))
    if len(texts) < _LEAST_ROWS:
        return False
    return bool(pc.mean(pc.match_substring_regex(texts, _WRITTEN)).as_py() >= _NUMBERS)


def _missing(column: SourceColumn) -> Iterator[Finding]:
    share = column.values.null_count / max(len(column.values), 1)
    if share > MOSTLY_MISSING:
        yield Finding(
            "missing-values",
            f"column {quote(column.name)} has no value in {share:.0%} of the rows",
            "note",
        )
