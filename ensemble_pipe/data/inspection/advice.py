"""Suggestion of a pipeline for a file: task, label, and the column rules that it needs."""

from pathlib import Path
from typing import Any

from ensemble_pipe.data.inspection.inspect import MOST_CLASSES, ColumnReport, Report
from ensemble_pipe.data.row_numbers import find_unnamed
from ensemble_pipe.data.sources.idx import idx_files


def pipeline_of(report: Report, location: str) -> dict[str, Any] | None:
    """Return a runnable pipeline: `task` and `data`; None where no column can be the label.

    Args:
        report: on the file's contents.
        location: of the file, as given.
    """
    if report.label is None:
        return None
    if report.image_shape is not None:
        data = _image_data(report, location)
    else:
        data = _table_data(report, location)
    return {"task": task_of(report), "data": data}


def task_of(report: Report) -> str:
    """Return "regression" where the label is a number with too many values to be a class."""
    if report.label is None:
        return "classification"
    label = report.column(report.label)
    if label.kind != "number" or label.distinct is None:
        return "regression" if label.kind == "number" else "classification"
    whole = not any(name in label.type for name in ("float", "double", "decimal"))
    return "classification" if label.distinct <= (MOST_CLASSES if whole else 2) else "regression"


def rule_of(column: ColumnReport) -> dict[str, Any] | None:
    """Return the rule that a feature needs; None where it can be read without one."""
    missing = {"missing": "category" if column.kind == "category" else "median"}
    rule: dict[str, Any] = {} if column.kind in ("number", "other") else {"kind": column.kind}
    if column.missing:
        rule |= missing
    return rule or None


def is_no_feature(column: ColumnReport, rows: int) -> bool:
    """Return whether a column is ignored, being no useful number, date or category.

    These are texts with distinct values in more than half of the rows, such as names and keys,
    columns without any value, and row numbers in unnamed columns.
    """
    if column.kind == "other" or column.missing == rows or find_unnamed([column.name]):
        return True
    return column.kind == "category" and (
        column.distinct is None or column.distinct > max(50, rows // 2)
    )


def _table_data(report: Report, location: str) -> dict[str, Any]:
    features = [column for column in report.columns if column.name != report.label]
    ignored = [column.name for column in features if is_no_feature(column, report.rows)]
    if len(ignored) == len(features):  # what is left must be worth trying
        others = [column.name for column in features if column.kind == "other"]
        ignored = others if len(others) < len(features) else []
    rules = {
        column.name: rule
        for column in features
        if column.name not in ignored and (rule := rule_of(column)) is not None
    }
    data: dict[str, Any] = {"source": "table", "path": location, "label": report.label}
    if ignored:
        data["ignore"] = ignored
    if rules:
        data["columns"] = rules
    return data


def _image_data(report: Report, location: str) -> dict[str, Any]:
    path = Path(location)
    if path.is_dir():
        source = "idx" if idx_files(path) else "image_folder"
        return {"source": source, "folder": location}
    if "ubyte" in path.name:
        return {"source": "idx", "folder": str(path.parent)}
    return {"source": "table", "path": location, "label": report.label}
