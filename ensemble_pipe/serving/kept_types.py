"""Types of kept columns of a file without types, such as CSV: numbers and dates, where all are."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.sources.text_columns import MISSING, cast_all, null_where_missing

# Texts that a number does not give back: 007 and +49 are codes.
_CODE = r"^([+-]?0[0-9]|\+)"
# Dates and times of ISO 8601, without a zone: of whole columns, the first that fits.
_DATES = (
    (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", pa.date32()),
    (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$",
     pa.timestamp("us")),
)  # fmt: skip


def kept_types(rows: Rows, names: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the type of each column that has another than text; nothing where the file has types.

    The columns are read once more for that: one value that is a code, such as 007, makes a column
    of numbers one of text.

    Args:
        rows: of the file.
        names: of the columns.
    """
    known = [name for name in names if name in rows.schema.names]
    if rows.rewritten is None or not known:
        return {}
    own = rows.as_written([]).schema
    found = {name: _candidates(own.field(name).type) for name in known}
    values = dict.fromkeys(known, False)
    for _, block in rows.as_written(known).blocks(known):
        for name, column in zip(known, block.columns, strict=True):
            texts = without_missing(column).drop_null()
            values[name] |= len(texts) > 0
            found[name] = [kind for kind in found[name] if _fits(texts, kind)]
    return {name: kinds[0] for name, kinds in found.items() if kinds and values[name]}


def without_missing(texts: pa.Array) -> pa.Array:
    """Return texts without blanks around them, and null where they mean a missing value."""
    return null_where_missing(pc.ascii_trim_whitespace(texts), MISSING)


def _candidates(inferred: pa.DataType) -> list[pa.DataType]:
    if inferred == pa.string():
        return [kind for _, kind in _DATES]
    return [] if pa.types.is_null(inferred) else [inferred]


def _fits(texts: pa.Array, kind: pa.DataType) -> bool:
    """Return whether texts, none of them missing, are all values of a type."""
    if pa.types.is_boolean(kind):
        return True
    if not pa.types.is_temporal(kind):
        return not pc.any(pc.match_substring_regex(texts, _CODE)).as_py()
    form = next(form for form, other in _DATES if other == kind)
    is_form = pc.all(pc.match_substring_regex(texts, form)).as_py()
    return is_form is not False and cast_all(texts, kind) is not None
