"""What the last bits of a matrix product depend on: BLAS threads, core type, position of a row."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

# Terms and columns of products that BLAS computes in different ways: by matrix times vector, in
# one block of columns or in several, with and without a rest, small and large.
_PROBED = ((300, 1), (64, 10), (64, 16), (129, 65))
_TRIALS = 4


@cache
def _controller() -> ThreadpoolController:
    # NumPy and SciPy bring a BLAS each; one that is loaded later would not be limited.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread while the block runs.

    More would change the last bits, and trainers share the cores.

    The setting is made anew each time: a worker process that is used again keeps its old number,
    whatever the environment says.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


def core_type() -> str:
    """Return the core types that the loaded BLAS libraries chose, which decide the last bits."""
    found = {str(library.get("architecture")) for library in _controller().info()}
    return ",".join(sorted(found - {"None"}))


@cache
def position_changes_bits(rows: int) -> bool:
    """Return whether the bits of a product's row depend on its position among `rows`.

    Both libraries are probed with equal rows: a product has unequal rows where they do. The kernels
    for AVX2 of OpenBLAS sum different rows in different orders, those for AVX-512 do not.
    """
    from scipy.linalg.blas import sgemm

    random = np.random.default_rng(0)
    with one_thread():
        for inner, columns in _PROBED * _TRIALS:
            a = np.tile(random.standard_normal((1, inner), np.float32), (rows, 1))
            b = random.standard_normal((inner, columns), np.float32)
            for product in (np.matmul(a, b), sgemm(1.0, b.T, a.T).T):
                if (product != product[0]).any():
                    return True
    return False
