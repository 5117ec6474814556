"""The process that keeps a Ray with warm trainers, and lends them to runs: see `cluster.standing`.

A trainer that is given back after its work is lent again. One whose run ended otherwise, be it
killed, may still be at work: it is ended, and another takes its place.
"""

import json
import secrets
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from typing import Any

import psutil
import ray

from ensemble_pipe.cluster.connection import connect, disconnect, liveness
from ensemble_pipe.cluster.lease import hang_up, limit_silence
from ensemble_pipe.cluster.ray import pool_size
from ensemble_pipe.cluster.standing import (
    NAMESPACE,
    Standing,
    remove_state,
    versions,
    write_state,
)
from ensemble_pipe.cluster.trainer import Trainer
from ensemble_pipe.core.errors import ClusterError

LOOK_EVERY_S = 0.5
# Borrowers notice within a fraction of a second, and end their run in order.
LEAVE_S = 3.0
# A new trainer answers when it is warm, which takes seconds; one that died says so at once.
ANSWER_TIMEOUT_S = 20.0
ADMISSION_TIMEOUT_S = 5.0


class Keeper:
    """Trainers by name: idle ones, and those that each connection has borrowed."""

    def __init__(self, trainers: int) -> None:
        """Start trainers; return when all are warm."""
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._actors: dict[str, Any] = {}
        self._borrowers: dict[Connection, int] = {}
        self._idle = [self._new() for _ in range(trainers)]
        ray.get([actor.forget.remote() for actor in self._actors.values()])

    def dismiss(self) -> None:
        """Tell the borrowers that the loan ends, and wait until they have left Ray."""
        self.stopped.set()
        with self._lock:
            borrowers = dict(self._borrowers)
        for connection in borrowers:
            hang_up(connection)
        if borrowers:
            time.sleep(LEAVE_S)

    def serve(self, connection: Connection) -> None:
        """Answer a process until it closes its connection or ends."""
        lent: list[str] = []
        try:
            with suppress(OSError, EOFError):  # which say that the process has ended
                while True:
                    question = json.loads(connection.recv_bytes())
                    answer = self._answer(question, connection, lent)
                    connection.send_bytes(json.dumps(answer).encode())
        finally:
            with self._lock:
                self._borrowers.pop(connection, None)
                if not self.stopped.is_set():
                    self._idle += [self._renew(name) for name in lent]

    def _answer(
        self, question: dict[str, Any], connection: Connection, lent: list[str]
    ) -> dict[str, Any]:
        with self._lock:
            match question:
                case {"lend": most, "pid": pid}:
                    self._idle = [self._checked(name) for name in self._idle]
                    lent += self._idle[:most]
                    del self._idle[:most]
                    if lent:
                        self._borrowers[connection] = pid
                case {"take_back": True}:
                    self._idle += [self._checked(name) for name in lent]
                    lent.clear()
                    self._borrowers.pop(connection, None)
                case {"stop": True}:
                    self.stopped.set()
            return {"trainers": lent, "borrowers": list(self._borrowers.values())}

    def _checked(self, name: str) -> str:
        """Return a trainer's name if it lives and is idle, else that of a new one."""
        try:
            ray.get(self._actors[name].forget.remote(), timeout=ANSWER_TIMEOUT_S)
        except ray.exceptions.RayError:
            return self._renew(name)
        return name

    def _renew(self, name: str) -> str:
        ray.kill(self._actors.pop(name))
        return self._new()

    def _new(self) -> str:
        name = secrets.token_hex(8)
        kind: Any = Trainer
        # It asks for no CPU: a run that brings actors of its own needs those.
        options = {"name": name, "namespace": NAMESPACE, "num_cpus": 0}
        self._actors[name] = kind.options(**options).remote()
        return name


def keep(trainers: int | None) -> None:
    """Keep a Ray until this process is told to stop, or Ray ends.

    Args:
        trainers: how many are warm; None for one for each CPU.

    Raises:
        ClusterError: Ray cannot be started, or has ended.
    """
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    connect("local")
    try:
        alive = liveness()
        count = pool_size(trainers, 1)
        keeper = Keeper(count)
        key = secrets.token_bytes(32)
        with Listener(("127.0.0.1", 0), backlog=8) as listener:
            threading.Thread(target=_accept, args=(listener, keeper, key), daemon=True).start()
            write_state(_description(listener.address[1], key, count))
            while not (keeper.stopped.wait(LOOK_EVERY_S) or told.is_set()):
                alive.check()
            keeper.dismiss()
    finally:
        remove_state()
        disconnect()


def _accept(listener: Listener, keeper: Keeper, key: bytes) -> None:
    """Accept connections, each with a thread of its own, as long as this process lives."""
    while True:
        try:
            arguments = (keeper, listener.accept(), key)
        except OSError:  # too many open files, for example
            time.sleep(LOOK_EVERY_S)
            continue
        threading.Thread(target=_admit, args=arguments, daemon=True).start()


def _admit(keeper: Keeper, connection: Connection, key: bytes) -> None:
    """Serve a process that has the key."""
    with connection:
        try:
            limit_silence(connection, ADMISSION_TIMEOUT_S)
            deliver_challenge(connection, key)
            answer_challenge(connection, key)
            limit_silence(connection, 0)
        except (AuthenticationError, OSError, EOFError):
            return
        keeper.serve(connection)


def _description(port: int, key: bytes, trainers: int) -> Standing:
    process, context = psutil.Process(), ray.get_runtime_context()
    return Standing(
        address=context.gcs_address,
        session=context.get_session_name(),
        pid=process.pid,
        began=process.create_time(),
        port=port,
        key=key.hex(),
        trainers=trainers,
        versions=versions(),
    )


if __name__ == "__main__":
    try:
        keep(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    except ClusterError as problem:
        with suppress(OSError):
            print(problem, file=sys.stderr)
        sys.exit(1)
