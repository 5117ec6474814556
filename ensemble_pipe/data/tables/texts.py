"""Check of text columns used as numbers, with all invalid columns in one error."""

import pyarrow as pa

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.arrow_types import is_text, to_plain
from ensemble_pipe.data.tables.cells import first_text, kind_of_text
from ensemble_pipe.data.tables.columns import NumberRule, Roles, rule_error


def require_numbers(rows: Rows, roles: Roles) -> None:
    """Check that numeric features have no text that is no number, in any row.

    Raises:
        DataError: names each such column, and the first text of the first.
    """
    names = [name for name in roles.features if _is_text_for_numbers(rows, roles, name)]
    found: dict[str, tuple[str, str]] = {}
    for first, block in rows.blocks(names) if names else ():
        for name in (name for name in names if name not in found):
            text = first_text(block.column(name), roles.missing)
            if text is not None:
                found[name] = (rows.cells(name)(first + text[0]), text[1])
        if len(found) == len(names):
            break
    if found:
        raise _refusal({name: found[name] for name in names if name in found})


def _is_text_for_numbers(rows: Rows, roles: Roles, name: str) -> bool:
    kind = to_plain(pa.nulls(0, rows.schema.field(name).type)).type
    return is_text(kind) and isinstance(roles.rule(name), NumberRule)


def _refusal(found: dict[str, tuple[str, str]]) -> DataError:
    (name, (place, text)), *others = found.items()
    advice = "declare it by {}, or leave its rule out"
    if others:
        more = list_names([quote(other) for other, _ in others])
        advice += f"; {more} {'hold' if len(others) > 1 else 'holds'} text too"
    return rule_error(
        f"{place}: {quote(text)} is not a number", name, f"kind: {kind_of_text(text)}", advice
    )
