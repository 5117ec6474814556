"""The cursor: a record in the run directory of what MLflow has received of the run."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ensemble_pipe.core.documents import Count, read_json, validate_as
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import write_summed_json


@dataclass
class Cursor:
    """A record of what MLflow has received of one run.

    Attributes:
        uri: the store, its secrets hidden; a run stays with the one it began in.
        offset: bytes of the journal.
        parent, children: MLflow run ids; children by learner.
        epochs: last epoch sent, by learner.
        members: size of the largest ensemble sent.
        once: entries that are sent only once, by name.
        ended: final statuses that were sent, by learner; "" of one that an earlier version sent.
        left_out: reasons why MLflow will never have something, by its description.
        model_uri, model_sums: of the model that was logged.
        sendings: how often something was sent; see `sendings`.
        samples: number of samples of the machine that were sent.
    """

    uri: str | None = None
    offset: Count = 0
    parent: str | None = None
    children: dict[str, str] = field(default_factory=dict)
    epochs: dict[str, Count] = field(default_factory=dict)
    members: Count = 0
    once: list[str] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    model_uri: str | None = None
    model_sums: dict[str, str] = field(default_factory=dict)
    sendings: Count = 0
    samples: Count = 0

    def take(self, name: str) -> bool:
        """Return whether an entry is to be sent, now and never again."""
        if name in self.once:
            return False
        self.once.append(name)
        return True

    @classmethod
    def load(cls, path: Path) -> "Cursor":
        """Read a saved cursor; return a fresh one where there is no file.

        Raises:
            CorruptFileError: the file holds something else.
        """
        if not path.exists():
            return cls()
        try:
            values = read_json(path, dict[str, Any])
            if isinstance(values.get("ended"), list):  # written by an earlier version
                values["ended"] = {str(learner): "" for learner in values["ended"]}
            return validate_as(values, cls, str(path))
        except CorruptFileError as error:
            raise CorruptFileError(f"{error}, or remove it to send all anew") from None

    def save(self, path: Path) -> None:
        write_summed_json(path, asdict(self))

    def rewind(self) -> None:
        """Start again at the beginning of the journal; nothing is duplicated.

        Learners that failed or were spared may be trained now; if not, they are journalled again.
        """
        self.offset = 0
        self.ended = {k: s for k, s in self.ended.items() if s == "FINISHED"}
