"""What the process that drives a run and its companion, which ships to MLflow, say to each other.

Each message is a JSON object on a line: the driver writes an `Assignment` and, when its run has
ended, a `Finish` to the companion's standard input, the companion writes `Progress` to its standard
output. The end of its input ends the companion at once: then the driver is gone.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from ensemble_pipe.tracking.refusals import Problem

# How long a companion may be silent, in seconds, while it does what may take so long on a machine
# that is busy; a server is given up earlier.
BUSY_S = 60.0
ANSWER_S = 15.0


@dataclass(frozen=True)
class Assignment:
    """What a companion is to ship.

    Attributes:
        root: the run directory.
        uri: of the tracking server or store, with its secrets.
        experiment: its name.
        register_as: registered model that the run's model becomes a version of; None for none.
        samples: whether the machine is measured meanwhile.
    """

    root: str
    uri: str
    experiment: str
    register_as: str | None
    samples: bool


@dataclass(frozen=True)
class Finish:
    """Nothing more is added to the journal: ship the rest.

    Attributes:
        retry_s: for how long a failure is followed by another attempt, in seconds.
    """

    retry_s: float


@dataclass(frozen=True)
class Progress:
    """How far a companion is.

    Attributes:
        sent, planned: numbers of MLflow runs that all was sent of, and that there were to send.
        silence_s: how long the companion may be silent now, in seconds.
        problem: why the last attempt failed; None if it did not.
        ended: whether this is the last message.
    """

    sent: int = 0
    planned: int = 0
    silence_s: float = BUSY_S
    problem: Problem | None = None
    ended: bool = False


def line_of(message: Assignment | Finish | Progress) -> bytes:
    """Return a message as a line."""
    return json.dumps(asdict(message)).encode() + b"\n"


def progress_of(line: bytes) -> Progress:
    """Return the message on a line of a companion's output."""
    values: dict[str, Any] = json.loads(line)
    problem = values.pop("problem")
    return Progress(**values, problem=problem and Problem(**problem))
