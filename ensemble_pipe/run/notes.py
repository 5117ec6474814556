"""What is found of a run from outside of its training, for its journal."""

from ensemble_pipe.tracking.journal import Journal
from ensemble_pipe.tracking.kinds import KnownEntry


class Notes:
    """Keeps entries until the journal of the run is open, and appends them there from then on."""

    def __init__(self) -> None:
        self._held: list[KnownEntry] = []
        self._journal: Journal | None = None

    def append(self, entry: KnownEntry) -> None:
        if self._journal is None:
            self._held.append(entry)
        else:
            self._journal.append(entry)

    def open(self, journal: Journal) -> None:
        """Append what is kept, and all that comes."""
        self._journal = journal
        for entry in self._held:
            journal.append(entry)
        self._held.clear()
