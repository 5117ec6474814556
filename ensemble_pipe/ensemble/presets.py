"""Presets: whole ensembles by one word."""

from dataclasses import replace

from ensemble_pipe.ensemble.strategies import EnsembleSettings, Group, Learners
from ensemble_pipe.training.estimator_settings import HistogramBoosting

# Keys of `ensemble` that say which learners there are, as a preset does.
OF_LEARNERS = (
    "strategy", "learners", "every", "last", "passes", "rounds", "shrinkage", "vary", "set", "pool",
)  # fmt: skip
NETWORKS, BOOSTED = 5, 3


def expand_preset(
    ensemble: EnsembleSettings, folds: int | None, *, choose: bool = True
) -> EnsembleSettings:
    """Return the ensemble that a preset stands for, which no longer has a preset.

    "fast" is the ensemble that all other keys describe. "best" is a pool of networks and boosted
    trees, which differ most where both are good, combined by what fits them best.

    Args:
        ensemble: of a pipeline.
        folds: where learners leave out folds of the whole run, each of which needs a learner.
        choose: whether "best" says how members are combined.
    """
    plain = replace(ensemble, preset=None)
    if ensemble.preset != "best":
        return plain
    pool: tuple[Group, ...] = (
        Learners(learners=max(NETWORKS, folds or 0)),
        HistogramBoosting(learners=max(BOOSTED, folds or 0)),
    )
    how = replace(ensemble.combine, method="choose") if choose else ensemble.combine
    return replace(plain, pool=pool, combine=how)
