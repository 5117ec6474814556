"""Choices of an ensemble that do not go together with folds in place of held-out parts."""

from collections.abc import Iterator

from ensemble_pipe.config.yaml_documents import KeyPath
from ensemble_pipe.data.folding import AnyFolds, Folding, total_folds
from ensemble_pipe.ensemble.strategies import EnsembleSettings, ExternalPredictions, Group, Learners


def fold_conflicts(
    ensemble: EnsembleSettings, folds: AnyFolds, *, counts_trials: bool = False
) -> Iterator[tuple[KeyPath, str]]:
    """Yield the path of what does not go together with `splits.folds`, and why.

    `counts_trials` says whether members are counted by the trials of a search, which are whole.
    """
    if ensemble.stop_below_gain is not None:
        text = "splits.folds needs all learners, or some rows are predicted by none"
        yield ("ensemble", "stop_below_gain"), f"{text}; leave one of them out"
    for name in ("keep", "most_members"):
        if getattr(ensemble.combine, name) is not None and not counts_trials:
            text = "counts single members, but under splits.folds those of all folds go together"
            yield ("ensemble", "combine", name), f"{text}; leave it out"
    for number, group in enumerate(ensemble.groups):
        path: KeyPath = ("ensemble",) if ensemble.pool is None else ("ensemble", "pool", number)
        if not isinstance(group, ExternalPredictions):
            yield from _group_conflicts(group, folds, path)


def _group_conflicts(group: Group, folds: AnyFolds, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    total = total_folds(folds)
    what = f"splits.folds {'has' if isinstance(folds, Folding) else 'is'} {total}"
    if group.learners < total:
        text = f"is {group.learners}, but {what}, and each fold is left out by one"
        yield (*path, "learners"), f"{text} learner at least; take {total} or more"
    elif group.leaves_folds_out and group.learners != folds:
        key = "strategy" if isinstance(group, Learners) else "cross_validate"
        text = f"has as many folds as learners, {group.learners}, but {what}"
        yield (*path, key), f"{text}; leave one of them out"
