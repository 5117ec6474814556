"""How kernels are compiled and cached, and a person told: the one place for numba's settings.

Only what computes, or checks a pipeline, imports modules of kernels or this one, since numba takes
most of a second to load.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config
from numba.core import event

REPORT_EVERY_S = 5.0
F = TypeVar("F", bound=Callable[..., Any])


@cache
def cache_folder() -> Path:
    """Return where compiled kernels are kept: a folder of the user, numba's version and the source.

    numba notices a change of a kernel's own file, but not of the files whose functions it inlines:
    so all sources of kernels stand in the name, as a sum.
    """
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    total = sha256()
    for path in [Path(__file__), *sorted(Path(__file__).parents[1].rglob("kernels/*.py"))]:
        total.update(path.read_bytes())
    name = f"kernels-{total.hexdigest()[:16]}-numba-{numba.__version__}"
    return Path(home) / "ensemble_pipe" / name


def kernel(function: F) -> F:
    """Compile `function` on its first call, once per machine.

    numpy's error model leaves out a check on each division, which costs an update rule a factor of
    four. Contraction (a*b + c rounded once) keeps the order of a reduction, so it is allowed;
    reassociation would change it and is not.
    """
    before = numba_config.CACHE_DIR
    if not before:
        numba_config.CACHE_DIR = str(cache_folder())
    try:
        compiled: F = numba.njit(
            error_model="numpy", fastmath={"contract"}, nogil=True, cache=True
        )(function)
    finally:
        numba_config.CACHE_DIR = before
    return compiled


@contextmanager
def report_compilation(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell of kernels that are compiled meanwhile: this may take minutes, once for each machine.

    Args:
        tell: shows a line to a person: at the first kernel, then every `REPORT_EVERY_S` seconds at
            most. Those that are read from the cache are not told of.
    """
    with event.install_listener("numba:compile", _CompilationReporter(tell)):
        yield


class _CompilationReporter(event.Listener):  # type: ignore[misc]  # numba has no types
    """Counts the kernels whose compilation has begun, those that others are made of included."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._begun = 0
        self._first = self._told = 0.0

    def on_start(self, event: Any) -> None:
        now = time.monotonic()
        self._begun += 1
        if self._begun == 1:
            self._first = self._told = now
            self._tell("compiling kernels, once for this machine, then kept")
        elif now - self._told >= REPORT_EVERY_S:
            self._told = now
            self._tell(f"compiling kernels: {self._begun} so far, {now - self._first:.0f} s")

    def on_end(self, event: Any) -> None:
        """The next start tells."""
