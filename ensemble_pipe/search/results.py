"""The trials of a search as its run directory has them, and their table."""

from collections.abc import Sequence

from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.messages import align_columns, counted, metric_text, printable, truncate
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.strategies import Learners
from ensemble_pipe.search.drivers import driver_of
from ensemble_pipe.search.planning import require_search
from ensemble_pipe.search.trials import (
    Ending,
    Trial,
    TrialLearners,
    best_first,
    ranked,
    short_names,
)
from ensemble_pipe.tracking.run_summary import RunSummary, read_run_summary

SHOWN = 10
_MOST_CELL = 24


def read_trials(paths: RunPaths) -> tuple[str, tuple[Trial, ...]] | None:
    """Return the metric of a search and its trials, the best first; None of a run without a search.

    Raises:
        CorruptFileError: the journal is damaged.
    """
    config, _ = load_pipeline(paths.pipeline)
    return None if config.search is None else trials_of(config, read_run_summary(paths))


def trials_of(config: Pipeline, run: RunSummary) -> tuple[str, tuple[Trial, ...]]:
    """Return the metric of a search and its trials, the best first.

    Args:
        config: of the run, which is a search.
        run: the summary of its journal.
    """
    search = require_search(config)
    metric = search.metric
    groups = config.ensemble.groups[: driver_of(config).total]
    layout = TrialLearners.of(config.splits.folds)
    trials = [
        _trial(run, layout, number, group, metric)
        for number, group in enumerate(groups)
        if isinstance(group, Learners)
    ]
    return metric, tuple(ranked(trials, search))


def _trial(
    run: RunSummary, layout: TrialLearners, number: int, group: Learners, metric: str
) -> Trial:
    learners = layout.of_trial(number)
    members = [run.by_place.get((learner, 0)) for learner in learners]
    ending: Ending = "unfinished"
    if any(learner in run.failed for learner in learners):
        ending = "failed"
    elif any(learner in run.pruned for learner in learners):
        ending = "pruned"
    elif all(members) and not set(run.unfinished).intersection(learners):
        ending = "finished"
    scores = [None if member is None else member.validation.get(metric) for member in members]
    entry, (mean, error) = run.trials.get(number), layout.score(scores)
    if entry is not None:
        mean, error = entry.score, entry.standard_error
    elif any((learner, 1) in run.by_place for learner in learners):
        mean, error = None, None  # of several members together: known when all trials have ended
    parameters = None if entry is None else entry.parameters
    epochs = [run.epochs[learner][-1].epoch for learner in learners if learner in run.epochs]
    last = max(epochs, default=0)
    return Trial(number, group.set or {}, ending, mean, last, {}, error, parameters)


def trials_table(metric: str, trials: tuple[Trial, ...]) -> str:
    """Return the best trials as a table, and how many trials ended in which way.

    Args:
        metric: of the search.
        trials: all of them, the best first.
    """
    paths = list(dict.fromkeys(path for trial in trials for path in trial.values))
    names = short_names(paths)
    head = ["trial", metric, "epochs"]
    head += [path if names[path] in head else names[path] for path in paths]
    best = [trial for trial in trials if trial.score is not None][:SHOWN]
    rows = [
        (
            str(trial.number),
            _score(trial),
            str(trial.epochs),
            *(_cell(trial.values[path]) if path in trial.values else "-" for path in paths),
        )
        for trial in best
    ]
    note = _simpler(metric, best)
    endings = [trial.ending for trial in trials]
    counts = [f"{endings.count(one)} {one}" for one in dict.fromkeys(endings)]
    count = counted(len(trials), "trial")
    return f"{align_columns([head, *rows])}\n({count}: {', '.join(counts)}{note})"


def _simpler(metric: str, best: Sequence[Trial]) -> str:
    """Return a word on a trial that was chosen though another is better; "" for the best one."""
    first = best_first(best, metric)[:1]
    if first == list(best[:1]):
        return ""
    return (
        f"; trial {best[0].number} is the simplest within a standard error of trial "
        f"{first[0].number}: {best[0].parameters:,} parameters, not {first[0].parameters:,}"
    )


def _score(trial: Trial) -> str:
    """Return the score of a trial, with its standard error where that is known."""
    error = "" if trial.standard_error is None else f" ± {metric_text(trial.standard_error)}"
    return ("-" if trial.score is None else metric_text(trial.score)) + error


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return truncate(printable(text), _MOST_CELL)
