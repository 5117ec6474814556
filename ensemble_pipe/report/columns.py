"""The report's sections on the columns of a table: what is done to each, and its importance."""

from collections.abc import Sequence
from itertools import groupby

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.features import CategoryColumn, Column
from ensemble_pipe.report.page import NOTHING, Html, bar, element, folded, table
from ensemble_pipe.tracking.run_summary import RunSummary
from ensemble_pipe.tracking.schemas import Rise

MOST_COLUMNS = 200


def columns(schema: Schema) -> Html:
    """Return what is done to each column; nothing for images.

    Neighbours that are treated alike stand together. Schemas of earlier versions have no decisions,
    so that the rules of their columns are shown.
    """
    head: tuple[str, ...]
    named: list[tuple[str, tuple[str, ...]]]
    if schema.decisions:
        head = ("column", "kind", "what is done to it")
        named = [(one.name, (one.kind, _treatment(one))) for one in schema.decisions]
    else:
        head = ("column", "kind", "missing value", "encoded as")
        named = [(column.name, _rule(column)) for column in schema.columns]
    if not named:
        return NOTHING
    rows: list[Sequence[str]] = []
    for treated, group in groupby(named, lambda pair: pair[1]):
        names = [name for name, _ in group]
        if len(names) > 3:
            names = [f"{names[0]} ... {names[-1]} ({len(names)} columns)"]
        rows += [(name, *treated) for name in names]
    return Html(table(head, rows[:MOST_COLUMNS]) + _more(len(rows)))


def importance(run: RunSummary) -> Html:
    """Return by how much the loss rises without the values of each column."""
    found = run.importance
    if found is None:
        return NOTHING
    highest = max((one.nll[0] or 0.0 for one in found.columns), default=0.0)
    moves = "accuracy falls by" if found.measure == "accuracy" else "RMSE rises by"
    head = ("column", "NLL rises by", "from", "to", moves, element("div", "", kind="bars"))
    rows = [
        (one.name, *one.nll, one.score[0], _share(one.nll, highest))
        for one in found.columns[:MOST_COLUMNS]
    ]
    note = (
        f"The values of a column are permuted over {found.rows:,} rows that the members have not "
        f"seen, {found.repeats} times; from and to are the ends of the 95% interval over rows. A "
        "column without a bar is within noise. Of columns that say the same, each may be "
        "unimportant alone."
    )
    return folded(
        "As numbers", table(head, rows), _more(len(found.columns)), element("p", note, kind="note")
    )


def _share(rise: Rise, highest: float) -> Html:
    """Return a bar for a rise that is above 0 with its whole interval."""
    estimate, low, _ = rise
    if estimate is None or low is None or low <= 0:
        return NOTHING
    return bar(0.0, estimate / highest)


def _more(count: int) -> Html:
    more = count - MOST_COLUMNS
    return element("p", f"and {more} more", kind="note") if more > 0 else NOTHING


def _treatment(decision: ColumnDecision) -> str:
    return "; ".join(filter(None, (decision.treatment, decision.warning)))


def _rule(column: Column) -> tuple[str, ...]:
    if isinstance(column, CategoryColumn):
        count = len(column.categories)
        unseen = "refused" if column.unseen == "error" else "ignored"
        encoded = f"{column.encode.replace('_', '-')} of {count} categories; unseen ones {unseen}"
        if column.fill is None:
            return column.kind, "refused", encoded
        return column.kind, repr(column.fill) if column.fill else "a category of its own", encoded
    missing = "refused" if column.fill is None else f"becomes {column.offset + column.fill:.6g}"
    encoded = "number, and whether it was missing" if column.indicator else "number"
    return column.kind, missing, encoded
