"""One BLAS thread while a block runs, and as many as before after it."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ensemble_pipe.nn.blas import core_type, one_thread


def blas_threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_thread_inside_and_the_old_number_after() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        with one_thread():
            assert blas_threads() == {1}
        assert blas_threads() == before


def test_the_old_number_comes_back_after_an_error() -> None:
    before = blas_threads()
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert blas_threads() == before


def test_core_type_names_what_blas_chose() -> None:
    chosen = {str(pool["architecture"]) for pool in threadpool_info() if "architecture" in pool}
    assert set(core_type().split(",")) <= chosen
    assert core_type()
