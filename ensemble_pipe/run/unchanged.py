"""What differs from what a run began with: settings, files of data, versions and processor."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from ensemble_pipe.config.conversion import resolve, validate
from ensemble_pipe.config.defaults import DataFacts, settle
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.errors import ConfigError, CorruptFileError, RunDirectoryError
from ensemble_pipe.core.messages import printable, shell_word, truncate
from ensemble_pipe.core.run_manifest import RunManifest, SourceFiles
from ensemble_pipe.core.storage import RunPaths, check_sums, read_manifest, sha256_of
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.data.source_files import changed_files
from ensemble_pipe.run import provenance
from ensemble_pipe.tracking.completeness import require_start
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.run_summary import pipeline_of

ACCEPT = "to go on all the same, add --accept-changes"
ACCEPT_ENVIRONMENT = f"{ACCEPT}; the last bits may differ then"
_ABSENT = "nothing"


@dataclass(frozen=True)
class Setting:
    """A setting that differs: its path in the pipeline, and its values."""

    path: str
    then: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.path}: {_shown(self.then)} -> {_shown(self.now)}"


@dataclass(frozen=True)
class Edited:
    """The pipeline of a run whose file is another than the run began with, every default settled.

    Attributes:
        then, now: the pipelines.
        settings: that differ; none where the text alone does.
    """

    then: Pipeline
    now: Pipeline
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Differences:
    """What differs from what a run began with, or went on with since.

    Attributes:
        manifest: of the run.
        edited: its pipelines; None where the file is the same.
        environment: versions and processor that may change the last bits, one line each.
        data: files that its rows were read from and that are others now, by setting: one line
            each, and their state now.
    """

    manifest: RunManifest
    edited: Edited | None
    environment: tuple[str, ...]
    data: dict[str, tuple[str, SourceFiles]]

    @property
    def lines(self) -> list[str]:
        """All of them, one line each, such as "training.epochs: 20 -> 40"."""
        settings = () if self.edited is None else self.edited.settings
        text = self.edited is not None and not settings
        rewritten = ["pipeline.yaml: was rewritten, with the same settings"] if text else []
        files = [f"data.{setting}: {line}" for setting, (line, _) in self.data.items()]
        return [*map(str, settings), *rewritten, *files, *self.environment]


def find_differences(paths: RunPaths) -> Differences:
    """Compare a run with its manifest.

    The descriptions of its base files, which hold the sums of its rows, must match their sums; the
    rows are checked where they are opened.

    Raises:
        CorruptFileError: one does not, or the pipeline cannot be read.
    """
    manifest = read_manifest(paths)
    own = paths.pipeline.name
    is_same = paths.pipeline.is_file() and sha256_of(paths.pipeline) == manifest.sums[own]
    if paths.pipeline.is_file():
        check_sums(paths.root, {name: sum_ for name, sum_ in manifest.sums.items() if name != own})
    else:
        check_sums(paths.root, manifest.sums)
    environment = provenance.differences(manifest.environment, provenance.environment())
    edited, data = None if is_same else _edited(paths), changed_files(manifest.data)
    return Differences(manifest, edited, tuple(environment), data)


def require_same_settings(paths: RunPaths, accept_environment: bool = True) -> None:
    """Check that a run has the settings that it began with.

    Args:
        paths: of the run.
        accept_environment: whether other versions or another processor are accepted.

    Raises:
        CorruptFileError: as `find_differences` does.
        RunDirectoryError: something differs; the message lists it.
    """
    found = find_differences(paths)
    if found.edited is not None:
        raise RunDirectoryError(
            f"{listed(paths, found)}\nchange pipeline.yaml back, or go on with it: "
            f"`ensemble-pipe resume {shell_word(paths.root)} --accept-changes`"
        )
    if found.environment and not accept_environment:
        raise RunDirectoryError(f"{listed(paths, found)}\n{ACCEPT_ENVIRONMENT}")


def listed(paths: RunPaths, found: Differences) -> str:
    """Return a message that lists what differs, one a line."""
    return "\n  ".join([f"{paths.root}: differs from what it began with:", *found.lines])


def settle_again(config: Pipeline, rows: dict[str, int], images: bool = False) -> Pipeline:
    """Return a pipeline with every default settled for the data of a run, by the rows of parts."""
    shared = config.splits.stop == "validation"
    counts = [
        count for part, count in rows.items() if part != "test" and not (part == "stop" and shared)
    ]
    return settle(config, DataFacts(rows=sum(counts), images=images))


def _edited(paths: RunPaths) -> Edited:
    """Return the pipelines of a run whose file was changed."""
    entries = list(read_entries(paths.journal))
    rows = require_start(paths, entries).rows
    then = validate(Document(str(paths.journal), pipeline_of(entries)))
    try:
        now, _ = load_pipeline(paths.pipeline)
    except ConfigError as error:
        raise CorruptFileError(
            f"{paths.pipeline}: was changed or damaged since this run began; change it back, or "
            f"correct it:\n{error}"
        ) from None
    images = read_schema(paths).is_image
    then, now = (settle_again(one, rows, images) for one in (then, now))
    return Edited(then, now, tuple(_differences(resolve(then), resolve(now))))


def _differences(then: Any, now: Any, path: str = "") -> Iterator[Setting]:
    """Yield each setting that differs."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*then, *now]):
            inner = f"{path}.{key}" if path else key
            yield from _differences(then.get(key, _ABSENT), now.get(key, _ABSENT), inner)
    elif isinstance(then, list) and isinstance(now, list) and _are_sections(then, now):
        for place, (old, new) in enumerate(zip(then, now, strict=True)):
            yield from _differences(old, new, f"{path}.{place}")
    elif then != now:
        yield Setting(path, then, now)


def _are_sections(then: list[Any], now: list[Any]) -> bool:
    """Whether two lists are of as many sections, as the groups of a pool are."""
    return len(then) == len(now) and all(isinstance(one, dict) for one in (*then, *now))


def _shown(value: Any) -> str:
    """Return a value as a pipeline has it, on one line."""
    if isinstance(value, str):
        return truncate(printable(value))
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return truncate(printable(text.removesuffix("...\n").strip()))
