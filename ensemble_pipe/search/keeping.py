"""What a search keeps of its trials: their scores in the journal, and their predictions."""

from collections.abc import Container, Sequence
from dataclasses import replace

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.run.registry import MemberRegistry
from ensemble_pipe.search.trials import Trial, TrialLearners
from ensemble_pipe.serving.predictions import write_predictions
from ensemble_pipe.tracking.scored_trials import TrialEntry


def report_trials(
    registry: MemberRegistry, ordered: Sequence[Trial], learners: TrialLearners, metric: str
) -> None:
    """Report the trials that have a score.

    Args:
        registry: of the run.
        ordered: the trials, the chosen one first.
        learners: of the trials.
        metric: that they are compared by.
    """
    for place, trial in enumerate(ordered):
        registry.end_trial(
            TrialEntry(
                trial.number,
                list(learners.of_trial(trial.number)),
                metric,
                trial.score,
                trial.standard_error,
                trial.parameters or 0,
                winner=place == 0,
            )
        )


def write_trials(
    aggregator: Aggregator, paths: RunPaths, learners: TrialLearners, whole: Container[int]
) -> None:
    """Write what trials predict of the held-out rows, in folds of those of the training part.

    Args:
        aggregator: of the members.
        paths: of the run.
        learners: of the trials.
        whole: the trials that have all of their members.
    """
    folds, part = aggregator.out_of_fold(), "validation"
    members = tuple(m for m in aggregator.members if learners.trial_of(m.learner) in whole)
    every = Combined(members, Weighted.equal(len(members)))
    if folds is not None:
        groups = enumerate(folds.groups)
        units = tuple(place for place, own in groups if learners.trial_of(own[0].learner) in whole)
        every = replace(every, units=units, of_units=Weighted.equal(len(units)))
        part = "train"
    write_predictions(paths.predictions("trials"), paths.part(part), aggregator.measure(every))
