"""One thread in matrix products: more would change the last bits, and trainers share the cores."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    # NumPy and SciPy bring a BLAS each; one that is loaded later would not be limited.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread while the block runs.

    The setting is made anew each time: a worker process that is used again keeps its old number,
    whatever the environment says.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


def core_type() -> str:
    """Return the core types that the loaded BLAS libraries chose, which decide the last bits."""
    found = {str(library.get("architecture")) for library in _controller().info()}
    return ",".join(sorted(found - {"None"}))
