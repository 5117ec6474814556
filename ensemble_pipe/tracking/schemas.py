"""Schemas of the documents within journal entries, such as a run's pipeline.

A document is checked against its schema and stays as it was read: views show the whole of it, also
what the schema does not name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, MinLen
from pydantic import GetCoreSchemaHandler, Strict
from pydantic_core import CoreSchema, core_schema

from ensemble_pipe.core.documents import Count, Flag, Number


@dataclass(frozen=True)
class CheckedBy:
    """Annotates plain values that are checked against a schema and kept as they are."""

    schema: Any

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = handler.generate_schema(self.schema)
        return core_schema.no_info_wrap_validator_function(_check, inner)


def _check(value: Any, validate: Callable[[Any], Any]) -> Any:
    validate(value)
    return value


@dataclass(frozen=True)
class NamedSchema:
    name: str


@dataclass(frozen=True)
class AugmentSchema:
    policy: list[NamedSchema]


@dataclass(frozen=True)
class TrainingSchema:
    epochs: Count
    batch_size: Count | str
    optimizer: NamedSchema
    schedule: NamedSchema


@dataclass(frozen=True)
class CombineSchema:
    method: str


@dataclass(frozen=True)
class GroupSchema:
    """A group of learners; predictions that are read from a file are one learner."""

    strategy: str
    learners: Count = 1


@dataclass(frozen=True)
class EnsembleSchema:
    """The section `ensemble` of a pipeline."""

    strategy: str
    learners: Count
    combine: CombineSchema
    pool: Annotated[list[GroupSchema], MinLen(1)] | None = None

    @property
    def size(self) -> int:
        """The number of learners."""
        return self.learners if self.pool is None else sum(group.learners for group in self.pool)


@dataclass(frozen=True)
class ViewSchema:
    bootstrap: Flag
    folds: Count | None
    balance_classes: Flag
    features: Number


@dataclass(frozen=True)
class PipelineSchema:
    """A resolved pipeline, as far as the views of a run read it."""

    name: str
    task: str
    seed: Annotated[int, Strict()]
    data: dict[str, Any]
    augment: AugmentSchema
    network: NamedSchema
    training: TrainingSchema
    ensemble: EnsembleSchema
    view: ViewSchema
    splits: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RowsSchema:
    """The number of rows of each part; of a run in folds there are two."""

    train: Annotated[int, Strict(), Ge(1)]
    test: Count
    stop: Count | None = None
    validation: Count | None = None


@dataclass(frozen=True)
class PlanSchema:
    """The plan of a learner: a network, a scikit-learn estimator, or predictions from a file."""

    network: NamedSchema | None = None
    estimator: GroupSchema | None = None
    predictions: NamedSchema | None = None

    def __post_init__(self) -> None:
        if not any((self.network, self.estimator, self.predictions)):
            raise ValueError("names no network, no estimator and no predictions")


Rise = tuple[Number | None, Number | None, Number | None]


@dataclass(frozen=True)
class ColumnRises:
    """An `importance.ColumnImportance`, with None for what is not finite.

    Attributes:
        name: of the column.
        nll, score: the rise or fall, and the low and the high end of its interval.
    """

    name: str
    nll: Rise
    score: Rise


@dataclass(frozen=True)
class CandidateScores:
    """A `combiners.Candidate`, with None for what is not finite."""

    name: str
    temperature: Flag
    nll: Number | None
    standard_error: Number | None
    excess: Number | None
    excess_error: Number | None
    loss: Number | None = None


@dataclass(frozen=True)
class LearnerUnderWay:
    """A learner whose training had begun and not ended at the result.

    Attributes:
        share: of its steps that it had taken; None of a learner without steps.
        is_member: whether the ensemble has what it had yielded.
        is_left_out: whether it was a candidate that the ensemble was combined without.
    """

    learner: Count
    share: Number | None
    is_member: Flag
    is_left_out: Flag = False
