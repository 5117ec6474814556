"""How kernels are compiled and cached: the one place for numba's settings.

Only modules of kernels import this one, and nothing imports those before it computes or
checks a pipeline, since numba takes most of a second to load.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config

from ensemble_pipe import __version__

F = TypeVar("F", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Return where compiled kernels are kept: a folder of the user and of both versions."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "ensemble_pipe" / f"kernels-{__version__}-numba-{numba.__version__}"


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
