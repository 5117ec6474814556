"""The start of a new run: its data is prepared, and its run directory made."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import InputError, RunDirectoryError
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.source_files import files_of
from ensemble_pipe.data.tables.decisions import decision_lines
from ensemble_pipe.run.courses import CourseOf
from ensemble_pipe.run.display import Display, HeldMessages
from ensemble_pipe.run.executors import make_executor
from ensemble_pipe.run.lifecycle import RunResult, drive, lock_run, to_be_resumed
from ensemble_pipe.run.nesting import below_active_run, require_parent
from ensemble_pipe.run.notes import Notes
from ensemble_pipe.run.preparation import Prepared, prepare, write_run
from ensemble_pipe.run.requirements import require_space
from ensemble_pipe.run.time_limit import NO_LIMIT, TimeLimit

Watch = Callable[[Prepared, Display, Notes], Display]


def start(
    config: Pipeline,
    plans: Plans,
    course_of: CourseOf,
    output: str | Path,
    address: str | None,
    inline: bool,
    display: Display,
    timeline: Timeline,
    limit: TimeLimit = NO_LIMIT,
    watch: Watch | None = None,
) -> RunResult:
    """Prepare a new run and execute it.

    Args:
        config, plans: of the pipeline.
        course_of: makes the course that its training takes.
        output, address, inline, display, timeline: as for `run`.
        limit: when training ends though learners are open.
        watch: looks at the data before anything is written, and returns the display from then on;
            what it notes stands in the journal.

    Raises:
        InputError: the data is wrong, or does not fit the pipeline; nothing was started.
    """
    require_no_run(output)
    require_parent(config, Path(output).resolve())
    started, config = time.monotonic(), below_active_run(config)
    about_ray, notes = HeldMessages(display.message), Notes()
    training_s = limit.before_writing_s
    executor = make_executor(config, plans, address, inline, about_ray.say, timeline, training_s)
    with closing(executor):
        with timeline.stage("data"):
            prepared = prepare(config)
            files = files_of(config.data)
        config, plans = prepared.config, prepared.plans
        display.warn(prepared.warning or "")
        display.message(prepared.note)
        if watch is not None:
            display = watch(prepared, display, notes)
        limit.require_start()
        folder = Path(output).resolve()
        made = [above for above in (folder, *folder.parents) if not above.exists()]
        require_space(plans.networks, prepared.schema, folder, refit=config.splits.refit)
        paths = new_run(folder, config)
        with lock_run(paths):
            with remove_on_failure(paths, made), timeline.stage("base files"):
                write_run(paths, prepared, files)
            display.message("\n".join(decision_lines(prepared.schema.decisions)))
            about_ray.release()
            course = course_of(paths, config, plans)
            with to_be_resumed(paths):
                return drive(
                    paths, config, plans, executor, display, started, timeline, course, limit=limit,
                    notes=notes,
                )  # fmt: skip


def require_no_run(output: str | Path) -> None:
    """Raise InputError where a folder for run directories is a run directory itself."""
    if RunPaths(Path(output)).journal.is_file():
        parent = shell_word(Path(output).parent)
        raise InputError(
            f"{output}: is a run directory, in which no other run is made; name its folder, "
            f"--output {parent}"
        )


def new_run(output: Path, config: Pipeline) -> RunPaths:
    """Make the folder of a new run, empty yet."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    root = output / f"{config.name}-{stamp}-{secrets.token_hex(2)}"
    try:
        root.mkdir(parents=True)
    except OSError as error:
        raise RunDirectoryError(f"{root}: cannot be made ({error.strerror})") from None
    return RunPaths(root)


@contextmanager
def remove_on_failure(paths: RunPaths, made: list[Path]) -> Iterator[None]:
    """Remove a run directory that could not be made whole, and the folders made for it."""
    try:
        yield
    except BaseException:
        shutil.rmtree(paths.root)
        with suppress(OSError):  # another run may have begun beside it
            for folder in made:
                folder.rmdir()
        raise
