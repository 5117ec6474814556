"""Liveness check of the processes that a Ray cluster depends on: raylet and head.

Ray's library ends its process without a message where the raylet is gone (within seconds) or the
head of the cluster (after 60 s). Hence both are checked while a run waits.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress

from ensemble_pipe.core.errors import ClusterError

CONNECT_TIMEOUT_S = 5.0
# Where the head may come back, as one with a Redis behind it does.
HEAD_GRACE_S = 30.0


class Peer:
    """A process that listens at an address, alive as long as a connection to it stays open.

    A closed connection is opened again, since servers close idle connections.
    """

    def __init__(self, host: str, port: int, grace_s: float = 0.0) -> None:
        self._address = (host, port)
        self._grace_s = grace_s
        self._seen = time.monotonic()
        self._connection: socket.socket | None = None

    def lives(self) -> bool:
        """Return whether it was reachable within the grace period."""
        if self._stands() or self._open():
            self._seen = time.monotonic()
            return True
        return time.monotonic() - self._seen < self._grace_s

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _stands(self) -> bool:
        if self._connection is None:
            return False
        try:
            while self._connection.recv(1 << 16):
                pass
        except BlockingIOError:
            return True
        except OSError:
            pass  # a connection that broke is closed like one that was ended
        self.close()
        return False

    def _open(self) -> bool:
        with suppress(OSError):
            self._connection = socket.create_connection(self._address, CONNECT_TIMEOUT_S)
            self._connection.setblocking(False)
        return self._connection is not None


class Liveness:
    """The raylet of this node, the head of the cluster, and what is borrowed of it."""

    def __init__(
        self,
        raylet: tuple[str, int],
        head: tuple[str, int],
        is_lent: Callable[[], bool] | None = None,
    ) -> None:
        self._is_lent = is_lent
        self._raylet = Peer(*raylet)
        self._head = Peer(*head, HEAD_GRACE_S)

    def check(self) -> None:
        """Check that the cluster is still usable.

        Raises:
            ClusterError: one of them is gone.
        """
        if self._is_lent is not None and not self._is_lent():
            raise ClusterError(
                "the Ray that stays was stopped; `ensemble-pipe resume` continues from the last "
                "checkpoints, on a Ray of its own"
            )
        for peer, name in ((self._raylet, "raylet"), (self._head, "head process (gcs_server)")):
            if not peer.lives():
                raise ClusterError(
                    f"Ray's {name} is gone: it was killed, perhaps for want of memory, or the "
                    "cluster was stopped; `ensemble-pipe resume` continues from the last "
                    "checkpoints, and `--inline` does without Ray"
                )

    def close(self) -> None:
        self._raylet.close()
        self._head.close()
