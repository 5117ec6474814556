"""The files that a source names: whether they are still those that a run has read.

A run has its own copy of the rows; this says only that they are no longer those of the files.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from glob import glob
from pathlib import Path

from ensemble_pipe.core.messages import counted, printable
from ensemble_pipe.core.run_manifest import SourceFiles
from ensemble_pipe.core.storage import sha256_of
from ensemble_pipe.data.sources.idx import is_idx
from ensemble_pipe.data.sources.image_folder import is_image_file
from ensemble_pipe.data.sources.parquet import ENDING

# Settings of sources that name files, folders or patterns of files.
_LOCATIONS = ("path", "test_path", "folder")


def files_of(source: object) -> dict[str, SourceFiles]:
    """Return the state of the local files that a source names, by its setting.

    Their contents are read once, at 1.8 GB/s of a processor with SHA instructions.
    """
    found = {}
    for setting in _LOCATIONS:
        location = getattr(source, setting, None)
        if isinstance(location, str) and "://" not in location:
            state = _state(str(Path(location).absolute()))
            if state is not None:
                found[setting] = state
    return found


def changed_files(
    recorded: Mapping[str, SourceFiles],
) -> dict[str, tuple[str, SourceFiles]]:
    """Return what became of files since, by setting: one line in words, and their state now.

    Files that are not there any more, as on another machine, or that may not be read are not
    compared. The contents are read only of files whose names, sizes or times of writing are others.
    """
    found = {}
    for setting, then in recorded.items():
        if not _is_untouched(then):
            now = _state(then.location)
            if now is not None and now.sha256 != then.sha256:
                found[setting] = (_line(then, now), now)
    return found


def _is_untouched(then: SourceFiles) -> bool:
    with suppress(OSError):
        return _stamp(_files(then.location)) == then.stamp
    return False


def _line(then: SourceFiles, now: SourceFiles) -> str:
    sizes = [f"{counted(one.files, 'file')} of {one.bytes:,} bytes" for one in (then, now)]
    if sizes[0] == sizes[1]:
        sizes[1] = "other contents of the same size"
    return f"{printable(then.location)}, {sizes[0]} -> {sizes[1]}"


def _state(location: str) -> SourceFiles | None:
    """Return the state of the files at a place; None where there are none that can be read."""
    whole = hashlib.sha256()
    try:
        files = _files(location)
        stamp = _stamp(files)
        for name, path in files.items():
            whole.update(f"{name} {sha256_of(path)};".encode())
        size = sum(path.stat().st_size for path in files.values())
    except OSError:
        return None
    return SourceFiles(location, len(files), size, stamp, whole.hexdigest()) if files else None


def _stamp(files: Mapping[str, Path]) -> str:
    """Return a sum of the names, sizes and times of writing of files."""
    whole = hashlib.sha256()
    for name, path in files.items():
        found = path.stat()
        whole.update(f"{name} {found.st_size} {found.st_mtime_ns};".encode())
    return whole.hexdigest()


def _files(location: str) -> dict[str, Path]:
    """Return the files of data at a place, by name, in order."""
    place = Path(location)
    if place.is_file():
        return {place.name: place}
    inside = _inside(place) if place.is_dir() else map(Path, glob(location))  # noqa: PTH207 absolute
    return {str(path): path for path in sorted(inside) if path.is_file()}


def _inside(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and (path.name.endswith(ENDING) or is_image_file(path) or is_idx(path)):
            yield path
