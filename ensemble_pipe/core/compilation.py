"""Compilation and caching of the numba kernels, and its progress messages.

Only what computes, or checks a pipeline, imports modules of kernels or this one, since numba takes
most of a second to load.
"""

import atexit
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding
import numba
from numba.core import config as numba_config
from numba.core import event
from numba.core.registry import cpu_target

REPORT_EVERY_S = 5.0
F = TypeVar("F", bound=Callable[..., Any])


@cache
def cache_folder() -> Path:
    """Return the cache folder of compiled kernels, for these sources and numba's version.

    numba notices a change of a kernel's own file, but not of the files whose functions it inlines:
    so the folder's name contains a checksum of all kernel sources.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if not _is_writable(home):
        # One of this process alone: what others could write there would be executed.
        home = Path(tempfile.mkdtemp(prefix="ensemble_pipe-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    total = sha256()
    for path in _sources():
        total.update(path.read_bytes())
    name = f"kernels-{total.hexdigest()[:16]}-numba-{numba.__version__}"
    return home / "ensemble_pipe" / name


def _is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder that there is, or can be made."""
    there = next(above for above in (folder, *folder.parents) if above.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def stamp_file(compiled: str) -> Path:
    """Return the path of a file in the cache that says that certain kernels are in it.

    Args:
        compiled: names them; all else that numba's cache depends on is added: the place and the
            dates of the sources, the processor, and Python's version.
    """
    processor = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features()
    dates = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in _sources()]
    text = f"{compiled} {sys.version} {processor} {dates}"
    return cache_folder() / f"compiled-{sha256(text.encode()).hexdigest()[:16]}"


def _sources() -> list[Path]:
    """Return the paths of this file and of all kernels."""
    return [Path(__file__), *sorted(Path(__file__).parents[1].rglob("kernels/*.py"))]


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


def load_runtime() -> None:
    """Load what numba needs for the first kernel of a process, which takes 0.4 s."""
    cpu_target.target_context.refresh()
    cpu_target.typing_context.refresh()


@contextmanager
def report_compilation(report: Callable[[str], None]) -> Iterator[None]:
    """Report the kernels compiled within the block, which may take minutes, once per machine.

    Args:
        report: shows a line to the user: at the first kernel, then at most every `REPORT_EVERY_S`
            seconds. Kernels loaded from the cache are not reported.
    """
    with event.install_listener("numba:compile", _CompilationReporter(report)):
        yield


class _CompilationReporter(event.Listener):  # type: ignore[misc]  # numba has no types
    """Counts the kernels whose compilation has started, including those that others call."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._started = 0
        self._first = self._last = 0.0

    def on_start(self, event: Any) -> None:
        now = time.monotonic()
        self._started += 1
        if self._started == 1:
            self._first = self._last = now
            self._report("compiling kernels, once for this machine, then kept")
        elif now - self._last >= REPORT_EVERY_S:
            self._last = now
            self._report(f"compiling kernels: {self._started} so far, {now - self._first:.0f} s")

    def on_end(self, event: Any) -> None:
        """Do nothing: the next start is reported."""
