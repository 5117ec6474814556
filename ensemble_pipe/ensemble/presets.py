"""Presets: whole ensembles by one word."""

from dataclasses import replace

from ensemble_pipe.ensemble.strategies import OF_A_GROUP, EnsembleSettings, Group, Learners
from ensemble_pipe.training.estimator_settings import HistogramBoosting

# Keys of `ensemble` that say which learners there are, as a preset does.
OF_LEARNERS = (*OF_A_GROUP, "vary", "set", "pool")
OF_SHARED = ("strategy", "learners", "members", "form")
NETWORKS, BOOSTED = 5, 3
# An ensemble of ensembles: members of a learner share weights, learners only the rows.
SHARED = Learners(strategy="shared", learners=4, members=4, form="full")


def expand_preset(
    ensemble: EnsembleSettings, folds: int | None, *, shares: bool = False, choose: bool = True
) -> EnsembleSettings:
    """Return the ensemble that a preset stands for, which no longer has a preset.

    "fast", as none, is the ensemble that all other keys describe. "best" is a pool of networks and
    boosted trees, which differ most where both are good, combined by what fits them best.

    Args:
        ensemble: of a pipeline.
        folds: where learners leave out folds of the whole run, each of which needs a learner.
        shares: whether networks share weights, as those of `SHARED` do.
        choose: whether "best" says how members are combined.
    """
    plain, group = replace(ensemble, preset=None), SHARED if shares else Learners(learners=NETWORKS)
    if ensemble.preset != "best":
        of_group = {name: getattr(SHARED, name) for name in OF_SHARED}
        return replace(plain, **of_group) if shares else plain
    pool: tuple[Group, ...] = (
        replace(group, learners=max(group.learners, folds or 0)),
        HistogramBoosting(learners=max(BOOSTED, folds or 0)),
    )
    how = replace(ensemble.combine, method="choose") if choose else ensemble.combine
    return replace(plain, pool=pool, combine=how)
