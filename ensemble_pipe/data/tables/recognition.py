"""Recognition of columns without a rule, by their values in the training part.

Numbers, dates and categories are told apart by what the values say, not by how a file or a frame
stores them, so that the same data is read alike from any source.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, printable, quote, truncate
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables import describing
from ensemble_pipe.data.tables.arrow_types import is_number, is_simple, is_text, is_time, to_plain
from ensemble_pipe.data.tables.cells import MOST_NAME_BYTES
from ensemble_pipe.data.tables.column_plans import ColumnPlan
from ensemble_pipe.data.tables.columns import (
    AutoRule,
    CategoryRule,
    DateRule,
    ExplicitRule,
    NumberRule,
    Roles,
)
from ensemble_pipe.data.tables.date_parts import varying_parts
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.encoding import read_numbers
from ensemble_pipe.data.tables.features import NumberColumn
from ensemble_pipe.data.tables.frequent_values import are_names, frequent_values_of_all
from ensemble_pipe.data.tables.identifiers import identifies_rows, is_text_identifier
from ensemble_pipe.data.tables.number_tallies import NumberTallies, NumberTally
from ensemble_pipe.data.tables.text_tallies import TextTally
from ensemble_pipe.data.tables.training_rows import Train, training_blocks

ONE_HOT_CATEGORIES = 10
"""The most categories that have a feature each; more have codes, for learned vectors."""
LEAST_ROWS = 3
"""Of a category with a code of its own; rarer ones share that of the unknown."""
_EXACT = 2.0**53  # larger integers that differ may be one float64


def recognize(
    rows: Rows, roles: Roles, train: Train
) -> tuple[list[ColumnPlan], list[ColumnDecision]]:
    """Return how each column is fitted that is learned from, and why the others are left out.

    One pass over the columns of text without a rule, and one over the numbers and dates for which
    values, or what stands for a missing one, are to be chosen.

    Args:
        rows: of the source.
        roles: of its columns.
        train: (R,) bool, the training rows.

    Raises:
        DataError: no column can be learned from, or a number is infinite.
    """
    plans: dict[str, ColumnPlan] = {}
    useless: list[ColumnDecision] = []
    texts: dict[str, TextTally] = {}
    for name in roles.features:
        rule, kind = roles.rule(name), _plain_type(rows.schema.field(name).type)
        if not isinstance(rule, AutoRule):
            plans[name] = ColumnPlan(name, rule)
        elif is_text(kind):
            texts[name] = TextTally(roles.missing)
        elif is_time(kind):
            plans[name] = ColumnPlan(name, DateRule())
        elif is_number(kind) or is_simple(kind):
            plans[name] = ColumnPlan(name, NumberRule())
        else:
            reason = f"of type {truncate(str(kind))}, which cannot be learned from"
            useless.append(ColumnDecision(name, "left out", reason, reason))
    for block, kept, _ in training_blocks(rows, list(texts), train):
        for name, tally in texts.items():
            tally.add(block.column(name), kept)
    plans |= {name: _of_text(name, tally) for name, tally in texts.items()}
    plans |= _of_numbers(
        rows, roles, [plans[n] for n in roles.features if n in plans], texts, train
    )
    found = [
        replace(plans[name], recognized=isinstance(roles.rule(name), AutoRule))
        for name in roles.features
        if name in plans
    ]
    return _chosen(rows, found, useless)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return to_plain(pa.nulls(0, kind)).type


def _of_text(name: str, tally: TextTally) -> ColumnPlan:
    """Return the plan of a column of text, whose numbers and dates are yet to be looked at."""
    kind = tally.kind
    if kind == "nothing":
        return ColumnPlan(name, NumberRule(), left_out=describing.NO_VALUE, can_be_read=False)
    if kind in ("number", "date"):
        rule: ExplicitRule = NumberRule() if kind == "number" else DateRule()
        strays = tally.stray_text(quote)
        warning = tally.warning(quote)
        return ColumnPlan(name, rule, strays=tally.has_strays, stray_text=strays, warning=warning)
    if tally.longest > MOST_NAME_BYTES:
        reason = f"long text, of up to {tally.longest:,} bytes"
        return ColumnPlan(name, CategoryRule(), left_out=reason, can_be_read=False)
    distinct, left_out = tally.names.distinct, ""
    few = distinct + (tally.blank > 0) <= ONE_HOT_CATEGORIES
    plan = ColumnPlan(
        name,
        CategoryRule(encode="one_hot" if few else "code"),
        least_rows=1 if few else LEAST_ROWS,
        warning=tally.warning(quote),
    )
    if distinct == 1 and not tally.blank:
        left_out = f"{describing.ONE_VALUE}: {quote(tally.names.first)}"
    elif is_text_identifier(distinct, tally.rows, tally.rows - tally.blank):
        left_out = describing.distinct_text(distinct, tally.rows - tally.blank)
    elif not few and tally.names.highest < LEAST_ROWS:
        left_out = f"no value in {LEAST_ROWS} training rows or more"
    has_categories = few or tally.names.highest >= LEAST_ROWS
    return replace(plan, left_out=left_out, can_be_read=has_categories)


def _of_numbers(
    rows: Rows,
    roles: Roles,
    plans: Sequence[ColumnPlan],
    texts: dict[str, TextTally],
    train: Train,
) -> dict[str, ColumnPlan]:
    """Return the plans of the columns of numbers and dates, by their values."""
    looked_at = [
        plan
        for plan in plans
        if isinstance(plan.rule, NumberRule | DateRule)
        and plan.rule.missing == "auto"
        and not plan.left_out
    ]
    columns = [
        NumberColumn(plan.name, plan.rule.kind, np.nan, indicator=False, strays=plan.strays)
        for plan in looked_at
        if isinstance(plan.rule, NumberRule | DateRule)
    ]
    tallies = NumberTallies(train, len(columns))
    for block, kept, place in training_blocks(rows, [column.name for column in columns], train):
        tallies.add(read_numbers(block, columns, place, roles.missing), kept)
    found = {}
    measured = list(tallies.columns())
    for plan, tally in zip(looked_at, measured, strict=True):
        own = isinstance(roles.rule(plan.name), AutoRule)
        text = texts.get(plan.name)
        kind = rows.schema.field(plan.name).type
        whole = text.integers == text.filled if text else pa.types.is_integer(_plain_type(kind))
        found[plan.name] = _of_number(plan, tally, whole, rows.count, own)
    chosen = [
        (name, tally.sample)
        for (name, plan), tally in zip(found.items(), measured, strict=True)
        if plan.rule.kind == "number" and isinstance(roles.rule(name), AutoRule)
    ]
    frequent = frequent_values_of_all([sample for _, sample in chosen])
    for (name, sample), values in zip(chosen, frequent, strict=True):
        if are_names(sample, values) and not found[name].left_out:
            found[name] = ColumnPlan(name, CategoryRule(encode="code"), least_rows=LEAST_ROWS)
        else:
            found[name] = replace(found[name], values=values)
    return found


def _of_number(
    plan: ColumnPlan, tally: NumberTally, whole: bool, rows: int, recognized: bool
) -> ColumnPlan:
    """Return the plan of a column of numbers or dates with what its values call for."""
    rule, missing = plan.rule, tally.rows - tally.present
    assert isinstance(rule, NumberRule | DateRule)
    rule = replace(rule, missing=tally.median, indicator=rule.indicator or missing > 0)
    plan = replace(plan, rule=rule, fill="median")
    if not recognized:
        return plan
    if tally.present == 0:
        return replace(plan, left_out=describing.NO_VALUE, can_be_read=False)
    if tally.low == tally.high and abs(tally.low) < _EXACT and not missing:
        value = describing.value_text(tally.low, rule.kind)
        return replace(plan, left_out=f"{describing.ONE_VALUE}: {value}")
    if rule.kind == "date":
        return replace(plan, parts=varying_parts(tally.sample))
    # Data frames store integers, of which some are missing, as floats.
    whole = whole or (missing > 0 and tally.are_whole)
    return replace(plan, left_out=identifies_rows(plan.name, tally, rows)) if whole else plan


def _chosen(
    rows: Rows, plans: Sequence[ColumnPlan], useless: Sequence[ColumnDecision]
) -> tuple[list[ColumnPlan], list[ColumnDecision]]:
    """Return the plans of the columns that are learned from, and why the others are left out.

    Where all would be left out, those that can be read are kept, with a warning.
    """
    kept = [plan for plan in plans if not plan.left_out]
    if not kept:
        kept = [_only(plan) for plan in plans if plan.can_be_read]
    names = {plan.name for plan in kept}
    out = [describing.left_out(p.name, p.left_out, p.warning) for p in plans if p.name not in names]
    if not kept:
        reasons = [
            f"{printable(d.name)} ({'; '.join(filter(None, (d.treatment, d.warning)))})"
            for d in (*useless, *out)
        ]
        raise DataError(f"{rows.where}: no column can be learned from: {list_names(reasons)}")
    return kept, [*useless, *out]


def _only(plan: ColumnPlan) -> ColumnPlan:
    """Return the plan of a column that would be left out beside others."""
    warning = f"is learned from only since there is no other: {plan.left_out}"
    warnings = "; ".join(filter(None, (warning, plan.warning)))
    return replace(plan, left_out="", warning=warnings)
