"""Members: one predictor each, of several kinds, and the outputs of many at once."""

from ensemble_pipe.ensemble.members.boosted import BoostedMember
from ensemble_pipe.ensemble.members.estimator import EstimatorMember
from ensemble_pipe.ensemble.members.given import GivenMember
from ensemble_pipe.ensemble.members.network import DropoutPass, NetworkMember, members_at
from ensemble_pipe.ensemble.members.outputs import (
    NONE_GIVEN,
    Given,
    Member,
    member_outputs,
    raw_outputs,
    with_noise,
    with_variance,
)

__all__ = [
    "NONE_GIVEN",
    "BoostedMember",
    "DropoutPass",
    "EstimatorMember",
    "Given",
    "GivenMember",
    "Member",
    "NetworkMember",
    "member_outputs",
    "members_at",
    "raw_outputs",
    "with_noise",
    "with_variance",
]
