"""Provenance of a run: library versions and processor, on which the bits of results depend."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ensemble_pipe import __version__
from ensemble_pipe.nn.blas import core_type

_LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "pyarrow", "ray", "mlflow", "safetensors")
# Those that decide the bits of a training; the others are recorded for a person.
_DECISIVE = ("ensemble_pipe", "numpy", "scipy", "numba", "llvmlite", "blas_core", "cpu")


def environment() -> dict[str, Any]:
    """Return versions and processor, for a run's manifest."""
    from llvmlite.binding import get_host_cpu_name

    return {
        "ensemble_pipe": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": get_host_cpu_name(),
        "blas_core": core_type(),
        **{name: _version(name) for name in _LIBRARIES},
    }


def differences(recorded: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the differences of two environments that may change the last bits of a result."""
    return [
        f"{name}: {recorded.get(name)} -> {now.get(name)}"
        for name in _DECISIVE
        if recorded.get(name) != now.get(name)
    ]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
