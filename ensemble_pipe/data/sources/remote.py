"""Reachability check of a remote file system, in a process that can be killed at a timeout.

Pyarrow's libraries retry object stores for up to 15 minutes, and forever where a host accepts a
connection without answering. Threads in such a wait cannot be stopped, and even keep the process
from exiting.
"""

import subprocess
import sys

from ensemble_pipe.core.errors import DataError

TIMEOUT_S = 20.0
_LOCAL = "file://"


def require_answer(location: str) -> None:
    """Raise DataError where the host of a URI does not answer within `TIMEOUT_S` seconds.

    The existence of the location and the scheme are not checked.
    """
    if location.startswith(_LOCAL):
        return
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ensemble_pipe.data.sources.remote"],
            input=location,  # which may hold a secret, and arguments can be seen by anyone
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataError(
            f"{location}: its host cannot be reached (no answer within {TIMEOUT_S:g} s); check the "
            "network and the address"
        ) from None
    if done.stdout:
        raise DataError(
            f"{location}: its host cannot be reached, or refuses ({done.stdout.strip()}); check "
            "the network, the address and the credentials"
        )


def _problem(location: str) -> str:
    """Return why a host cannot be reached; empty where it answered.

    Other errors end this process, and occur again in the one that reads.
    """
    from pyarrow import fs

    try:
        system, path = fs.FileSystem.from_uri(location)
        system.get_file_info(path.partition("*")[0].rstrip("/"))
    except OSError as error:
        return next(iter(str(error).splitlines()), "") or type(error).__name__
    return ""


if __name__ == "__main__":
    print(_problem(sys.stdin.read()), end="")
