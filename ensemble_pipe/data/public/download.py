"""Download of one file over HTTP: resumable, bounded by its size, verified by its checksum."""

import os
import shlex
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ensemble_pipe.core.errors import CorruptFileError, EnsemblePipeError
from ensemble_pipe.core.storage import atomic_write, sha256_of
from ensemble_pipe.data.public.catalogue import RemoteFile

CHUNK_BYTES = 1 << 18
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)  # those that another try may mend

# progress(bytes that are there, bytes in all)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Patience:
    """The timeouts and retries for a host.

    Attributes:
        timeout_s: without an answer, or a byte of it.
        waits_s: before each further try.
    """

    timeout_s: float = 30.0
    waits_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)


class _PassingError(Exception):
    """A transient error, which a retry may resolve."""


def download(
    file: RemoteFile, folder: Path, progress: Progress, patience: Patience | None = None
) -> Path:
    """Download a file into a folder, unless present; a partial download is continued.

    Until it is complete and verified it is named NAME.part.

    Args:
        file: to download.
        folder: the destination, created if missing.
        progress: called for every block.
        patience: timeouts and retries.

    Returns:
        The path of the whole file.

    Raises:
        CorruptFileError: the file has another size or checksum; the part is deleted.
        EnsemblePipeError: the host cannot be reached, or does not have the file.
    """
    path, part = folder / file.name, folder / f"{file.name}.part"
    if path.is_file():
        found = sha256_of(path)
        if found != file.sha256:
            raise CorruptFileError(
                f"{path}: is not {file.url}: its sha256 sum should be {file.sha256}, but is "
                f"{found}; remove it and run this again"
            )
        progress(file.size, file.size)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    _bring(file, part, progress, patience or Patience())
    found = sha256_of(part)
    if found != file.sha256:
        part.unlink()
        raise CorruptFileError(
            f"{file.url}: its sha256 sum should be {file.sha256}, but what was sent has {found}; "
            f"{part} was deleted, so another try starts over"
        )
    atomic_write(path, partial(os.replace, part))
    return path


def _bring(file: RemoteFile, part: Path, progress: Progress, patience: Patience) -> None:
    for wait_s in (*patience.waits_s, None):
        try:
            _receive(file, part, progress, patience.timeout_s)
            return
        except _PassingError as error:
            if wait_s is None:
                raise _unreachable(file, part, str(error)) from None
            time.sleep(wait_s)


def _receive(file: RemoteFile, part: Path, progress: Progress, timeout_s: float) -> None:
    """Receive the missing bytes of a file."""
    have = part.stat().st_size if part.is_file() else 0
    if have == file.size:
        return
    if have > file.size:
        part.unlink()
        have = 0
    with _answer(file, part, have, timeout_s) as answer:
        resumed = answer.status == 206 and _starts_at(answer, have)
        if answer.status == 206 and not resumed:
            part.unlink()
            raise _PassingError("it sent another part of the file than was asked for")
        have = have if resumed else 0
        with open(part, "ab" if resumed else "wb") as stream:
            for block in _blocks(answer):
                have += len(block)
                if have > file.size:
                    break
                stream.write(block)
                progress(have, file.size)
    if have > file.size:
        part.unlink()
        raise CorruptFileError(
            f"{file.url}: should have {file.size} bytes, but more are sent; {part} was deleted"
        )
    if have < file.size:
        raise _PassingError(f"it broke off after {have} of {file.size} bytes")


@contextmanager
def _answer(file: RemoteFile, part: Path, have: int, timeout_s: float) -> Iterator[Any]:
    headers = {"User-Agent": "ensemble-pipe", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(file.url, headers=headers)
    try:
        with _opener().open(request, timeout=timeout_s) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the part is of another file
            part.unlink(missing_ok=True)
            raise _PassingError("it does not have the part that was asked for") from None
        if error.code in PASSING_STATUS:
            raise _PassingError(f"it answers {error.code} {error.reason}") from None
        raise _unreachable(file, part, f"it answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, socket.gaierror):  # no network, so no use in waiting
            raise _unreachable(file, part, "its name cannot be resolved") from None
        raise _PassingError(str(error.reason)) from None
    except TimeoutError:
        raise _PassingError(f"it sends nothing for {timeout_s:g} s") from None
    except (HTTPException, ConnectionError) as error:
        raise _PassingError(str(error) or type(error).__name__) from None


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for HTTP alone, so that a redirect cannot lead to another protocol."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _starts_at(answer: Any, have: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _blocks(answer: IO[bytes]) -> Iterator[bytes]:
    while block := answer.read(CHUNK_BYTES):
        yield block


def _unreachable(file: RemoteFile, part: Path, why: str) -> EnsemblePipeError:
    path = part.with_name(file.name)
    return EnsemblePipeError(
        f"{urlsplit(file.url).netloc}: {file.name} cannot be fetched ({why}); the part is "
        "kept, so try again later, or fetch it by hand where there is a network:\n"
        f"  curl --location --output {shlex.quote(str(path))} {shlex.quote(file.url)}\n"
        f"  ({file.size} bytes, sha256 {file.sha256}) and run this again"
    )
