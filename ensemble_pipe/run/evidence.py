"""What the members of a session are combined by: out-of-fold predictions, or held-out rows."""

from collections.abc import Mapping

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.core.errors import ConfigError, EnsemblePipeError, TrainingError
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.folding import Folding
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble import out_of_fold
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.cross_fitting import Folds
from ensemble_pipe.ensemble.decisions import Decide
from ensemble_pipe.ensemble.out_of_fold import OutOfFold
from ensemble_pipe.run.time_limit import TimeLimit


def folds_of(plans: Plans, data: TrainingData) -> Folds | None:
    """Return the folds of the training part, where every learner leaves out one."""
    if plans.folds is None:
        return None
    row_groups = data.row_groups("train")
    folds = plans.folds
    count = folds.per_partition if isinstance(folds, Folding) else folds
    return Folds(count, data.partitions(folds), plans.fold_groups, row_groups)


def cross_validated(
    plans: Plans, aggregator: Aggregator, data: TrainingData, draws: PredictionDraws
) -> OutOfFold | None:
    """Return the predictions of whole cross-validated groups, which a validation part is beside.

    None where there is no such group, and of a run in folds: its aggregator has all of them.
    """
    if plans.folds is not None:
        return None
    members = aggregator.members
    return out_of_fold.out_of_fold(plans.fold_groups, members, aggregator.schema, data, draws)


def fold_warnings(plans: Plans, aggregator: Aggregator, how: Combine) -> tuple[str, ...]:
    """Return a warning for each group left out of the ensemble because folds are missing."""
    members = aggregator.members
    if aggregator.folds is not None:
        return tuple(aggregator.folds.left_out_messages(members))
    if how.evidence != "out_of_fold":
        return ()
    return tuple(out_of_fold.left_out_messages(plans.fold_groups, members))


def require_evidence(
    folds: OutOfFold | None, how: Combine, decide: Decide | None, failed: Mapping[int, str]
) -> None:
    """Check that there is something to fit the combiner to, where no rows are held out.

    Args:
        folds: out-of-fold predictions, if any.
        how, decide: of the ensemble.
        failed: why learners failed, by learner.

    Raises:
        TrainingError: there is nothing.
    """
    if folds is None and (how.fits or (decide is not None and decide.fits)):
        raise TrainingError(
            "no group has all of its folds, and no rows are held out that the members could "
            f"be combined by; raise validation_fraction ({_reasons(failed)})"
        )


def no_members(failed: Mapping[int, str], limit: TimeLimit, has_come: bool) -> EnsemblePipeError:
    """Return the error of a session that has no member, `has_come` if its limit ended training."""
    if failed:
        return TrainingError(f"no learner was trained to the end: {_reasons(failed)}")
    if has_come:
        return ConfigError(limit.too_short())
    return TrainingError(
        "no learner is finished or has a first checkpoint, as the end of an epoch makes one, so "
        "there is no ensemble yet; train on, without `--finish`"
    )


def _reasons(failed: Mapping[int, str]) -> str:
    return "; ".join(f"learner {learner}: {why}" for learner, why in failed.items())
