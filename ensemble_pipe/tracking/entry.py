"""The fields that journal entries of several kinds share."""

import time
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from pydantic import Strict

from ensemble_pipe.core.documents import Count

# To the end of the year 9999, the last that a calendar shows.
Milliseconds = Annotated[int, Strict(), Ge(0), Le(253_402_300_799_000)]


def _now_ms() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True)
class JournalEntry:
    """The fields of every kind.

    Attributes:
        kind: its name in the journal.
        time_ms: of the event, in milliseconds since 1970.
    """

    kind: ClassVar[str]
    time_ms: Milliseconds = field(default_factory=_now_ms, kw_only=True)


@dataclass(frozen=True)
class OfLearner(JournalEntry):
    """The fields of every kind that is about one learner."""

    learner: Count


@dataclass(frozen=True)
class OfMember(OfLearner):
    """The fields of every kind that is about one member, by its number within its learner."""

    number: Count


def without_time(entry: JournalEntry) -> dict[str, Any]:
    """Return the values of an entry, but for when it was made."""
    return {name: value for name, value in asdict(entry).items() if name != "time_ms"}
