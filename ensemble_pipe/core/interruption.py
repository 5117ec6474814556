"""Graceful interruption by signals: a run ends once, in order, never in the middle of a write.

The first signal raises KeyboardInterrupt in an interruptible block; outside of these it is deferred
to the next one. The second interrupts a long shutdown in the same way. The third ends the process
at once.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# A signal that is ignored stays so: `nohup` asks for that.
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_OUTPUTS = (1, 2)
_IMPORTS = "<frozen importlib"
_SOON_S = 0.02


class Interruption:
    """The signals that this process has received since they are handled.

    Attributes:
        first: number of the first signal, None before it.
        last_words: called before the program ends at once.
    """

    def __init__(self, exits: bool) -> None:
        self.first: int | None = None
        self.last_words: Callable[[], None] | None = None
        self._exits = exits
        self._received = 0
        self._waiting = False
        self._interruptible = True
        self._stoppable = True
        self._raised = False
        self._report_ignored = sys.unraisablehook
        self._terminals = [descriptor for descriptor in _OUTPUTS if os.isatty(descriptor)]

    @property
    def status(self) -> int:
        """The exit status of a program that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.first or signal.SIGINT)

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal."""
        if frame is not None and frame.f_code.co_filename.startswith(_IMPORTS):
            _send_soon(number)  # raised there, an error can leave a module locked for ever
            return
        self.first = self.first or number
        self._received += 1
        self._leave_closed_terminals()
        if self._received > 2:
            self._end_at_once()
        if self._interruptible:
            self._interruptible = False
            self._raised = True
            raise KeyboardInterrupt
        self._waiting = True

    def check(self) -> None:
        """Raise the KeyboardInterrupt of an interruptible block again where one still runs on.

        Libraries drop errors, some without a word: C code that clears what an optional step raised.

        Raises:
            KeyboardInterrupt: it was raised in this block, and the block goes on all the same.
        """
        if self._raised:
            raise KeyboardInterrupt

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Make the block interruptible, by deferred signals too; after it, signals are deferred."""
        self._interruptible = self._stoppable = True
        self._raised = False
        try:
            if self._waiting:
                self._waiting = False
                raise KeyboardInterrupt
            yield
            self.check()
        finally:
            self._raised = False
            self._interruptible = self._stoppable = False

    def resend_ignored(self, what: "sys.UnraisableHookArgs") -> None:
        """Send a signal again whose KeyboardInterrupt was raised where Python ignores exceptions.

        That is in a finalizer or a callback of a weak reference; see `sys.unraisablehook`.
        """
        if self.first is None or not issubclass(what.exc_type, KeyboardInterrupt):
            self._report_ignored(what)
            return
        self._received -= 1
        self._interruptible, self._raised = self._stoppable, False
        _send_soon(self.first)

    def _end_at_once(self) -> None:
        if self.last_words is not None:
            self.last_words()
        if self._exits:
            os._exit(self.status)
        raise KeyboardInterrupt

    def _leave_closed_terminals(self) -> None:
        """Redirect output to a closed terminal to the null device: writing would raise an error."""
        for descriptor in self._terminals:
            if not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


_current: Interruption | None = None


@contextmanager
def handle_signals(*, exits: bool = False) -> Iterator[Interruption]:
    """Handle signals within the block; nested uses leave the outermost one in force.

    Outside of the main thread nothing changes, since only that thread receives signals. After the
    block the earlier handlers are restored, and a signal other than Ctrl-C is sent again for them.

    Args:
        exits: whether a third signal ends the program, rather than raise KeyboardInterrupt.
    """
    global _current
    if not _in_main_thread():
        yield Interruption(exits)
        return
    if _current is not None:
        yield _current
        return
    made = _current = Interruption(exits)
    try:
        with preserve_handlers():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    signal.signal(number, made.receive)
            sys.unraisablehook = made.resend_ignored
            yield made
    except KeyboardInterrupt:
        if made.first is not None and made.first != signal.SIGINT:
            signal.raise_signal(made.first)
        raise
    finally:
        sys.unraisablehook = made._report_ignored
        _current = None
        if exits and made.first is not None:
            atexit.register(_ignore_signals)  # the status is that of the first one


@contextmanager
def interruptible() -> Iterator[None]:
    """Make the block interruptible, where signals are handled."""
    if _current is None or not _in_main_thread():
        yield
        return
    with _current.interruptible():
        yield


def check_interruption() -> None:
    """Raise a KeyboardInterrupt that was dropped in this interruptible block; see `check`."""
    if _current is not None and _in_main_thread():
        _current.check()


@contextmanager
def preserve_handlers() -> Iterator[None]:
    """Restore the present signal handlers after the block, whatever it changes."""
    if not _in_main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that Python did not set
                signal.signal(number, handler)


def _send_soon(number: int) -> None:
    """Send a signal to this process from another thread, after the current call has returned."""
    timer = threading.Timer(_SOON_S, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
