"""Paths of a run's files, atomic writes, and sha256 manifests.

`RunPaths` defines every file name. A file appears complete or not at all: it is written beside its
place, flushed to disk and renamed. Permanent files are in a manifest with their sha256 sums.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ensemble_pipe.core.disk_errors import disk_errors
from ensemble_pipe.core.documents import SUM, read_json, sum_of
from ensemble_pipe.core.errors import CorruptFileError, InputError, RunDirectoryError
from ensemble_pipe.core.path_kinds import describe_no_run
from ensemble_pipe.core.run_manifest import RunManifest

SPLITS = ("train", "stop", "validation", "test")
FOLDED = ("train", "test")  # where folds take the place of the others


@dataclass(frozen=True)
class Manifest:
    """The manifest of a folder: the sha256 sums of its files, by relative name."""

    sums: dict[str, str]


def part_file(base: Path, name: str) -> Path:
    """Return the file of one part of the data in a folder of base files."""
    return base / f"{name}.arrow"


@dataclass(frozen=True)
class RunPaths:
    """The paths of one run directory."""

    root: Path
    stage: str = ""  # of the learners' files: "refit" where they are trained again

    @property
    def pipeline(self) -> Path:
        return self.root / "pipeline.yaml"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def journal(self) -> Path:
        return self.root / "journal.jsonl"

    @property
    def cursor(self) -> Path:
        """The position in the journal up to which MLflow has received it."""
        return self.root / "mlflow.json"

    @property
    def lock(self) -> Path:
        """Locked by the process that executes the run."""
        return self.root / "driver.lock"

    @property
    def base(self) -> Path:
        return self.root / "base"

    def part(self, name: str) -> Path:
        """The rows of one part of the data, such as "train"."""
        return part_file(self.base, name)

    @property
    def schema(self) -> Path:
        return self.base / "schema.json"

    @property
    def example(self) -> Path:
        """Some rows and their predictions, for the signature of a logged model."""
        return self.base / "example.arrow"

    @property
    def group_names(self) -> Path:
        """The names of the largest groups of the test part, where rows have groups."""
        return self.base / "group_names.json"

    @property
    def first_rows(self) -> Path:
        """The initial weights of transferred learners."""
        return self.base / "first_rows.safetensors"

    @property
    def growth(self) -> Path:
        """The pipeline of a growth in progress; removed when it is complete."""
        return self.root / "growth.json"

    @property
    def learners(self) -> Path:
        return self.root / "learners"

    @property
    def refitted(self) -> "RunPaths":
        """The paths where members are trained again."""
        return replace(self, stage="refit")

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    def picture(self, name: str) -> Path:
        return self.pictures / name

    @property
    def contact_sheet(self) -> Path:
        """The picture of augmented rows, which is drawn once."""
        return self.picture("augmentation.svg")

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def description(self) -> Path:
        """Return the description of the run in Markdown, which MLflow shows."""
        return self.root / "description.md"

    def predictions(self, split: str) -> Path:
        return self.root / "predictions" / f"{split}.arrow"

    def learner(self, learner: int) -> Path:
        return self.learners / f"{learner:04d}" / self.stage

    def checkpoint(self, learner: int, step: int) -> Path:
        return self.learner(learner) / f"step-{step:08d}.safetensors"

    def estimator(self, learner: int, suffix: str) -> Path:
        return self.learner(learner) / f"estimator{suffix}"

    @classmethod
    def open(cls, root: Path) -> "RunPaths":
        """Return the paths of an existing run.

        Raises:
            RunDirectoryError: `root` holds no run.
        """
        paths = cls(root.resolve())
        if not (paths.manifest.is_file() and paths.journal.is_file()):
            raise RunDirectoryError(describe_no_run(root, paths.manifest, paths.lock))
        return paths


def read_manifest(paths: RunPaths) -> RunManifest:
    """Read the manifest of a run.

    Raises:
        CorruptFileError: it is damaged, or lacks the sum of a file that every run has.
    """
    manifest = read_json(paths.manifest, RunManifest)
    in_folds = not {"base/stop.json", "base/validation.json"} & manifest.sums.keys()
    bases = (f"base/{name}.json" for name in ("schema", *(FOLDED if in_folds else SPLITS)))
    missing = [name for name in (paths.pipeline.name, *bases) if name not in manifest.sums]
    if missing:
        raise CorruptFileError(
            f"{paths.manifest}: lacks the sum of {missing[0]}; restore it from a copy"
        )
    return manifest


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, renamed to `path` when the block ends without an error.

    Raises:
        InputError: a folder stands at `path`, or a file where its folder should be.
        StorageError: the disk takes no more.
    """
    with _beside(path) as beside:
        yield beside
        sync_to_disk(beside)
        os.replace(beside, path)
    sync_to_disk(path.parent)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the folder of `path`, which is removed if left over."""
    with disk_errors(path):
        make_folder(path.parent)
        if path.is_dir():
            raise InputError(f"{path}: is a folder, where a file is to be written; move it away")
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            yield beside
        finally:
            beside.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder that may be there; raise InputError where it is a file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder}: is a file, where a folder is needed") from None


def atomic_write(path: Path, content: bytes | str | Callable[[Path], object]) -> None:
    """Write `content` to `path` atomically: a reader sees the old file or the new one.

    It is bytes, text, or a function that writes to a given path; the folder of `path` is made.
    """
    with atomic_file(path) as beside:
        if callable(content):
            content(beside)
        else:
            beside.write_bytes(content.encode() if isinstance(content, str) else content)


def atomic_write_all(contents: Mapping[Path, bytes]) -> None:
    """Write new files of one folder that belong together, each whole, the last one last.

    They are all on disk before the first takes its place, and the folder is flushed once. File
    systems with a journal keep renames in order: after a crash the last is there with the others.

    Args:
        contents: of each file; the one whose presence marks the others as complete comes last.
    """
    with ExitStack() as stack:
        besides = {path: stack.enter_context(_beside(path)) for path in contents}
        for path, beside in besides.items():
            beside.write_bytes(contents[path])
            sync_to_disk(beside)
        for path, beside in besides.items():
            os.replace(beside, path)
    sync_to_disk(path.parent)


def sync_to_disk(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; a number that is not finite is refused."""
    atomic_write(path, json_text(value))


def write_summed_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON with a sum of itself, for a file that no other file has the sum of."""
    write_json(path, {**values, SUM: sum_of(values)})


def json_text(value: Any) -> str:
    """Return `value` as indented JSON; a number that is not finite is refused."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def sha256_of(path: Path) -> str:
    """Return the hexadecimal sha256 sum of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sums_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the sha256 sums of files below `folder`, by relative name."""
    return {name: sha256_of(folder / name) for name in sorted(names)}


def check_sums(
    folder: Path, sums: Mapping[str, str], advice: str = "restore it from a copy"
) -> None:
    """Check files below `folder` against their recorded sums.

    Args:
        folder: of the files.
        sums: sha256 by name.
        advice: what to do about a file that is missing or differs.

    Raises:
        CorruptFileError: one is missing, differs, or has a name that leads out of the folder.
    """
    for name, expected in sums.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise CorruptFileError(f"{folder}: its manifest names {name!r}, outside the folder")
        if not path.is_file():
            raise CorruptFileError(f"{path}: missing, though its manifest lists it; {advice}")
        if sha256_of(path) != expected:
            raise CorruptFileError(
                f"{path}: its contents do not match the sha256 sum in its manifest; "
                f"it was changed or damaged after it was written; {advice}"
            )
