"""A person is told while kernels are compiled, and not where they are read from the cache."""

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba.core import config as numba_config

from ensemble_pipe.core import compilation as kernels
from ensemble_pipe.core.compilation import kernel, report_compilation


def twice(x: Any) -> Any:
    return 2.0 * x


def test_compiling_is_told_once_and_reading_the_cache_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))
    told: list[str] = []
    for _ in range(2):  # the second time as another process would
        compiled = kernel(twice)
        with report_compilation(told.append):
            assert compiled(1.5) == 3.0
    assert told == ["compiling kernels, once for this machine, then kept"]
    compiled(np.float32(1.5))  # nobody asked to be told any longer
    assert len(told) == 1


def test_a_long_compilation_goes_on_telling_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernels, "REPORT_EVERY_S", 0.0)
    seconds = count()  # each kernel is begun a second after the one before it
    monkeypatch.setattr(kernels, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    told: list[str] = []
    compiled = kernel(twice)
    with report_compilation(told.append):
        for value in (1.5, np.float32(1.5), 3):
            compiled(value)
    assert told[1:] == ["compiling kernels: 2 so far, 1 s", "compiling kernels: 3 so far, 2 s"]
