"""Files that belong together are replaced together, whenever the process that does it is killed."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from ensemble_pipe.core import replacement
from ensemble_pipe.core.errors import CorruptFileError, InputError, StorageError
from ensemble_pipe.core.replacement import (
    complete_replacement,
    remove_others,
    remove_unfinished,
    replace_files,
)

OLD = {"a": b"old", "b": b"old", "manifest.json": b"old"}
NEW = {"a": b"new", "b": b"new", "c": b"new", "manifest.json": b"new"}


class KilledError(BaseException):
    """Ends a process where nothing of it goes on."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    replace_files(tmp_path / "model", OLD)
    return tmp_path / "model"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_files_are_replaced_and_nothing_is_left_beside_them(folder: Path) -> None:
    assert contents(folder) == OLD
    replace_files(folder, NEW)
    assert contents(folder) == NEW
    assert len(list(folder.iterdir())) == len(NEW)


def test_what_the_new_files_do_not_have_is_removed_and_what_is_a_users_stays(folder: Path) -> None:
    replace_files(folder, NEW)
    (folder / "notes.txt").write_bytes(b"own")
    replace_files(folder, OLD)
    remove_others(folder, OLD, NEW.__contains__)
    assert contents(folder) == OLD | {"notes.txt": b"own"}


@pytest.mark.parametrize("moved", range(len(NEW) + 1))
def test_a_replacement_that_was_begun_is_completed_by_the_next_reader(
    folder: Path, moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, done = os.replace, list[Path]()

    def until_killed(source: Path, target: Path) -> None:
        if len(done) == moved:
            raise KilledError
        done.append(source)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", until_killed)
        if moved < len(NEW):
            with pytest.raises(KilledError):
                replace_files(folder, NEW)
        else:
            replace_files(folder, NEW)
    complete_replacement(folder)
    assert contents(folder) == NEW
    assert len(list(folder.iterdir())) == len(NEW)


def test_a_replacement_that_is_killed_before_all_is_written_leaves_the_old_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(replacement, "sync_to_disk", kill)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # nothing tidies up
        with pytest.raises(KilledError):
            replace_files(folder, NEW)
    complete_replacement(folder)
    assert contents(folder) == OLD
    assert len(list(folder.iterdir())) == len(OLD) + 1
    remove_unfinished(folder.parent)
    assert len(list(folder.iterdir())) == len(OLD)


def test_a_full_disk_leaves_the_old_files_and_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill)
        with pytest.raises(StorageError, match=r"model: cannot be written \(No space left"):
            replace_files(folder, NEW)
    assert contents(folder) == OLD
    assert len(list(folder.iterdir())) == len(OLD)


def test_one_that_cannot_be_completed_is_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".complete").mkdir()
    (folder / ".complete" / "a").write_bytes(b"new")

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(CorruptFileError, match=r"half replaced.*Read-only file system"):
        complete_replacement(folder)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    with pytest.raises(InputError, match="is a file, where a folder is needed"):
        replace_files(tmp_path / "model", NEW)
