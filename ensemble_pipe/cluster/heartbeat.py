"""The heartbeat of trainers at work: which of them have answered nothing for too long.

Ray notices a process that has ended, not one that was stopped, or whose machine does not get on.
"""

import time
from collections.abc import Collection
from typing import Any

import ray

EVERY_S = 5.0
# Longer than any single call of training keeps Python from answering.
LOST_AFTER_S = 120.0


class Heartbeats:
    """Asks trainers again and again whether they are there.

    What is counted is how often a trainer was found silent, not the time: where the driver itself
    was stopped, no trainer is lost for it.
    """

    def __init__(self) -> None:
        self._asked: dict[Any, Any] = {}
        self._missed: dict[Any, int] = {}
        self._looked = time.monotonic()

    def lost(self, actors: Collection[Any]) -> list[Any]:
        """Return those of the trainers at work that have been silent too long; call it often."""
        now = time.monotonic()
        if now - self._looked < EVERY_S:
            return []
        self._looked = now
        self._asked = {actor: self._asked.get(actor) for actor in actors}
        self._missed = {actor: self._missed_now(actor) for actor in actors}
        return [actor for actor, missed in self._missed.items() if missed * EVERY_S > LOST_AFTER_S]

    def _missed_now(self, actor: Any) -> int:
        """Return how often in a row a trainer has not answered, and ask it again if it has."""
        asked = self._asked[actor]
        if asked is not None and not ray.wait([asked], timeout=0)[0]:
            return self._missed.get(actor, 0) + 1
        self._asked[actor] = actor.answer.remote()
        return 0
