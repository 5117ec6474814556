"""How training is ended before its end: what it asks after each step or round."""

from collections.abc import Callable

# halted() returns whether training is to end after the step or round in progress.
Halted = Callable[[], bool]


def never() -> bool:
    """Return False: training goes on to its end."""
    return False
