"""What to do when a trainer dies: a pure function, so that it can be tested without a cluster."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Decision:
    """Whether a stack is tried again, and what to tell a person."""

    action: Literal["retry", "give_up"]
    reason: str


def decide(deaths: int, retries: int, cause: str) -> Decision:
    """Decide about a stack whose trainer has died `deaths` times, this time of `cause`.

    >>> decide(1, 2, "killed").action, decide(3, 2, "killed").action
    ('retry', 'give_up')
    """
    if deaths <= retries:
        return Decision("retry", f"a trainer died ({cause}); its stack goes on in a new one")
    return Decision(
        "give_up",
        f"a stack lost its trainer {deaths} times, the last time because: {cause}; what is "
        "finished is kept, and `ensemble-pipe resume` goes on from the last checkpoints",
    )
