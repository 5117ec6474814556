"""A time limit of steps in place of seconds, so that tests end training where they mean to."""

from typing import Any

from ensemble_pipe.run.time_limit import TimeLimit


class Looks(TimeLimit):
    """A limit that is up when training has asked for it so many times."""

    def __init__(self, looks: int, seconds: float, *_: Any, **__: Any) -> None:
        self.left = looks
        super().__init__(seconds)

    def ends_training(self) -> bool:
        if not self.is_set:
            return False
        self.left -= 1
        return self.left <= 0

    def require_start(self) -> None:
        return None

    def allows(self, seconds: float) -> bool:
        return not self.is_set
