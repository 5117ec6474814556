"""The kinds of members that a model may hold: a new kind is added here, in the union."""

from typing import Annotated, get_args

from pydantic import Field

from ensemble_pipe.ensemble.members.boosted import BoostedRecord
from ensemble_pipe.ensemble.members.estimator import EstimatorRecord
from ensemble_pipe.ensemble.members.external import ExternalRecord
from ensemble_pipe.ensemble.members.library import LibraryRecord
from ensemble_pipe.ensemble.members.network import NetworkRecord
from ensemble_pipe.ensemble.members.trees import TreesRecord

_Record = (
    NetworkRecord | BoostedRecord | EstimatorRecord | TreesRecord | LibraryRecord | ExternalRecord
)
AnyMemberRecord = Annotated[_Record, Field(discriminator="kind")]

# Of the names of all files that members may have.
FILE_PATTERNS: tuple[str, ...] = tuple(
    record.file_pattern for record in get_args(_Record) if record.file_pattern is not None
)
