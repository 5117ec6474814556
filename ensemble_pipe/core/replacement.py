"""Replacement of files that belong together: a reader finds all of the old ones, or all new ones.

The new files are written to a folder beside the old ones, which then takes a name of its own in one
step. From then on they count: a writer or reader moves into place what is still there.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from ensemble_pipe.core.disk_errors import disk_errors
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import make_folder, sync_to_disk

_COMPLETE = ".complete"


def replace_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Replace files of a folder, or write them there for the first time; others stay.

    Args:
        folder: of the files; created where it does not exist.
        contents: of each file, by name.

    Raises:
        InputError: a file stands where the folder should be.
        StorageError: the disk takes no more; the old files are as they were.
    """
    with disk_errors(folder):
        make_folder(folder)
        complete_replacement(folder)
        beside = folder / f".{secrets.token_hex(4)}.tmp"
        try:
            beside.mkdir()
            for name, content in contents.items():
                (beside / name).write_bytes(content)
                sync_to_disk(beside / name)
            sync_to_disk(beside)
            beside.rename(folder / _COMPLETE)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    complete_replacement(folder)


def remove_others(folder: Path, kept: Collection[str], is_own: Callable[[str], bool]) -> None:
    """Remove what an earlier writing has left in a folder, and the newest does not have.

    Args:
        folder: of the files; it need not exist, and may hold a user's own files too.
        kept: names of those that stay.
        is_own: whether a name is one of those that are written here; all others stay.
    """
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in kept and is_own(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def complete_replacement(folder: Path) -> None:
    """Complete a replacement that a kill has left half done, before the files are read.

    Raises:
        CorruptFileError: there is one, and nothing can be written to the folder.
    """
    complete = folder / _COMPLETE
    if not complete.is_dir():
        return
    try:
        for path in complete.iterdir():
            with suppress(FileNotFoundError):  # another process completes it too
                os.replace(path, folder / path.name)
        sync_to_disk(folder)
        with suppress(FileNotFoundError):
            complete.rmdir()
    except OSError as error:
        raise CorruptFileError(
            f"{folder}: its files are half replaced, since a process was killed, and cannot be "
            f"completed here ({error.strerror}); read it once where the folder can be written"
        ) from None


def remove_unfinished(folder: Path) -> None:
    """Remove what a kill has left of files that were being written, in a folder and below."""
    for path in list(folder.rglob(".*.tmp")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
