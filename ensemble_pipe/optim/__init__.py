"""Update rules and schedules."""

from ensemble_pipe.optim.rules import SGD, Adam
from ensemble_pipe.optim.schedules import Constant, Cosine, Snapshot

__all__ = [
    "RULES",
    "SCHEDULES",
    "SGD",
    "Adam",
    "Constant",
    "Cosine",
    "Rule",
    "Schedule",
    "Snapshot",
]

Rule = SGD | Adam
Schedule = Constant | Cosine | Snapshot

RULES: dict[str, type[Rule]] = {"sgd": SGD, "adam": Adam}
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "cosine": Cosine,
    "snapshot": Snapshot,
}
