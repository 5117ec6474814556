"""The steps of the check that a run takes itself, in its journal and its report."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ensemble_pipe.tracking.entry import JournalEntry
from ensemble_pipe.tracking.page import Html, element, table


@dataclass(frozen=True)
class CheckedEntry(JournalEntry):
    """A step of the check that the run itself took.

    Attributes:
        title: what was looked at.
        verdict: in words.
        warnings: names of the kinds of findings that were warned of, and sentences on them.
        notes: the same of what is dealt with anyway.
    """

    kind = "checked"
    title: str
    verdict: str
    warnings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The step in a line."""
        names = ", ".join(name for name, _ in self.warnings)
        return f"{self.verdict}; warnings: {names}" if names else self.verdict


def checked(entries: Sequence[CheckedEntry]) -> Html:
    """Return a table of the steps, and what they found."""
    if not entries:
        return Html("")
    rows = [("!!" if one.warnings else "ok", one.title, one.verdict) for one in entries]
    warnings = [element("p", text, kind="warning") for one in entries for _, text in one.warnings]
    notes = [element("p", text, kind="note") for one in entries for _, text in one.notes]
    return Html(table(("", "step", "verdict"), rows) + Html("".join([*warnings, *notes])))
