"""The functions `search`, `refine`, `resume` and `combine`, behind the commands of these names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ensemble_pipe.config import yaml_documents
from ensemble_pipe.config.conversion import resolve, validate
from ensemble_pipe.config.file_names import with_name
from ensemble_pipe.config.reading import load_pipeline, require_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.errors import ConfigError, RunDirectoryError
from ensemble_pipe.core.interruption import handle_signals
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.run import pipeline as runs
from ensemble_pipe.run import recombination
from ensemble_pipe.run.display import Display, Silent
from ensemble_pipe.run.lifecycle import RunResult
from ensemble_pipe.run.notes import Notes
from ensemble_pipe.run.preparation import Prepared
from ensemble_pipe.run.starting import start
from ensemble_pipe.run.time_limit import TimeLimit
from ensemble_pipe.run.unchanged import require_same_settings
from ensemble_pipe.search.course import SearchCourse
from ensemble_pipe.search.drivers import first_trials
from ensemble_pipe.search.nested import Nested, nested_cross_validation
from ensemble_pipe.search.planning import require_space_fits
from ensemble_pipe.search.refinement import LONGER, Refined, refined
from ensemble_pipe.search.results import read_trials, trials_table
from ensemble_pipe.search.trials import Trial
from ensemble_pipe.training.components import takes_components

__all__ = ["SearchResult", "combine", "refine", "refined_of", "resume", "search"]


@dataclass(frozen=True, repr=False)
class SearchResult:
    """The result of a search; its `repr` is a table of the best trials, and of the run's metrics.

    Attributes:
        run: of the ensemble that was made of the trials.
        metric: that trials are compared by, on the validation part.
        trials: all of them, the chosen one first, those without a score last.
        nested: the estimate of nested cross-validation; None without one.
    """

    run: RunResult
    metric: str
    trials: tuple[Trial, ...]
    nested: Nested | None = None

    def __repr__(self) -> str:
        return f"SearchResult\n{trials_table(self.metric, self.trials)}\n{self.run!r}"


@handle_signals()
@takes_components
def search(
    pipeline: str | Path | Pipeline,
    *,
    output: str | Path = "runs",
    address: str | None = None,
    inline: bool = False,
    display: Display | None = None,
    components: Sequence[type[Any]] = (),
    timeline: Timeline | None = None,
    time_limit: float | str | None = None,
    **overrides: Any,
) -> SearchResult:
    """Search for hyperparameters: see `ensemble_pipe.search`, which is this function for users.

    `timeline` is where the stages of the search are recorded, by default a new one.
    """
    timeline = timeline or Timeline()
    with timeline.stage("pipeline"):
        config, document = _read(pipeline, overrides)
        config, plans = first_trials(config, document)
    limit = _limit_of(config, time_limit, timeline)
    display = display or Silent()
    done = start(
        config, plans, SearchCourse, output, address, inline, display, timeline, limit, _watch
    )
    return _whole(done, address=address, inline=inline, display=display)


@handle_signals()
@takes_components
def refine(
    run_dir: str | Path,
    *,
    longer: float = LONGER,
    output: str | Path | None = None,
    address: str | None = None,
    inline: bool = False,
    display: Display | None = None,
    components: Sequence[type[Any]] = (),
    timeline: Timeline | None = None,
    time_limit: float | str | None = None,
    **overrides: Any,
) -> SearchResult:
    """Refine a finished search: see `ensemble_pipe.refine`, which is this function for users.

    `timeline` is where the stages of the search are recorded, by default a new one.
    """
    timeline, display = timeline or Timeline(), display or Silent()
    with timeline.stage("pipeline"):
        found = refined_of(run_dir, longer, overrides)
        config, plans = first_trials(validate(found.document), found.document)
    limit = _limit_of(config, time_limit, timeline)
    display.message(found.text(whole=False))
    folder = Path(run_dir).resolve().parent if output is None else output
    done = start(
        config, plans, SearchCourse, folder, address, inline, display, timeline, limit, _watch
    )
    return _whole(done, address=address, inline=inline, display=display)


def refined_of(run_dir: str | Path, longer: float, overrides: dict[str, Any]) -> Refined:
    """Return the refined search of a finished one.

    Args:
        run_dir, longer: as for `refine`.
        overrides: values of the refined pipeline by path.

    Raises:
        RunDirectoryError: it is no run directory, or has not finished.
        ConfigError: it is no search, no trial has a score, or `longer` is less than 1.
        CorruptFileError: a file of the run is damaged.
    """
    paths = RunPaths.open(Path(run_dir))
    require_same_settings(paths)
    config, _ = load_pipeline(paths.pipeline)
    if config.search is None:
        raise ConfigError(
            f"{run_dir}: is a run without a search, so there is nothing to refine; name the "
            "directory of a search"
        )
    if runs.status_of(run_dir) != "FINISHED":
        raise RunDirectoryError(
            f"{run_dir}: has not finished; `ensemble-pipe resume {shell_word(run_dir)}` finishes it"
        )
    found = read_trials(paths)
    assert found is not None
    return refined(config, found[1], longer, str(run_dir)).with_overrides(overrides)


@handle_signals()
@takes_components
def resume(run_dir: str | Path, **options: Any) -> SearchResult | RunResult:
    """Continue an interrupted search, or run, with bitwise the same result.

    Args:
        run_dir: a run directory, of a search or not.
        options: those of `run.pipeline.resume`, which this is for runs.

    Returns:
        A `SearchResult` of a search, else a `RunResult`.

    Raises:
        ConfigError: a nested search is to end by a time limit.
    """
    if options.get("time_limit") is not None:
        _require_not_nested(load_pipeline(RunPaths.open(Path(run_dir)).pipeline)[0])
    done = runs.resume(run_dir, search_of=SearchCourse, **options)
    if read_trials(RunPaths(Path(done.run_dir))) is None:
        return done
    return _whole(done, **options) if options.get("train", True) else _result(done)


def _limit_of(config: Pipeline, time_limit: float | str | None, timeline: Timeline) -> TimeLimit:
    """Return the time limit of a search; raise ConfigError where a nested one has it."""
    limit = runs.limit_of(config, time_limit, config.time_limit, timeline)
    if limit.is_set:
        _require_not_nested(config)
    return limit


def _require_not_nested(config: Pipeline) -> None:
    if config.search is not None and config.search.nested is not None:
        raise ConfigError(
            "time_limit: search.nested takes as long as so many searches more; leave one out"
        )


def _watch(prepared: Prepared, display: Display, notes: Notes) -> Display:
    """Check the space of a search against its data; see `start`."""
    require_space_fits(prepared.config, prepared.schema, prepared.rows["train"])
    return display


def combine(run_dir: str | Path, **options: Any) -> RunResult:
    """Combine the members of a finished run, or the trials of a search, anew.

    Args:
        run_dir: a run directory, of a search or not.
        options: those of `run.recombination.combine`, which this is for runs.
    """
    return recombination.combine(run_dir, search_of=SearchCourse, **options)


def _read(pipeline: str | Path | Pipeline, overrides: dict[str, Any]) -> tuple[Pipeline, Document]:
    require_pipeline(pipeline, overrides)
    if not isinstance(pipeline, Pipeline):
        read = with_name(yaml_documents.read_document(Path(pipeline)), Path(pipeline))
        document = read.with_overrides(overrides)
        return validate(document), document
    return pipeline, Document("pipeline", resolve(pipeline))


def _whole(
    done: RunResult,
    *,
    address: str | None = None,
    inline: bool = False,
    display: Display | None = None,
    accept_changes: bool = False,
    **_: Any,
) -> SearchResult:
    """Return the result of a search, after its nested cross-validation, if it has one.

    Args:
        done: the search, which has ended.
        address, inline, display, accept_changes: as for `resume`, whose other options are those of
            the search itself.
    """
    shown = display or Silent()

    def begin(config: Pipeline, document: Document, folder: Path) -> None:
        own, plans = first_trials(config, document)
        start(own, plans, SearchCourse, folder, address, inline, shown, Timeline(), watch=_watch)

    def go_on(run_dir: Path) -> None:
        runs.resume(
            run_dir, address=address, inline=inline, display=shown,
            accept_changes=accept_changes, search_of=SearchCourse,
        )  # fmt: skip

    paths = RunPaths(Path(done.run_dir))
    nested = None if done.left_undone else nested_cross_validation(paths, begin, go_on, shown)
    return replace(_result(done), nested=nested)


def _result(done: RunResult) -> SearchResult:
    found = read_trials(RunPaths(Path(done.run_dir)))
    assert found is not None
    return SearchResult(done, *found)
