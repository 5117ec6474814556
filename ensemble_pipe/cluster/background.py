"""A thread that starts Ray or finds it, keeps the connection, and ends it."""

import threading
from collections.abc import Callable

from ensemble_pipe.cluster.connection import StartAbandonedError, connect, disconnect
from ensemble_pipe.core.timeline import Timeline

LOOK_EVERY_S = 0.1


class RayThread:
    """Connects to Ray while the caller does something else.

    The thread lives as long as the connection, since the kernel ends processes that Ray starts with
    the thread that started them.
    """

    def __init__(
        self,
        address: str,
        begin: Callable[[Callable[[], bool]], None],
        end: Callable[[bool], None],
        timeline: Timeline,
    ) -> None:
        """Begin to connect.

        Args:
            address: see `connect`.
            begin: called in the thread as soon as Ray is there, with a function that returns
                whether nobody waits any more.
            end: called in the thread at its end, with whether it then disconnects.
            timeline: where the connection is recorded as the stage "Ray".
        """
        self._address = address
        self._begin, self._end = begin, end
        self._timeline = timeline
        self._error: BaseException | None = None
        self._there = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="Ray", daemon=True)
        self._thread.start()

    def wait(self, halted: Callable[[], bool] = lambda: False) -> bool:
        """Wait until Ray is there, or nobody needs it any more; return whether it is there.

        Args:
            halted: asked now and then, whether to wait no longer.

        Raises:
            ClusterError: see `connect`, and whatever `begin` raises.
        """
        while not self._there.wait(LOOK_EVERY_S):
            if halted():
                return False
        if self._error is not None:
            raise self._error
        return True

    def end(self) -> None:
        """Begin to disconnect, without waiting; a start under way is given up."""
        self._ended.set()

    def close(self) -> None:
        """Disconnect; return when that is done."""
        self.end()
        self._thread.join()

    def _run(self) -> None:
        started = False
        try:
            with self._timeline.stage("Ray"):
                started = connect(self._address, self._ended.is_set)
            self._begin(self._ended.is_set)
        except StartAbandonedError:
            pass  # nobody waits for it any more
        except BaseException as error:  # raised where Ray is waited for
            self._error = error
        finally:
            self._there.set()
        self._ended.wait()
        self._end(started)
        if started:
            disconnect()
