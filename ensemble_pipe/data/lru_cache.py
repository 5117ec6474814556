"""A least recently used (LRU) cache, bounded by the bytes of its values."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """A cache that evicts the least recently used values where it exceeds its bound.

    Attributes:
        nbytes: of the cached values.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return a value and mark it as the most recently used; None where it is not cached."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: K, value: V, nbytes: int) -> None:
        """Add a value of so many bytes, and evict others until all are within the bound."""
        if key in self._values:
            self.nbytes -= self._values.pop(key)[1]
        self._values[key] = (value, nbytes)
        self.nbytes += nbytes
        while self.nbytes > self._limit and self._values:
            _, (_, size) = self._values.popitem(last=False)
            self.nbytes -= size
