"""Members that learners yield: while they train, or when they are fitted."""

from collections.abc import Iterator

from ensemble_pipe.data.learner_view import feature_mask
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members.boosted import BoostedMember
from ensemble_pipe.ensemble.members.estimator import EstimatorMember
from ensemble_pipe.ensemble.members.fitted import FittedMember
from ensemble_pipe.ensemble.members.library import KINDS
from ensemble_pipe.ensemble.members.network import DropoutPass, NetworkMember, SharedPart
from ensemble_pipe.ensemble.members.trees import TreesMember
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState


def members_at(
    plan: LearnerPlan, number: int, state: LearnerState, schema: Schema
) -> Iterator[NetworkMember | BoostedMember]:
    """Yield the members of a learner at a checkpoint.

    One, or one for each pass of dropout, or each of those that share its weights.

    Their rows are copies: what Ray sends lies in memory that it wants back.

    Args:
        plan: of the learner.
        number: of the checkpoint among those of the learner that yield members.
        state: of the learner there.
        schema: of the data.
    """
    mask = feature_mask(plan.view, plan.seed, plan.learner, schema.spans)
    if plan.boosting is not None:
        factors = state.counters.boosting.factors
        rows = state.slots["chain"][: len(factors)].copy()
        yield BoostedMember(
            plan.learner, number, state.step, plan.network, plan.loss, rows, factors, mask,
            plan.scale,
        )  # fmt: skip
        return
    count, row = plan.members_at_once, state.member_row.copy()
    for index in range(count):
        dropout = None if plan.dropout_passes is None else DropoutPass(plan.seed, index)
        part = None if plan.sharing is None else SharedPart(plan.sharing, index)
        yield NetworkMember(
            plan.learner, number * count + index, state.step, plan.network, plan.loss,
            row, mask, dropout, part, plan.scale,
        )  # fmt: skip


_BY_SUFFIX: dict[str, type[FittedMember]] = {
    kind.suffix: kind for kind in (EstimatorMember, TreesMember, *KINDS.values())
}


def fitted_member(plan: EstimatorPlan, suffix: str, content: bytes) -> FittedMember:
    """Return the one member of a learner without steps.

    Args:
        plan: of the learner.
        suffix, content: of the file that holds it.
    """
    return _BY_SUFFIX[suffix](plan.learner, 0, 0, plan.settings.strategy, content)
