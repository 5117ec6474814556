"""How a run borrows the trainers of a Ray that stays: by a connection to its keeper."""

import json
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Client,
    Connection,
    answer_challenge,
    deliver_challenge,
)
from typing import Any

from ensemble_pipe.core.errors import ClusterError

ASK_EVERY_S = 0.2
ANSWER_TIMEOUT_S = 30.0


def limit_silence(connection: Connection, seconds: float) -> None:
    """Have a connection raise OSError where the other side says nothing for so long; 0 for ever."""
    limit = struct.pack("ll", int(seconds), 0)
    with socket.socket(fileno=os.dup(connection.fileno())) as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def hang_up(connection: Connection) -> None:
    """End a connection that another thread may be waiting at."""
    with (
        suppress(OSError),
        socket.socket(fileno=os.dup(connection.fileno())) as shared,
    ):
        shared.shutdown(socket.SHUT_RDWR)


class Lease:
    """A connection to the process that keeps Ray; what it has lent ends with the connection."""

    def __init__(self, address: str, port: int, key: str) -> None:
        """Connect.

        Args:
            address: of Ray.
            port, key: of the process that keeps it, see `standing.Standing`.

        Raises:
            ClusterError: the process does not answer.
        """
        secret = bytes.fromhex(key)
        self.address = address
        try:
            self._connection: Connection = Client(("127.0.0.1", port))
            limit_silence(self._connection, ANSWER_TIMEOUT_S)
            answer_challenge(self._connection, secret)
            deliver_challenge(self._connection, secret)
        except (OSError, EOFError, AuthenticationError) as error:
            raise ClusterError(
                f"the Ray that stays does not answer ({error}); `ensemble-pipe down` stops it"
            ) from None

    def borrow(
        self, most: int, say: Callable[[str], None], abandoned: Callable[[], bool]
    ) -> list[str]:
        """Return the names of trainers, from one to as many as are wanted.

        Where other runs have them all, wait until one gives some back.

        Args:
            most: how many are wanted.
            say: tells the user what is waited for.
            abandoned: whether to wait no longer.
        """
        waited = False
        while not abandoned():
            answer = self._ask(lend=most, pid=os.getpid())
            if answer["trainers"]:
                return list(answer["trainers"])
            if not waited:
                others = ", ".join(str(pid) for pid in answer["borrowers"])
                say(f"all trainers are lent to other runs (process {others}); waiting for one")
            waited = True
            time.sleep(ASK_EVERY_S)
        return []

    def give_back(self) -> None:
        """Give back trainers that are idle; those that may be at work end with the connection."""
        self._ask(take_back=True)

    def stands(self) -> bool:
        """Return whether the other side still holds the connection, on which it only answers."""
        try:
            return not self._connection.poll(0)
        except OSError:
            return False

    def stop(self) -> list[int]:
        """Stop the Ray that stays; return the processes of the runs that use it."""
        return list(self._ask(stop=True)["borrowers"])

    def close(self) -> None:
        self._connection.close()

    def _ask(self, **question: Any) -> dict[str, Any]:
        try:
            self._connection.send_bytes(json.dumps(question).encode())
            answer: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (OSError, EOFError):
            raise ClusterError(
                "the Ray that stays was stopped, or does not answer; `ensemble-pipe resume` "
                "continues without it"
            ) from None
        return answer
