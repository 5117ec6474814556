"""Findings and steps of a check: what was looked at, the verdict, and what to change."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

# A warning is about a result that will be wrong or poor; a note about what is dealt with, or known.
DATA = "data"  # the title of the step that looks at it
Level = Literal["warning", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that a check has found.

    Attributes:
        name: of its kind, such as "duplicate-columns".
        text: a sentence on what was found, and where.
        level: whether it is a warning or a note.
        change: what to set instead, by path in the pipeline; empty where that is not for a check to
            say.
    """

    name: str
    text: str
    level: Level = "warning"
    change: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A step of the check.

    Attributes:
        title: what was looked at.
        verdict: in words.
        findings: of the step.
        measured: its numbers, for --json.
        is_judged: whether there was time for it.
    """

    title: str
    verdict: str
    findings: tuple[Finding, ...] = ()
    measured: dict[str, Any] = field(default_factory=dict)
    is_judged: bool = True

    @property
    def is_sound(self) -> bool:
        """Whether it is judged, without a warning."""
        return self.is_judged and not warnings_of([self])

    @property
    def mark(self) -> str:
        """Its verdict in two characters."""
        if warnings_of([self]):
            return "!!"
        return "ok" if self.is_judged else "--"


def unjudged(title: str, measured: dict[str, Any], so_far: str = "") -> Step:
    """Return a step whose time was up before it could be judged.

    Args:
        title: of the step.
        measured: what there is of its numbers.
        so_far: what can be said all the same; "" for nothing.
    """
    verdict = f"not judged: time was up{f'; {so_far}' if so_far else ''}"
    return Step(title, verdict, (), measured, is_judged=False)


def warnings_of(steps: Sequence[Step]) -> list[Finding]:
    """Return the warnings of all steps, in order."""
    return [f for step in steps for f in step.findings if f.level == "warning"]
