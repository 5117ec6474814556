"""Copies of base files on nodes that do not share the driver's file system."""

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ensemble_pipe.core.errors import ClusterError, CorruptFileError
from ensemble_pipe.core.storage import atomic_file, check_sums
from ensemble_pipe.data.base import verify_all
from ensemble_pipe.data.shards import Recipe

FETCH_TIMEOUT_S = 600
PIECE_BYTES = 64 << 20


@dataclass(frozen=True)
class BaseSource:
    """The source of base files: the node that the driver runs on."""

    node_id: str


@ray.remote(num_cpus=0, max_retries=3)
def read_piece(path: str, start: int) -> bytes:
    """Return the next bytes of a file, none at its end; run on the node that holds it."""
    with open(path, "rb") as stream:
        stream.seek(start)
        return stream.read(PIECE_BYTES)


def local_base(source: BaseSource, recipe: Recipe) -> Recipe:
    """Return the recipe with a base folder that exists on this node.

    Where the driver's folder is not accessible, its files are copied once for each node, into
    a folder named after their sums, and checked against them.

    Raises:
        CorruptFileError: a copy does not match its sum.
        ClusterError: the driver's node does not send them.
    """
    names = [file for name in recipe.sums for file in (name, base_name(name))]
    if all(_is_here(recipe.base / name) for name in names) and _same_sums(recipe.base, recipe):
        return recipe
    key = hashlib.sha256(repr(sorted(recipe.sums.items())).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"ensemble_pipe-{os.getuid()}" / key
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        whole = folder / ".whole"  # each shard is checked again when it is first read
        if not (whole.is_file() and _same_sums(folder, recipe)):
            for name in names:
                _fetch(source, recipe.base / name, folder / name)
            check_sums(folder, recipe.sums)
            for name in recipe.sums:
                verify_all(folder / base_name(name))
            whole.touch()
    return replace(recipe, base=folder)


def _same_sums(folder: Path, recipe: Recipe) -> bool:
    """Return whether the checksum files in a folder are those of the recipe."""
    try:
        check_sums(folder, recipe.sums)
    except CorruptFileError:
        return False
    return True


def _is_here(path: Path) -> bool:
    return path.is_file()


def base_name(sums_name: str) -> str:
    """Return the name of the base file that a checksum file belongs to."""
    return str(Path(sums_name).with_suffix(".arrow"))


def _fetch(source: BaseSource, origin: Path, path: Path) -> None:
    there: Any = NodeAffinitySchedulingStrategy(source.node_id, soft=False)
    with atomic_file(path) as beside, open(beside, "wb") as stream:
        while True:
            piece = _piece(there, origin, stream.tell())
            if not piece:
                break
            stream.write(piece)


def _piece(there: Any, origin: Path, start: int) -> bytes:
    reference = read_piece.options(scheduling_strategy=there).remote(str(origin), start)
    try:
        content: bytes = ray.get(reference, timeout=FETCH_TIMEOUT_S)
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"{origin}: cannot be copied from the driver's node ({str(error).splitlines()[0]})"
        ) from error
    return content
