"""Whether the files that a run began with are still those that it began with."""

from collections.abc import Iterator
from typing import Any

from ensemble_pipe.config.conversion import resolve
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.errors import CorruptFileError, EnsemblePipeError
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.storage import RunManifest, RunPaths, check_sums, read_manifest
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import GrownEntry, StartedEntry

_ABSENT = "nothing"


def require_unchanged(paths: RunPaths) -> RunManifest:
    """Return the manifest of a run whose pipeline, schema and data descriptions match their sums.

    These descriptions hold the sums of the data, which are checked where data are opened.

    Raises:
        CorruptFileError: one does not; where settings of the pipeline differ from those that the
            run began with, the message lists these.
    """
    manifest = read_manifest(paths)
    try:
        check_sums(paths.root, manifest.sums)
    except CorruptFileError as error:
        changes = _changed_settings(paths)
        if not changes:
            raise
        raise CorruptFileError(
            f"{paths.pipeline}: has other settings than this run began with:\n  "
            + "\n  ".join(changes)
            + "\na run keeps its settings: change them back, or begin another run: "
            f"`ensemble-pipe run {shell_word(paths.pipeline)}`"
        ) from error
    return manifest


def _changed_settings(paths: RunPaths) -> list[str]:
    """Return what differs from the settings in a run's journal; nothing where one is unreadable."""
    try:
        now = resolve(load_pipeline(paths.pipeline)[0])
        then = _settings_of(paths)
    except EnsemblePipeError:
        return []
    return [f"{path}: {old} then, {new} now" for path, old, new in _differences(then, now)]


def _settings_of(paths: RunPaths) -> dict[str, Any]:
    """Return the resolved pipeline of a run, as its journal has it."""
    found: dict[str, Any] = {}
    for entry in read_entries(paths.journal):
        if isinstance(entry, StartedEntry):
            found = dict(entry.pipeline)
        elif isinstance(entry, GrownEntry):
            found["ensemble"] = entry.ensemble
    return found


def _differences(then: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the path, the old and the new value of each setting that differs."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*then, *now]):
            inner = f"{path}.{key}" if path else key
            yield from _differences(then.get(key, _ABSENT), now.get(key, _ABSENT), inner)
    elif then != now:
        yield path, then, now
