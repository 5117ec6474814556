"""Errors of a disk that takes no more, which name the file that could not be written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ensemble_pipe.core.errors import StorageError

_OF_A_DISK = {
    errno.ENOSPC: "make room on its disk and try again",
    errno.EDQUOT: "make room in your quota of its disk and try again",
    errno.EFBIG: "raise the limit on the size of files, or write to another disk",
    errno.EROFS: "its disk can only be read: write to another",
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Convert the error of a disk, while `path` is written, into one that names both.

    Raises:
        StorageError: in place of an OSError of that kind; others pass.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in _OF_A_DISK:
            raise
        why, advice = os.strerror(error.errno), _OF_A_DISK[error.errno]
        raise StorageError(f"{path}: cannot be written ({why}); {advice}") from error
