"""Descriptions of what is done to columns, in plain words."""

from datetime import UTC, datetime, timedelta

import numpy as np

from ensemble_pipe.data.tables.column_plans import ColumnPlan
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.features import CategoryColumn, Column, NumberColumn

NO_VALUE = "no value in the training part"
ONE_VALUE = "one value in all training rows"


def left_out(name: str, reason: str, warning: str = "") -> ColumnDecision:
    """Return the decision to leave out a column."""
    return ColumnDecision(name, "left out", reason, reason, warning=warning)


def distinct_text(distinct: int, present: int) -> str:
    """Return why a column of text with so many distinct values in so many rows is left out."""
    if distinct >= present:
        return "text that is another in each row"
    return f"text with a distinct value in {min(distinct / present, 1):.0%} of the rows"


def value_text(value: float, kind: str) -> str:
    """Return a number, or a date in seconds since 1970, as text."""
    if kind != "date":
        return f"{value:.6g}"
    try:
        found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
    except OverflowError:
        return f"{value:.6g} s"
    return found.replace(tzinfo=None, microsecond=0).isoformat(" ").removesuffix(" 00:00:00")


def describe(column: Column, plan: ColumnPlan, missing: int) -> ColumnDecision:
    """Return the decision on a fitted column.

    Args:
        column: fitted.
        plan: that it was fitted by.
        missing: training rows without a value.
    """
    if isinstance(column, CategoryColumn):
        alike, detail = _of_category(column)
        filled = f"{column.fill!r}" if column.fill else "a category of its own"
    else:
        alike, detail = _of_number(column)
        filled = f"{_word(plan)}{_filled(column)}"
    parts = [f"{alike}: {detail}" if detail else alike]
    absent = f"{missing} ({filled})" if missing else ""
    if column.fill is None:
        parts.append("missing values are refused")
    elif missing:
        parts.append(f"missing values ({missing}): {filled}")
    if isinstance(column, NumberColumn) and plan.strays:
        what = "number" if column.kind == "number" else "date"
        shown = f": {plan.stray_text}" if plan.stray_text else ""
        parts.append(f"text that is no {what} counts as missing{shown}")
        absent += f"; among them text{shown}" if shown else ""
    return ColumnDecision(column.name, column.kind, "; ".join(parts), alike, absent, plan.warning)


def _word(plan: ColumnPlan) -> str:
    """Return what stands for a missing value, if it has a name, in front of its number."""
    word = plan.fill or (plan.rule.missing if plan.rule.missing in ("mean", "median") else "")
    return f"{word} " if word else ""


def _filled(column: NumberColumn) -> str:
    fill = 0.0 if column.fill is None else column.fill
    value = value_text(float(np.float64(fill) + column.offset), column.kind)
    return f"{value} and an indicator" if column.indicator else value


def _of_number(column: NumberColumn) -> tuple[str, str]:
    if column.parts:
        return "seconds since 1970, scaled, and parts", ", ".join(column.parts)
    alike = "scaled" if column.kind == "number" else "seconds since 1970, scaled"
    if not column.values:
        return alike, ""
    shown = ", ".join(f"{value + column.offset:.6g}" for value in column.values[:3])
    more = ", ..." if len(column.values) > 3 else ""
    return f"{alike}, and one-hot for frequent values", f"{len(column.values)} ({shown}{more})"


def _of_category(column: CategoryColumn) -> tuple[str, str]:
    unseen = "; others are refused" if column.unseen == "error" else ""
    alike = "one-hot" if column.encode == "one_hot" else "codes, for learned vectors"
    if column.buckets:
        return f"{alike}, hashed", f"more than 10,000 categories in {column.buckets} codes{unseen}"
    names = len([name for name in column.categories if name])
    return alike, f"{names} categories{unseen}"
