"""Kinds of files and folders, for messages about a path given to the wrong command."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ensemble_pipe.core.messages import shell_word

# As far as names go; what has another one is known by its first bytes.
_ROWS = (".csv", ".csv.gz", ".parquet", ".arrow", ".feather", ".npy", ".npz", "-ubyte", "-ubyte.gz",
         ".idx", ".png", ".jpg", ".jpeg")  # fmt: skip
_PIPELINES = (".yaml", ".yml")
_OTHERS = {
    ".safetensors": "a file of weights", ".html": "a page", ".xlsx": "an Excel workbook",
    ".xls": "an Excel workbook",
}  # fmt: skip
_ROWS_BEGIN = {
    b"PAR1": ".parquet", b"ARROW1": ".arrow", b"\x93NUMPY": ".npy", b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
}  # fmt: skip
_OTHERS_BEGIN = {
    b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip file", b"GIF8": "an image",
    b"%PDF": "a PDF document", b"SQLite format 3": "an SQLite database", b"\x89HDF": "an HDF5 file",
    b"\x7fELF": "a program",
}  # fmt: skip
_HEAD_BYTES = 1024
DATA_FILE = "a data file"


@dataclass(frozen=True)
class Kind:
    """A kind of file or folder.

    Attributes:
        name: with its article.
        hint: the command that takes it, or the path to give instead; empty where unknown.
    """

    name: str
    hint: str = ""


def kind_of(path: Path) -> Kind | None:
    """Return the kind of a path; None where it does not exist or is plain text.

    Only the beginning of a file is read.
    """
    try:
        return _kind_of_folder(path) if path.is_dir() else _kind_of_file(path)
    except OSError:  # no permission: reading it reports that
        return None


def describe_misplaced(path: Path, wanted: str) -> str | None:
    """Return a message that a path is not of the expected kind, and of which kind it is.

    Args:
        path: as it was given.
        wanted: the expected kind with its article, such as "a run directory".

    Returns:
        None where the path is an ordinary folder, or plain text.
    """
    kind = kind_of(path)
    if kind is None or kind.name == wanted or kind == Kind("a folder"):
        return None
    return f"{path}: is {kind.name}, not {wanted}" + (f"; {kind.hint}" if kind.hint else "")


def near_pipeline(path: Path) -> str:
    """Return "; did you mean ...?" with the pipeline file whose path is most like one, or ""."""
    try:
        beside = [one.name for one in path.parent.iterdir() if one.name.endswith(_PIPELINES)]
    except OSError:
        return ""
    # Above the default, for all names have an ending in common.
    near = get_close_matches(path.name, beside, 1, 0.8)
    return f"; did you mean {shell_word(path.with_name(near[0]))}?" if near else ""


def _kind_of_file(path: Path) -> Kind | None:
    if not path.is_file():
        return Kind("no regular file but a device or pipe") if path.exists() else None
    name = path.name.lower()
    if name.endswith(_PIPELINES):
        return Kind("a pipeline file", f"`ensemble-pipe run {shell_word(path)}` runs it")
    if name.endswith((".json", ".jsonl")):  # which may be a pipeline: JSON is YAML
        return Kind("a JSON file", hint) if (hint := _run_around(path)) else None
    head = _head(path)
    if name.endswith(_ROWS):
        hint = f"`ensemble-pipe init {shell_word(path)} --label COLUMN` writes a pipeline for it"
        return Kind(DATA_FILE, hint)
    for begin, ending in _ROWS_BEGIN.items():
        if head.startswith(begin):
            return Kind(f"a {ending} file by its contents", f"let its name end with {ending}")
    named = [kind for ending, kind in _OTHERS.items() if name.endswith(ending)]
    begun = [kind for begin, kind in _OTHERS_BEGIN.items() if head.startswith(begin)]
    found = [*named, *begun, *(["a binary file"] if b"\x00" in head else [])]
    return Kind(found[0], _run_around(path)) if found else None


def _kind_of_folder(path: Path) -> Kind:
    if _is_run(path):
        resume = f"`ensemble-pipe resume {shell_word(path)}` continues it"
        return Kind("a run directory", f"{resume}; predict, evaluate, report and compare take it")
    if (path / "manifest.json").is_file() and (path / "model.json").is_file():
        hint = f"`ensemble-pipe predict {shell_word(path)} INPUT --output FILE` predicts with it"
        return Kind("a model directory", hint)
    runs = [found.parent for found in path.glob("*/journal.jsonl")]
    if runs:
        newest = max(runs, key=lambda run: (run / "journal.jsonl").stat().st_mtime)
        return Kind("a folder of run directories", f"name one of them, such as {newest}")
    return Kind("a folder", _run_around(path))


def _run_around(path: Path) -> str:
    """Return a hint where a path lies within a run directory."""
    for above in path.absolute().parents[:2]:
        if _is_run(above):
            return f"it belongs to the run directory {above}"
    return ""


def _is_run(folder: Path) -> bool:
    return (folder / "manifest.json").is_file() and (folder / "journal.jsonl").is_file()


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def describe_no_run(root: Path, manifest: Path, lock: Path) -> str:
    """Return why a path is no run directory, and what to do.

    Args:
        root: the path, as it was given.
        manifest, lock: the files that a run has there from when its data is ready, and from its
            beginning.
    """
    misplaced = describe_misplaced(root, "a run directory")
    if misplaced is not None:
        return misplaced
    if manifest.is_file():
        return f"{root}: has lost its journal.jsonl; restore it from a copy"
    if lock.is_file():
        return (
            f"{root}: was stopped before its data was ready (it has no manifest.json), so there is "
            "nothing to go on with; remove it, and run the pipeline again"
        )
    absent = "it is a file" if root.exists() else "there is no such folder"
    why = "it has no manifest.json" if root.is_dir() else absent
    return f"{root}: no run directory ({why}); name a folder that `ensemble-pipe run` made"
