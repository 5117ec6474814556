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
from numba.core.caching import UserProvidedCacheLocator
from numba.core.registry import cpu_target

REPORT_EVERY_S = 5.0
_PACKAGE = Path(__file__).parents[1]
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
        compiled: names them; all else that numba's cache depends on is added: the processor, and
            Python's version. The sources are in the folder's name.
    """
    processor = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features()
    text = f"{compiled} {sys.version} {processor}"
    return cache_folder() / f"compiled-{sha256(text.encode()).hexdigest()[:16]}"


def _sources() -> list[Path]:
    """Return the paths of this file and of all kernels."""
    return [Path(__file__), *sorted(_PACKAGE.rglob("kernels/*.py"))]


class PlaceOfKernels(UserProvidedCacheLocator):  # type: ignore[misc]  # numba has no types
    """Where numba keeps a kernel: by what its source holds, not by where and since when it lies.

    So another installation of the same version, or a fresh checkout, finds it compiled.
    """

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        """Return the name of the folder for the kernels of a source file."""
        folder = Path(py_file).parent
        if folder.is_relative_to(_PACKAGE):
            return ".".join(folder.relative_to(_PACKAGE).parts)
        return str(super().get_suitable_cache_subpath(py_file))

    def get_source_stamp(self) -> bytes:
        """Return a checksum of the source file."""
        return sha256(Path(self._py_file).read_bytes()).digest()


# As numba does by itself, where the folder cannot be made after all.
_PLACES = f"{PlaceOfKernels.__module__}.PlaceOfKernels,InTreeCacheLocator,UserWideCacheLocator"


def kernel(function: F) -> F:
    """Compile `function` on its first call, once per machine.

    numpy's error model leaves out a check on each division, which costs an update rule a factor of
    four. Contraction (a*b + c rounded once) keeps the order of a reduction, so it is allowed;
    reassociation would change it and is not.
    """
    before = numba_config.CACHE_DIR, numba_config.CACHE_LOCATOR_CLASSES
    if not any(before):
        numba_config.CACHE_DIR = str(cache_folder())
        numba_config.CACHE_LOCATOR_CLASSES = _PLACES
    try:
        compiled: F = numba.njit(
            error_model="numpy", fastmath={"contract"}, nogil=True, cache=True
        )(function)
    finally:
        numba_config.CACHE_DIR, numba_config.CACHE_LOCATOR_CLASSES = before
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
