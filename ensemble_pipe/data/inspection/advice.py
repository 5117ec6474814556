"""Suggestion of a pipeline for a file, and what a run of it does with each column."""

from pathlib import Path
from typing import Any

import numpy as np

from ensemble_pipe.data.inspection.inspect import MOST_CLASSES, Report
from ensemble_pipe.data.inspection.side_roles import SideRoles
from ensemble_pipe.data.sources.idx import idx_files
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.fitting import fit_table
from ensemble_pipe.data.tables.scaling import Standardize


def pipeline_of(
    report: Report, location: str, sides: SideRoles | None = None, task: str | None = None
) -> dict[str, Any] | None:
    """Return a runnable pipeline: `task` and `data`; None where the label is not known.

    Args:
        report: on the file's contents.
        location: of the file, as given.
        sides: columns that are not learned from.
        task: classification or regression; None for the one that follows from the label.
    """
    if report.label is None:
        return None
    if report.image_shape is not None:
        data = _image_data(report, location)
    else:
        data = {"source": "table", "path": location, "label": report.label}
        data |= (sides or SideRoles()).to_dict()
    return {"task": task or task_of(report), "data": data}


def task_of(report: Report) -> str:
    """Return "regression" where the label is a number with too many values to be a class."""
    if report.label is None:
        return "classification"
    label = report.column(report.label)
    if label.kind != "number" or label.distinct is None:
        return "regression" if label.kind == "number" else "classification"
    whole = not any(name in label.type for name in ("float", "double", "decimal"))
    return "classification" if label.distinct <= (MOST_CLASSES if whole else 2) else "regression"


def decisions_of(rows: Rows, report: Report) -> tuple[ColumnDecision, ...]:
    """Return what a run does with each column but the label; empty for images.

    It is decided by all rows here, and by those of its training part in a run.

    Raises:
        DataError: a run would be refused, as for an infinite number.
    """
    names = tuple(name for name in rows.schema.names if name != report.label)
    if report.image_shape is not None or not names:
        return ()
    every = np.ones(rows.count, bool)
    return fit_table(rows, Roles(names), every, Standardize()).decisions


def _image_data(report: Report, location: str) -> dict[str, Any]:
    path = Path(location)
    if path.is_dir():
        source = "idx" if idx_files(path) else "image_folder"
        return {"source": source, "folder": location}
    if "ubyte" in path.name:
        return {"source": "idx", "folder": str(path.parent)}
    return {"source": "table", "path": location, "label": report.label}
