"""Fetching of a public data set: download, preparation, and a manifest of checksums."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import check_sums, sums_of, write_json
from ensemble_pipe.data.public.catalogue import PublicSet
from ensemble_pipe.data.public.download import Patience, download
from ensemble_pipe.data.public.prepare import prepare

MANIFEST = "manifest.json"
DOWNLOADS = ".download"

# progress(name of the file, bytes that are there, bytes in all)
SetProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Manifest:
    """The manifest of a fetched set: checksums of the downloads, by address, and of the files."""

    downloads: dict[str, str]
    files: dict[str, str]


def fetch(
    entry: PublicSet,
    folder: Path,
    progress: SetProgress,
    say: Callable[[str], None],
    patience: Patience | None = None,
) -> bool:
    """Fetch a set into `folder`/NAME, unless it is there already.

    Downloads are removed after preparation; an interrupted download is continued. Two processes
    that fetch the same set at once take turns.

    Args:
        entry: the set.
        folder: of all sets.
        progress: called for every block that arrives.
        say: shows a line to the user.
        patience: with the hosts.

    Returns:
        Whether anything was fetched.

    Raises:
        CorruptFileError: a host sends another file than the catalogue's.
        EnsemblePipeError: a host cannot be reached.
    """
    home = folder / entry.name
    (home / DOWNLOADS).mkdir(parents=True, exist_ok=True)
    with _alone(home, say):
        problem = _problem(entry, home)
        if problem is None:
            return False
        if problem:
            say(f"{problem}; it is fetched again")
        downloads = {
            file.name: download(file, home / DOWNLOADS, partial(progress, file.name), patience)
            for file in entry.files
        }
        names = prepare(entry.form, downloads, home)
        write_json(
            home / MANIFEST,
            {
                "name": entry.name,
                "licence": entry.licence,
                "downloads": {file.url: file.sha256 for file in entry.files},
                "files": sums_of(home, names),
            },
        )
        for path in downloads.values():
            path.unlink(missing_ok=True)
    return True


def is_there(entry: PublicSet, folder: Path) -> bool:
    """Return whether a set was fetched into `folder`, without reading its files."""
    home = folder / entry.name
    try:
        return all((home / name).is_file() for name in _files(entry, home))
    except CorruptFileError:
        return False


def data_section(entry: PublicSet, folder: Path) -> dict[str, Any]:
    """Return the pipeline sections for the set: `task`, and `data` with the paths."""
    home = folder / entry.name
    if entry.form == "idx":
        return {"task": entry.task, "data": {"source": "idx", "folder": str(home)}}
    data: dict[str, Any] = {"source": "table"}
    if len(entry.rows) == 1:
        data["path"] = str(home / "data.parquet")
    else:
        data |= {"path": str(home / "train.parquet"), "test_path": str(home / "test.parquet")}
    data["label"] = entry.label
    return {"task": entry.task, "data": data}


@contextmanager
def _alone(home: Path, say: Callable[[str], None]) -> Iterator[None]:
    lock = FileLock(home / DOWNLOADS / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process fetches {home.name} into {home}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _problem(entry: PublicSet, home: Path) -> str | None:
    """Return why a set must be fetched: "" where it never was; None where it is complete."""
    if not (home / MANIFEST).is_file():
        return ""
    try:
        check_sums(home, _files(entry, home))
    except CorruptFileError as error:
        return str(error)
    return None


def _files(entry: PublicSet, home: Path) -> Mapping[str, str]:
    """Return the sums of the prepared files by name.

    Raises:
        CorruptFileError: there is no manifest, or it is of other files than the catalogue's.
    """
    manifest = read_json(home / MANIFEST, _Manifest)
    if manifest.downloads != {file.url: file.sha256 for file in entry.files}:
        raise CorruptFileError(f"{home / MANIFEST}: is of another edition of {entry.name}")
    return manifest.files
