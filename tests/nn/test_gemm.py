"""Matrix products inside kernels: right for every form, and cached between processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ensemble_pipe
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.nn.kernels.gemm import gemm


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_follows_the_formula(
    dtype: type, transpose_a: bool, transpose_b: bool, beta: float
) -> None:
    random = np.random.default_rng(0)
    a: Floats = random.random((5, 7)).astype(dtype)
    b: Floats = random.random((7, 9)).astype(dtype)
    wide: Floats = random.random((5, 12)).astype(dtype)
    c = wide[:, :9]  # rows that lie apart
    want, beside = a @ b + beta * c, wide[:, 9:].copy()
    own_a = np.ascontiguousarray(a.T) if transpose_a else a
    own_b = np.ascontiguousarray(b.T) if transpose_b else b
    gemm(transpose_a, transpose_b, own_a, own_b, beta, c)
    np.testing.assert_allclose(c, want, rtol=1e-6)
    assert (wide[:, 9:] == beside).all()


def test_with_beta_zero_the_old_numbers_do_not_matter() -> None:
    c = np.full((2, 2), np.nan)
    gemm(False, False, np.eye(2), np.eye(2), 0.0, c)
    assert (c == np.eye(2)).all()


def test_a_second_process_of_another_installation_takes_it_from_the_cache(tmp_path: Path) -> None:
    # The library lies at another address there, and the sources elsewhere and with other dates.
    code = (
        "import numpy as np\n"
        "from ensemble_pipe.nn.kernels import gemm as module\n"
        "from ensemble_pipe.nn.kernels.gemm import gemm\n"
        "c = np.zeros((3, 3))\n"
        "gemm(False, False, np.eye(3), np.arange(9.0).reshape(3, 3), 0.0, c)\n"
        "print(c.sum(), sum(gemm.stats.cache_hits.values()), sum(gemm.stats.cache_misses.values()))"
        "\nprint(module.__file__)"
    )
    package = Path(ensemble_pipe.__file__).parent
    copied = tmp_path / "elsewhere" / package.name
    shutil.copytree(package, copied, copy_function=shutil.copyfile)
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    outputs = [
        subprocess.check_output(
            [sys.executable, "-c", code], env=environment, text=True, cwd=place.parent
        ).split()
        for place in (package, copied)
    ]
    places = [str(place / "nn" / "kernels" / "gemm.py") for place in (package, copied)]
    assert outputs == [["36.0", "0", "1", places[0]], ["36.0", "1", "0", places[1]]]
