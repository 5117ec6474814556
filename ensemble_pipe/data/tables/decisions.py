"""What is done to each source column: the decisions that a schema keeps, and their text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap
from typing import Literal

from ensemble_pipe.core.messages import printable, quote, truncate

DecisionKind = Literal["number", "date", "category", "left out"]
_WIDTH = 100
_MOST_NAMES = 40
_FAMILY = 3


@dataclass(frozen=True)
class ColumnDecision:
    """What is done to one source column, as shown before training and in the report.

    Attributes:
        name: of the column.
        kind: how it is read, or "left out".
        treatment: a plain phrase, such as "scaled, and one-hot for 16 frequent values; missing
            values (177) become the median 28, with an indicator", or why it is left out.
        alike: what it has in common with the columns that are listed together with it.
        missing: what is done to the missing values of the training part; empty for none.
        warning: what the user should know of the column, in words behind its name; empty for
            nothing.
    """

    name: str
    kind: DecisionKind
    treatment: str
    alike: str = ""
    missing: str = ""
    warning: str = ""


def decision_lines(decisions: Sequence[ColumnDecision]) -> list[str]:
    """Return the decisions as lines of text, alike columns together, and warnings last.

    >>> ages = ColumnDecision("age", "number", "scaled", "scaled", "177 (median 28, an indicator)")
    >>> decision_lines([ages, ColumnDecision("fare", "number", "scaled", "scaled")])[1:]
    ['  number, scaled: age, fare', 'missing values: age 177 (median 28, an indicator)']
    """
    if not decisions:
        return []
    groups: dict[tuple[str, str], list[str]] = {}
    for decision in sorted(decisions, key=lambda d: _ORDER.index(d.kind)):
        groups.setdefault((decision.kind, decision.alike), []).append(_short(decision.name))
    out = len([decision for decision in decisions if decision.kind == "left out"])
    lines = [f"columns: {len(decisions) - out} learned from, {out} left out"]
    for (kind, alike), names in groups.items():
        lines += _wrapped(f"  {kind}, {alike}: " if alike else f"  {kind}: ", names)
    missing = [f"{_short(d.name)} {d.missing}" for d in decisions if d.missing]
    lines += _wrapped("missing values: ", missing) if missing else []
    for decision in decisions:
        if decision.warning:
            lines += _wrapped_text(f"warning: {warning_text(decision)}")
    return lines


def warning_text(decision: ColumnDecision) -> str:
    """Return the warning of a decision that has one, with the name of its column."""
    return f"column {quote(decision.name)} {decision.warning}"


_ORDER = ("number", "date", "category", "left out")


def _short(name: str) -> str:
    return truncate(printable(name), 30) if name.strip() else repr(name)


def list_families(names: Sequence[str]) -> list[str]:
    """Return names, with neighbours that differ only in their number, such as x0 and x1, as one.

    >>> list_families(["a", "x1", "x2", "x3", "b7"])
    ['a', 'x1 ... x3 (3)', 'b7']
    """
    found: list[str] = []
    for _, group in groupby(names, lambda name: name.rstrip("0123456789")):
        own = list(group)
        found += own if len(own) < _FAMILY else [f"{own[0]} ... {own[-1]} ({len(own)})"]
    return found


def _wrapped(head: str, names: Sequence[str]) -> list[str]:
    """Return names behind a head, in lines of `_WIDTH`; of very many the first."""
    names = list_families(names)
    shown = names[:_MOST_NAMES]
    if len(names) > _MOST_NAMES:
        shown.append(f"... ({len(names)})")
    return _wrapped_text(head + ", ".join(shown))


def _wrapped_text(text: str) -> list[str]:
    return wrap(text, _WIDTH, subsequent_indent="    ", break_long_words=False,
                break_on_hyphens=False, drop_whitespace=True)  # fmt: skip
