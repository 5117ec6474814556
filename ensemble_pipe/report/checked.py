"""The report's section on the steps of the check that the run itself took."""

from collections.abc import Sequence

from ensemble_pipe.report.page import NOTHING, Html, element, joined, table
from ensemble_pipe.tracking.checked import CheckedEntry


def checked(entries: Sequence[CheckedEntry]) -> Html:
    """Return a table of the steps, and what they found."""
    if not entries:
        return NOTHING
    rows = [("!!" if one.warnings else "ok", one.title, one.verdict) for one in entries]
    warnings = [element("p", text, kind="warning") for one in entries for _, text in one.warnings]
    notes = [element("p", text, kind="note") for one in entries for _, text in one.notes]
    return joined([table(("", "step", "verdict"), rows), *warnings, *notes])
