"""Nested cross-validation: the whole search is done without each outer fold, and tested on it.

The score of the trial that a search chooses is too good, since it was chosen by it. The outer folds
judge the search as a whole, its choice and its ensemble included, on rows that it has not seen
(Varma & Simon 2006, "Bias in error estimation when using cross-validation for model selection";
Cawley & Talbot 2010, "On over-fitting in model selection").
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ensemble_pipe.config.conversion import resolve, validate
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.config.yaml_documents import Document
from ensemble_pipe.core.messages import shell_word
from ensemble_pipe.core.storage import RunPaths, write_json
from ensemble_pipe.run.display import Display
from ensemble_pipe.search.planning import require_search
from ensemble_pipe.search.refinement import without_trials
from ensemble_pipe.search.trials import Score, score_of
from ensemble_pipe.tracking.kinds import Numbers
from ensemble_pipe.tracking.run_summary import read_run_summary

FILE, FOLDER = "nested.json", "nested"

# Start a search of a pipeline in a folder, or go on with one in its directory.
Start = Callable[[Pipeline, Document, Path], Any]
GoOn = Callable[[Path], Any]


@dataclass(frozen=True)
class Nested:
    """The estimate of nested cross-validation.

    Attributes:
        metrics: mean and standard error over the outer folds of each metric of the ensemble, such
            as "accuracy".
        run_dirs: of the search without each outer fold, in order.
    """

    metrics: dict[str, Score]
    run_dirs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        metrics = {name: score._asdict() for name, score in self.metrics.items()}
        return {**asdict(self), "metrics": metrics}


def nested_cross_validation(
    paths: RunPaths, start: Start, go_on: GoOn, display: Display
) -> Nested | None:
    """Do a search without each outer fold, where not done; None where the search has no such fold.

    Args:
        paths: of the finished search; those without outer folds are in a folder there.
        start: start(config, document, folder) starts a search.
        go_on: go_on(run_dir) finishes one.
        display: is told which is under way.

    Raises:
        KeyboardInterrupt: a signal ended one; `resume` of the search itself goes on.
    """
    config, _ = load_pipeline(paths.pipeline)
    count = require_search(config).nested
    if count is None:
        return None
    found: list[Path] = []
    try:
        for fold in range(count):
            display.message(f"nested cross-validation: outer fold {fold + 1} of {count}")
            found.append(_searched(paths.root / FOLDER / str(fold), config, fold, start, go_on))
    except KeyboardInterrupt:
        text = f"stopped; `ensemble-pipe resume {shell_word(paths.root)}` goes on"
        raise KeyboardInterrupt(text) from None
    nested = Nested(_scores([_tested(run_dir) for run_dir in found]), tuple(map(str, found)))
    write_json(paths.root / FILE, nested.to_dict())
    return nested


def _searched(folder: Path, config: Pipeline, fold: int, start: Start, go_on: GoOn) -> Path:
    """Return the directory of the finished search without an outer fold."""
    if not list(_run_dirs(folder)):
        start(*_without_fold(config, fold), folder)
    (run_dir,) = _run_dirs(folder)
    if read_run_summary(RunPaths(run_dir)).status != "FINISHED":
        go_on(run_dir)
    return run_dir


def _run_dirs(folder: Path) -> Iterator[Path]:
    """Yield the run directories in a folder that are complete; a kill may leave half of one."""
    return (path.parent for path in sorted(folder.glob("*/manifest.json")))


def _without_fold(config: Pipeline, fold: int) -> tuple[Pipeline, Document]:
    """Return the pipeline of a search without an outer fold, and its source."""
    search, values = require_search(config), resolve(config)
    values["name"] = f"{config.name}-outer-{fold}"
    values["ensemble"] = without_trials(values["ensemble"], search)
    values["splits"] |= {"outer": {"count": search.nested, "fold": fold}}
    values["search"] |= {"nested": None}
    document = Document(f"outer fold {fold}", values)
    return validate(document), document


def _tested(run_dir: Path) -> Numbers:
    """Return the metrics of the ensemble of a search on its test part."""
    metrics = read_run_summary(RunPaths(run_dir)).metrics
    return {k.removeprefix("test/"): v for k, v in metrics.items() if k.startswith("test/")}


def _scores(folds: list[Numbers]) -> dict[str, Score]:
    return {name: score_of([own.get(name) for own in folds], len(folds)) for name in folds[0]}
