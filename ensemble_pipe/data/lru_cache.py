"""What is kept of things that can be made again: those used last, within a number of bytes."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Values by key; where they outgrow the bound, those used longest ago are forgotten.

    Attributes:
        nbytes: of the values kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return a value, which now is the one used last; None where it is not kept."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: K, value: V, nbytes: int) -> None:
        """Keep a value of so many bytes, and forget others until all are within the bound."""
        if key in self._values:
            self.nbytes -= self._values.pop(key)[1]
        self._values[key] = (value, nbytes)
        self.nbytes += nbytes
        while self.nbytes > self._limit and self._values:
            _, (_, size) = self._values.popitem(last=False)
            self.nbytes -= size
