"""How kernels are compiled and cached: the one place for numba's settings.

Only modules of kernels import this one, and nothing imports those before it computes or
checks a pipeline, since numba takes most of a second to load.
"""

import os
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config

F = TypeVar("F", bound=Callable[..., Any])


@cache
def cache_folder() -> Path:
    """Return where compiled kernels are kept: a folder of the user, numba's version and the source.

    numba notices a change of a kernel's own file, but not of the files whose functions it inlines:
    so all sources of kernels stand in the name, as a sum.
    """
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    package = Path(__file__).parent
    total = sha256()
    for path in sorted({*package.rglob("kernels.py"), *package.rglob("kernels/*.py")}):
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
