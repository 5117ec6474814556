"""The manifest of a run directory: what the run began with, and what it went on with since."""

from dataclasses import dataclass, field

from ensemble_pipe.core.documents import Count


@dataclass(frozen=True)
class Accepted:
    """Changes that a run went on with.

    Attributes:
        time_ms: when, in milliseconds since 1970.
        changes: one line each, such as "training.epochs: 20 -> 40".
    """

    time_ms: Count
    changes: list[str]


@dataclass(frozen=True)
class SourceFiles:
    """The state of the files at one place that a run has read its rows from.

    Attributes:
        location: absolute path of a file or folder, or a pattern.
        files, bytes: how many, and their size.
        stamp: sum of their names, sizes and times of writing.
        sha256: sum of their names and contents.
    """

    location: str
    files: Count
    bytes: Count
    stamp: str
    sha256: str


@dataclass(frozen=True)
class RunManifest:
    """The manifest of a run directory.

    Attributes:
        environment: library versions and processor when the run started, or those accepted since.
        run_id: a unique name; that of the folder when it was created.
        sums: of the files present when it started.
        accepted: the changes that it went on with, in order of time.
        data: the files that its rows were read from, by the setting of its source; as they were
            then, or when a change of them was accepted.
    """

    environment: dict[str, str]
    run_id: str
    sums: dict[str, str]
    accepted: list[Accepted] = field(default_factory=list)
    data: dict[str, SourceFiles] = field(default_factory=dict)
