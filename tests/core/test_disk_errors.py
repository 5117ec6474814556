"""A disk that takes no more is told of with the file, the reason and the way out."""

import errno
from pathlib import Path

import pytest

from ensemble_pipe.core.disk_errors import disk_errors
from ensemble_pipe.core.errors import StorageError
from ensemble_pipe.core.storage import atomic_write


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"a\.txt: cannot be written \(No space left on device\); make room on its"),
        (errno.EDQUOT, r"a\.txt: .*make room in your quota"),
        (errno.EFBIG, r"a\.txt: .*raise the limit"),
        (errno.EROFS, r"a\.txt: .*can only be read"),
    ],
)
def test_each_of_its_errors_names_the_file_and_what_to_do(
    code: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=message), disk_errors(tmp_path / "a.txt"):
        raise OSError(code, "as the system says it")


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), OSError("of a library")])
def test_other_errors_pass(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as raised, disk_errors(tmp_path):
        raise error
    assert raised.value is error


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "full")


def test_a_file_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_write(path, "old")
    with pytest.raises(StorageError, match=r"a\.txt: cannot be written"):
        atomic_write(path, full)
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"
