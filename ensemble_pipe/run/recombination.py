"""Another ensemble of a finished run's members, without training: the function `combine`.

It is a run of its own, with the data and the learners of the first one and another pipeline. So it
has all that a run has, and can grow; it is, bit for bit, the run that had these settings from its
start. Members that `splits.refit` has not trained again, since the first ensemble was without them,
stay as they were until the run is resumed.
"""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from ensemble_pipe.config.conversion import resolve
from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError, RunDirectoryError
from ensemble_pipe.core.interruption import handle_signals
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.storage import (
    RunPaths,
    atomic_write,
    read_manifest,
    sums_of,
    write_summed_json,
)
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.base import read_schema
from ensemble_pipe.run.courses import CourseOf, EveryLearner
from ensemble_pipe.run.display import Display, Silent
from ensemble_pipe.run.executors import make_executor
from ensemble_pipe.run.lifecycle import RunResult, drive, lock_run
from ensemble_pipe.run.requirements import require_fit
from ensemble_pipe.run.starting import new_run, remove_on_failure, require_no_run
from ensemble_pipe.run.unchanged import require_same_settings, settle_again
from ensemble_pipe.tracking.completeness import complete_entries, require_start
from ensemble_pipe.tracking.endings import endings
from ensemble_pipe.tracking.journal import line_of, read_lines
from ensemble_pipe.tracking.kinds import (
    AcceptedEntry,
    GrownEntry,
    ResumedEntry,
    StartedEntry,
    TimelineEntry,
)
from ensemble_pipe.tracking.rewinding import stays
from ensemble_pipe.training.checkpoints import copy_learner, list_checkpoints
from ensemble_pipe.training.components import takes_components

# What may change, since it begins where training has ended; and what is about the run alone.
CHANGEABLE = ("ensemble.combine", "ensemble.decide", "tracking", "name")


@handle_signals()
@takes_components
def combine(
    run_dir: str | Path,
    *,
    output: str | Path | None = None,
    display: Display | None = None,
    accept_changes: bool = False,
    components: Sequence[type[Any]] = (),
    timeline: Timeline | None = None,
    search_of: CourseOf | None = None,
    **overrides: Any,
) -> RunResult:
    """Combine the members of a finished run anew: see `ensemble_pipe.combine`, which is this.

    `timeline` is where the stages of the new run are recorded, by default a new one. `search_of`
    makes the course of a search; see `search.pipeline.combine`.
    """
    started, timeline = time.monotonic(), timeline or Timeline()
    display = display or Silent()
    source = RunPaths.open(Path(run_dir))
    if output is not None:
        require_no_run(output)
    with lock_run(source), timeline.stage("copying"):
        first = _finished(source, accept_changes)
        config, plans = _changed(source, first, overrides)
        course_of = EveryLearner if config.search is None else search_of
        if course_of is None:
            raise ConfigError(f"{run_dir}: is a search; ensemble_pipe.combine combines it anew")
        require_fit(config, plans.networks, read_schema(source), first.rows["train"])
        paths = new_run(Path(output or source.root.parent).resolve(), config)
        with remove_on_failure(paths, []):
            _write_run(source, paths, first, config, plans)
    display.message(f"combining the members of {source.root}")
    executor = make_executor(config, plans, None, True, display.message, timeline)
    with closing(executor), lock_run(paths):
        course = course_of(paths, config, plans)
        return drive(
            paths, config, plans, executor, display, started, timeline, course, train=False
        )


def _finished(paths: RunPaths, accept_changes: bool) -> StartedEntry:
    """Return the first entry of a run; raise RunDirectoryError unless the run has finished."""
    require_same_settings(paths, accept_changes)
    entries = complete_entries(paths)
    status, _ = endings(entries)
    if paths.growth.exists() or status != "FINISHED":
        raise RunDirectoryError(
            f"{paths.root}: has not finished, and only a finished run is combined anew; "
            f"`ensemble-pipe resume {shell_word(paths.root)}` finishes it"
        )
    return require_start(paths, entries)


def _changed(
    source: RunPaths, first: StartedEntry, overrides: dict[str, Any]
) -> tuple[Pipeline, Plans]:
    """Return the pipeline of the new run, and the plans of its learners.

    Raises:
        ConfigError: an override is invalid, needs training, or nothing is to change.
    """
    before, _ = load_pipeline(source.pipeline)
    config, _ = load_pipeline(source.pipeline, overrides)
    if "choose" in {before.ensemble.combine.method, config.ensemble.combine.method}:
        # `choose` decides on it by itself; for another method the default is that of the data.
        default = {"ensemble.combine.temperature": None}
        config, _ = load_pipeline(source.pipeline, default | overrides)
    wrong = [key for key in overrides if not _is_changeable(key)]
    if wrong:
        choices = f"{', '.join(CHANGEABLE[:-1])} and {CHANGEABLE[-1]}"
        raise ConfigError(
            mistakes=[
                (f"{key}: needs training; without it, {choices} can change", f" (--set {key})")
                for key in wrong
            ]
        )
    config = settle_again(config, first.rows)
    if config.ensemble == before.ensemble:
        raise ConfigError(
            "nothing is to change; say what is, such as --set ensemble.combine.method=choose"
        )
    return config, make_plans(config)


def _is_changeable(key: str) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in CHANGEABLE)


def _write_run(
    source: RunPaths, paths: RunPaths, first: StartedEntry, config: Pipeline, plans: Plans
) -> None:
    """Write the files of the new run, the manifest last, which completes the run directory."""
    paths.base.mkdir()
    for path in source.base.iterdir():
        _link(path, paths.base / path.name)
    run_id = paths.root.name
    learners = sorted(plans.trained)
    for learner in learners:
        for stage in ("", "refit"):
            own, new = (replace(one, stage=stage) for one in (source, paths))
            copy_learner(own, new, learner, run_id)
    atomic_write(paths.pipeline, yaml.safe_dump(resolve(config), sort_keys=False))
    _write_journal(source, paths, first, config, learners)
    manifest = read_manifest(source)
    sums = manifest.sums | sums_of(paths.root, [paths.pipeline.name])
    write_summed_json(paths.manifest, asdict(replace(manifest, run_id=run_id, sums=sums)))


def _write_journal(
    source: RunPaths, paths: RunPaths, first: StartedEntry, config: Pipeline, learners: list[int]
) -> None:
    """Write what the source's journal says of its learners, as that of the new run.

    It ends as if the run had been resumed now: no process drove it since its learners were trained.
    """
    began = StartedEntry(
        paths.root.name, resolve(config), first.rows, first.data_sums, source.root.name
    )
    saved = {learner: list_checkpoints(paths, learner) for learner in learners}
    steps = {learner: found[-1].step for learner, found in saved.items() if found}
    left = (StartedEntry, GrownEntry, TimelineEntry)
    lines = [
        # What was accepted is said still; the pipeline is that of the new run.
        line_of(line.values | ({"pipeline": None} if isinstance(line.entry, AcceptedEntry) else {}))
        for line in read_lines(source.journal)
        if not isinstance(line.entry, left) and stays(line.entry, steps, train=False)
    ]
    ends = ResumedEntry(time_ms=began.time_ms)
    own = [line_of({"kind": entry.kind, **asdict(entry)}) for entry in (began, ends)]
    atomic_write(paths.journal, b"".join([own[0], *lines, own[1]]))


def _link(source: Path, target: Path) -> None:
    """Give a file that never changes a second place, or copy it where file systems differ."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
