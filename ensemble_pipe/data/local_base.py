"""Base files on a node that does not share the driver's file system."""

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.storage import atomic_write, check_sums, sha256_of

FETCH_TIMEOUT_S = 600


@dataclass(frozen=True)
class BaseSource:
    """Where base files can be had: the node that the driver runs on."""

    node_id: str


@ray.remote(num_cpus=0, max_retries=3)
def read_file(path: str) -> bytes:
    """Return a file's bytes; run on the node that holds it."""
    return Path(path).read_bytes()


def local_base(source: BaseSource, recipe: Recipe) -> Recipe:
    """Return the recipe with a base folder that exists on this node.

    Where the driver's folder is not to be seen here, its files are copied once for each node, into
    a folder named after their sums, and checked against them.

    Raises:
        CorruptFileError: a copy does not match its sum.
    """
    if all(_is_here(recipe.base / name) for name in recipe.sums):
        return recipe
    key = hashlib.sha256(repr(sorted(recipe.sums.items())).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"ensemble_pipe-{os.getuid()}" / key
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        for name, expected in recipe.sums.items():
            path = folder / name
            if not path.is_file() or sha256_of(path) != expected:
                _fetch(source, recipe.base / name, path)
    check_sums(folder, recipe.sums)
    return replace(recipe, base=folder)


def _is_here(path: Path) -> bool:
    return path.is_file()


def _fetch(source: BaseSource, origin: Path, path: Path) -> None:
    there: Any = NodeAffinitySchedulingStrategy(source.node_id, soft=False)
    reference = read_file.options(scheduling_strategy=there).remote(str(origin))
    try:
        content = ray.get(reference, timeout=FETCH_TIMEOUT_S)
    except ray.exceptions.RayError as error:
        raise CorruptFileError(
            f"{origin}: cannot be copied from the driver's node ({error})"
        ) from None
    atomic_write(path, content)
