"""The journal entry of a step of the check that a run takes itself."""

from dataclasses import dataclass, field

from ensemble_pipe.tracking.entry import JournalEntry


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
