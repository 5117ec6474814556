"""Members of the ensemble, of several kinds, behind one contract: see `member`."""

from ensemble_pipe.ensemble.members.boosted import BoostedMember
from ensemble_pipe.ensemble.members.estimator import EstimatorMember
from ensemble_pipe.ensemble.members.external import ExternalMember, external_members
from ensemble_pipe.ensemble.members.fitted import FittedMember
from ensemble_pipe.ensemble.members.from_training import fitted_member, members_at
from ensemble_pipe.ensemble.members.member import NO_EXTERNAL, ExternalOutputs, Member
from ensemble_pipe.ensemble.members.network import DropoutPass, NetworkMember, SharedPart
from ensemble_pipe.ensemble.members.outputs import (
    member_outputs,
    raw_outputs,
    with_noise,
    with_variance,
)

__all__ = [
    "NO_EXTERNAL",
    "BoostedMember",
    "DropoutPass",
    "EstimatorMember",
    "ExternalMember",
    "ExternalOutputs",
    "FittedMember",
    "Member",
    "NetworkMember",
    "SharedPart",
    "external_members",
    "fitted_member",
    "member_outputs",
    "members_at",
    "raw_outputs",
    "with_noise",
    "with_variance",
]
