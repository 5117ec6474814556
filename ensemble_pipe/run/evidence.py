"""The out-of-fold predictions that the members of a session are combined by."""

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.folding import Folding
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble import out_of_fold
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.cross_fitting import Folds
from ensemble_pipe.ensemble.out_of_fold import OutOfFold


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
