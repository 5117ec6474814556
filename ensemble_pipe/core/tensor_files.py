"""Reading of tensors from safetensors files, with a check that all numbers are finite."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.documents import parse_json, read_bytes, validate_as
from ensemble_pipe.core.errors import CorruptFileError

_MOST_HEADER = 8 << 20  # bytes: of 100,000 tensors, each of which takes 2 kB of memory


def read_tensors(path: Path, *names: str) -> dict[str, Floats]:
    """Read a safetensors file that has the required tensors and only finite numbers.

    Raises:
        CorruptFileError: it cannot be read, lacks a tensor, or holds NaN or an infinite number.
    """
    tensors = parse_tensors(read_bytes(path), str(path))
    missing = [name for name in names if name not in tensors]
    if missing:
        raise CorruptFileError(
            f"{path}: holds no tensor named {missing[0]}; restore it from a copy"
        )
    require_finite(tensors, str(path))
    return tensors


def parse_tensors(content: bytes, where: str) -> dict[str, Floats]:
    """Parse safetensors; two tensors of one name are refused.

    Raises:
        CorruptFileError: `content` is not in that format, or names more tensors than any training
            writes.
    """
    header = _header_bytes(content)
    if _MOST_HEADER < header <= len(content):
        raise CorruptFileError(
            f"{where}: names tensors in {header:,} bytes, where no training writes more than "
            f"{_MOST_HEADER:,}; restore it from a copy"
        )
    try:
        tensors: dict[str, Floats] = load(content)
    except KeyError as error:  # a type that NumPy does not have, such as bfloat16
        raise CorruptFileError(
            f"{where}: holds tensors of type {error}, which cannot be read; save them as float32"
        ) from None
    except SafetensorError as error:
        raise CorruptFileError(f"{where}: not a safetensors file ({error})") from None
    _header(content, where)
    return tensors


def metadata_of(content: bytes, where: str) -> dict[str, str]:
    """Return the texts that a safetensors file holds beside its tensors, by name.

    Raises:
        CorruptFileError: its header is not in that format.
    """
    header = _header(content, where)
    return validate_as(header.get("__metadata__", {}), dict[str, str], where)


def _header(content: bytes, where: str) -> dict[str, Any]:
    """Return the JSON that a safetensors file begins with, in which each key stands once."""
    return parse_json(content[8 : 8 + _header_bytes(content)], dict[str, Any], where)


def _header_bytes(content: bytes) -> int:
    """Return the length that a safetensors file states for its header."""
    return int.from_bytes(content[:8], "little")


def require_finite(
    tensors: Mapping[str, Floats], where: str, advice: str = "restore it from a copy"
) -> None:
    """Raise CorruptFileError where a tensor holds NaN or an infinite number."""
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise CorruptFileError(
                f"{where}: {name} holds numbers that are not finite, which no training writes; "
                f"{advice}"
            )
