"""Stable hashes of names, and counts of distinct names in bounded memory."""

import heapq
from hashlib import blake2b

_SIZE = 1024  # names kept: the number of distinct ones is known to 3%


def hash_name(name: str) -> int:
    """Return a hash of 64 bits of a name, the same on every machine and in every run.

    >>> hash_name("Paris") % 8192
    4132
    """
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())


class NameCounts:
    """Exact counts of the names with the least hashes: all names, or a random sample of them.

    The number of distinct names is that of Bar-Yossef et al. 2002, "Counting distinct elements in a
    data stream", algorithm 2; it is exact up to 1024.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []  # of negative hashes: the greatest comes first

    def add(self, name: str, count: int) -> None:
        """Count a name, which has been counted before or not, so many times more."""
        if name in self._counts:
            self._counts[name] += count
            return
        entry = (-hash_name(name), name)
        if len(self._heap) < _SIZE:
            heapq.heappush(self._heap, entry)
            self._counts[name] = count
        elif entry > self._heap[0]:
            self._counts.pop(heapq.heapreplace(self._heap, entry)[1])
            self._counts[name] = count

    @property
    def distinct(self) -> int:
        """The number of distinct names."""
        if len(self._heap) < _SIZE:
            return len(self._heap)
        return int((_SIZE - 1) * 2.0**64 / -self._heap[0][0])

    @property
    def highest(self) -> int:
        """The count of the most frequent name among those kept."""
        return max(self._counts.values(), default=0)

    @property
    def first(self) -> str | None:
        """One of the names; None where there is none."""
        return min(self._counts, default=None)
