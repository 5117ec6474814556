"""Choices in a plan that do not go together with training it again without held-out rows."""

from collections.abc import Iterator

from ensemble_pipe.optim import plateau_of
from ensemble_pipe.training.conflicts import Conflict
from ensemble_pipe.training.plan import LearnerPlan


def refit_conflicts(plan: LearnerPlan) -> Iterator[Conflict]:
    """Yield what does not go together with `splits.refit` in the plan of one learner."""
    if plan.yields_several:
        text = "its members are of one course of training, which splits.refit would end at the last"
        yield ("ensemble", "strategy"), f"{text}; leave one of them out"
    if plan.boosting is not None:
        text = "its networks are weighed by held-out rows, and with splits.refit there are none"
        yield ("ensemble", "strategy"), f"{text}; leave one of them out"
    if plateau_of(plan.schedule) is not None:
        text = "plateau follows the loss of held-out rows, and with splits.refit there are none"
        yield ("training", "schedule", "name"), f"{text}; take cosine, or leave refit out"
