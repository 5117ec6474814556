"""Distributed ensembles of NumPy neural networks on Ray, fed by Arrow, tracked in MLflow.

    >>> import ensemble_pipe
    >>> sorted(ensemble_pipe.__all__)  # doctest: +ELLIPSIS
    ['Ensemble', 'EnsembleClassifier', ..., 'load', 'refine', 'run', 'search']

`run` trains an ensemble from a pipeline file, `search` one of the best of many trials, `combine`
makes another one of a run's members; `list_runs` says what there is; `load` reads the trained model
back, and `importance` says which columns matter to it. The estimators are ensembles behind
scikit-learn's interface.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Rooms and the functions below share a name. A room is loaded first, so that the function keeps it:
# importing a module sets the attribute of its package only once.
import ensemble_pipe.run
import ensemble_pipe.search  # noqa: F401
from ensemble_pipe.core import errors as _errors

if TYPE_CHECKING:
    from ensemble_pipe.config.sections import Pipeline
    from ensemble_pipe.estimators import EnsembleClassifier, EnsembleRegressor
    from ensemble_pipe.evaluation.importance import importance
    from ensemble_pipe.run.display import Display
    from ensemble_pipe.run.lifecycle import RunResult
    from ensemble_pipe.search.listing import ListedRun, list_runs
    from ensemble_pipe.search.pipeline import SearchResult
    from ensemble_pipe.serving.model import Ensemble, load

__version__ = "0.1.0"

# The code in MLflow models that were logged before errors lay in `core` imports them by this name.
sys.modules[f"{__name__}.errors"] = _errors

__all__ = [
    "Ensemble",
    "EnsembleClassifier",
    "EnsembleRegressor",
    "ListedRun",
    "RunResult",
    "SearchResult",
    "__version__",
    "combine",
    "importance",
    "list_runs",
    "load",
    "refine",
    "run",
    "search",
]

_HOMES = {
    "Ensemble": "ensemble_pipe.serving.model",
    "EnsembleClassifier": "ensemble_pipe.estimators",
    "EnsembleRegressor": "ensemble_pipe.estimators",
    "ListedRun": "ensemble_pipe.search.listing",
    "RunResult": "ensemble_pipe.run.lifecycle",
    "SearchResult": "ensemble_pipe.search.pipeline",
    "importance": "ensemble_pipe.evaluation.importance",
    "list_runs": "ensemble_pipe.search.listing",
    "load": "ensemble_pipe.serving.model",
}


def run(
    pipeline: "str | Path | Pipeline",
    *,
    output: str | Path = "runs",
    address: str | None = None,
    inline: bool = False,
    display: "Display | None" = None,
    components: Sequence[type[Any]] = (),
    time_limit: float | str | None = None,
    **overrides: Any,
) -> "RunResult":
    """Run a pipeline: train an ensemble, measure it, and log it to MLflow.

    Args:
        pipeline: a YAML file, or a `config.sections.Pipeline`.
        output: folder that the run directory is made in.
        address: of a Ray cluster: "local" starts one, "auto" finds one, or HOST:PORT; None takes
            the one that `ensemble-pipe up` has started, where it has, else starts one.
        inline: train in this process, without Ray.
        display: what to show meanwhile; by default nothing.
        components: classes of your own that the pipeline names: layers, losses, update rules,
            augmentations and data sources.
        time_limit: seconds, or text such as "5m", after which it returns with the ensemble of what
            is trained by then; None for that of the pipeline.
        overrides: values by path, such as **{"training.epochs": 3}; for a file only.

    Raises:
        InputError: the pipeline or the data is wrong; nothing was started.
        TrainingError, ClusterError: training could not go on; `resume` may finish it.
        KeyboardInterrupt: Ctrl-C ended it, or another signal that its sender handles.
    """
    from ensemble_pipe.run import pipeline as runs
    from ensemble_pipe.search.watching import watch

    return runs.run(
        pipeline,
        output=output,
        address=address,
        inline=inline,
        display=display,
        components=components,
        time_limit=time_limit,
        watch=watch,
        **overrides,
    )


def combine(
    run_dir: str | Path,
    *,
    output: str | Path | None = None,
    display: "Display | None" = None,
    accept_changes: bool = False,
    components: Sequence[type[Any]] = (),
    **overrides: Any,
) -> "RunResult":
    """Make another ensemble of a finished run's members, without training, as a run of its own.

    The result is, bit for bit, that of a run which had these settings from its start.

    Args:
        run_dir: a run directory; it stays as it is.
        output: folder that the new run directory is made in; None for that of `run_dir`.
        display: what to show meanwhile; by default nothing.
        accept_changes: go on although library versions or the processor differ.
        components: as for `run`.
        overrides: values by path, such as **{"ensemble.combine.method": "choose"}.

    Raises:
        ConfigError: a value is invalid or needs training, or there is none.
        RunDirectoryError: it is no run directory, has not finished, or was made elsewhere.
        CorruptFileError: a file of the run is damaged.
    """
    from ensemble_pipe.search import pipeline as searches

    return searches.combine(
        run_dir,
        output=output,
        display=display,
        accept_changes=accept_changes,
        components=components,
        **overrides,
    )


def search(
    pipeline: "str | Path | Pipeline",
    *,
    output: str | Path = "runs",
    address: str | None = None,
    inline: bool = False,
    display: "Display | None" = None,
    components: Sequence[type[Any]] = (),
    time_limit: float | str | None = None,
    **overrides: Any,
) -> "SearchResult":
    """Search for hyperparameters, and make an ensemble of the best trials.

    Args:
        pipeline: a YAML file, or a `config.sections.Pipeline`, with a section `search`.
        output, address, inline, display, components, time_limit, overrides: as for `run`.

    Raises:
        InputError: the pipeline, its search or the data is wrong; nothing was started.
        TrainingError, ClusterError, KeyboardInterrupt: as for `run`; `search.pipeline.resume` goes
            on.
    """
    from ensemble_pipe.search import pipeline as searches

    return searches.search(
        pipeline,
        output=output,
        address=address,
        inline=inline,
        display=display,
        components=components,
        time_limit=time_limit,
        **overrides,
    )


def refine(
    run_dir: str | Path,
    *,
    longer: float = 2.0,
    output: str | Path | None = None,
    address: str | None = None,
    inline: bool = False,
    display: "Display | None" = None,
    components: Sequence[type[Any]] = (),
    time_limit: float | str | None = None,
    **overrides: Any,
) -> "SearchResult":
    """Refine a finished search: search again around its best trials, and train longer.

    From coarse to fine: ranges become those of the best quarter of the trials and a tenth on each
    side, lists keep what these have, and these trials come first again.

    Args:
        run_dir: a run directory of a search; it stays as it is.
        longer: how many times as many epochs, 1 or more.
        output: folder that the new run directory is made in; None for that of `run_dir`.
        address, inline, display, components, time_limit: as for `search`.
        overrides: values by path, such as **{"search.trials": 16}.

    Returns:
        That of the new search, as of `search`.

    Raises:
        InputError: it is no finished search, or the refined one is wrong; nothing was started.
        TrainingError, ClusterError: as for `search`.
    """
    from ensemble_pipe.search import pipeline as searches

    return searches.refine(
        run_dir,
        longer=longer,
        output=output,
        address=address,
        inline=inline,
        display=display,
        components=components,
        time_limit=time_limit,
        **overrides,
    )


def __getattr__(name: str) -> Any:
    # Imported on first use, so that the command line answers `--help` at once.
    if name not in _HOMES:
        raise AttributeError(f"module 'ensemble_pipe' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
