"""Text tables: the public data sets, and the summary of a file."""

from pathlib import Path

from ensemble_pipe.core.messages import list_names, printable, quote, truncate
from ensemble_pipe.data.inspection.advice import task_of
from ensemble_pipe.data.inspection.inspect import (
    MOST_CLASSES,
    MOST_DISTINCT,
    ColumnReport,
    Report,
)
from ensemble_pipe.data.public.catalogue import BUNDLED, CATALOGUE
from ensemble_pipe.data.public.fetch import is_there

MOST_SHOWN_CLASSES = 20
_VALUE_LENGTH = 24


def sets_table(folder: Path) -> str:
    """Return the public sets, with those present in `folder` marked, and the bundled ones."""
    lines: list[tuple[str, ...]] = [("name", "rows", "size", "there", "licence", "what")]
    for entry in CATALOGUE.values():
        count = " + ".join(f"{rows:,}" for rows in entry.rows)
        there = "yes" if is_there(entry, folder) else ""
        lines.append((entry.name, count, size_text(entry.size), there, entry.licence, entry.what))
    for name, (what, number) in BUNDLED.items():
        lines.append((name, f"{number:,}", "", "bundled", "with scikit-learn", what))
    return _aligned(lines)


def report_table(report: Report, size: int | None) -> str:
    """Return the summary of a file as text: its columns, and the classes of its label.

    Args:
        report: the summary.
        size: of the file in bytes; None where it is not known.
    """
    of_size = "" if size is None else f", {size_text(size)}"
    lines = [
        f"{printable(report.where)}: {report.rows:,} rows, {len(report.columns)} columns{of_size}"
    ]
    if report.image_shape is not None:
        shape = "x".join(map(str, report.image_shape))
        lines.append(f"images of {shape} (height, width, channels)")
    if report.test_rows is not None:
        lines.append(f"and an official test part of {report.test_rows:,} rows")
    head = ("column", "type", "missing", "distinct", "min", "mean", "max", "most frequent")
    lines += ["", _aligned([head, *(_column_row(c, report.rows) for c in report.columns)])]
    marked = [column.name for column in report.columns if _has_question_mark(column)]
    if marked:
        lines.append(
            f"\n'?' stands in {list_names(marked)}: where it means that a value is missing, write "
            "missing_values: ['?'] below data"
        )
    if report.label is None and report.candidates:
        lines.append(
            "\nno label is named: name the column to predict with --label COLUMN, for a pipeline "
            "to begin with"
        )
    if report.label is not None:
        lines += ["", _label_text(report, report.column(report.label))]
    return "\n".join(lines)


def size_text(size: int) -> str:
    """Return a human-readable size, such as 170.1 MB."""
    power = min(max(len(str(size)) - 1, 0) // 3, 3)
    return f"{size} B" if power == 0 else f"{size / 1000**power:.1f} {'kMG'[power - 1]}B"


def _column_row(column: ColumnReport, rows: int) -> tuple[str, ...]:
    missing = f"{column.missing:,} ({column.missing / max(rows, 1):.1%})" if column.missing else ""
    if column.infinite:
        missing += f" {column.infinite:,} infinite"
    distinct = "" if column.kind in ("image", "other") else f"more than {MOST_DISTINCT:,}"
    if column.distinct is not None:
        distinct = f"{column.distinct:,}"
    found = (column.lowest, column.mean, column.highest)
    numbers = ("" if number is None else f"{number:.6g}" for number in found)
    # Of a number only what repeats is worth a look.
    repeats = bool(column.frequent) and column.frequent[0][1] > 1
    values = ", ".join(f"{_short(value)} {count:,}" for value, count in column.frequent)
    name, kind = (truncate(printable(text)) for text in (column.name, column.type))
    return (name, kind, missing.strip(), distinct, *numbers, values if repeats else "")


def _label_text(report: Report, label: ColumnReport) -> str:
    named = " (taken for its name; --label COLUMN takes another)" if report.is_named else ""
    lines = [f"label {quote(label.name)}: {_target_text(report, label)}{named}"]
    if label.kind == "number" and (label.distinct is None or label.distinct > 2):
        lines.append(f"  {_task_reason(report)}")
    if task_of(report) == "classification":
        first = report.classes[:MOST_SHOWN_CLASSES]
        lines += [f"  {_short(name)}  {count:,}" for name, count in first]
        if len(report.classes) > len(first):
            lines.append(f"  ... and {len(report.classes) - len(first):,} more")
    if label.missing:
        lines.append(f"  {label.missing:,} rows have none: remove them before training")
    return "\n".join(lines)


def _target_text(report: Report, label: ColumnReport) -> str:
    if task_of(report) == "regression":
        return "a number to predict"
    if label.distinct is None:
        return "too many values to be classes"
    return f"{label.distinct:,} classes"


def _task_reason(report: Report) -> str:
    """Return why numbers are taken for classes or not, and how to choose the other task."""
    if task_of(report) == "classification":
        why, other = f"there are at most {MOST_CLASSES} whole numbers", "regression"
    else:
        why, other = f"there are fractions, or more than {MOST_CLASSES} numbers", "classification"
    return f"{task_of(report)}, since {why}; else set task: {other}, or init --task {other}"


def _has_question_mark(column: ColumnReport) -> bool:
    return any(value == "?" for value, _ in column.frequent)


def _short(text: str) -> str:
    return truncate(printable(text), _VALUE_LENGTH)


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
