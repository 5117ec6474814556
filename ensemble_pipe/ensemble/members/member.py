"""The contract of every kind of member.

A member is one predictor of an ensemble. Each kind has a file of its own beside this one, with two
classes:

- a `Member`, a frozen dataclass that predicts, and says what of it is saved: a dictionary for
  model.json, tensors and files;
- a `MemberRecord`, the schema of that dictionary, which makes the member again.

`kinds.py` lists the records of all kinds. Nothing else asks which kind a member is of.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.data.schema import Schema

# Outputs (R, O) of external members, by name, as `external.external_outputs` returns them.
ExternalOutputs = Mapping[str, Floats]
NO_EXTERNAL: ExternalOutputs = MappingProxyType({})

Variance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class MemberInputs:
    """Rows to be predicted.

    Attributes:
        schema: of the data.
        reads: of the inputs, in each of their augmented versions, at least one, as
            `nn.inference.outputs_of` takes them.
        rows: R.
        external: of the external members, for these rows.
    """

    schema: Schema
    reads: Sequence[Read]
    rows: int
    external: ExternalOutputs


@dataclass(frozen=True)
class Member(ABC):
    """One predictor of an ensemble.

    Attributes:
        is_trained: whether a learner yields it; others are members from the start.
        is_bounded: whether its means are kept within the bounds of the targets.
        learner: id of the learner that it comes from.
        number: within its learner, counted from 0.
        step: of the learner's training at which it was taken; 0 for learners without steps.
        noise: variance of its errors for each target, standardised; () for classes, and where its
            outputs have a variance for each row.
    """

    is_trained: ClassVar[bool] = True
    is_bounded: ClassVar[bool] = True

    learner: int
    number: int
    step: int
    noise: tuple[float, ...] = field(default=(), kw_only=True)

    @property
    @abstractmethod
    def kind(self) -> str:
        """What the member is, for tables."""

    @classmethod
    @abstractmethod
    def predict(cls, members: Sequence[Self], inputs: MemberInputs) -> list[Floats]:
        """Return the outputs (R, O) float32 of members of this kind, in order.

        They are logits of classes, or means of D targets, with D variances behind them where the
        member predicts these. Over several versions of the rows they are those of the mean
        prediction, see `versions.mean_over_versions`.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what stands in model.json, as plain values, which a `MemberRecord` reads."""

    def tensors(self) -> dict[str, Floats]:
        """Return the arrays that are saved, by name."""
        return {}

    def files(self) -> dict[str, bytes]:
        """Return the contents of the files that are saved, by name."""
        return {}

    def load(self) -> None:  # noqa: B027  # most kinds have nothing to load
        """Load what predictions load on first use, so that they can be timed without it."""

    def computed_rows(self, rows: int) -> int:
        """Return how many rows are computed to predict R rows."""
        return rows

    def rounds(self, schema: Schema) -> int | None:
        """Return the rounds of its boosted trees, of several targets the mean; None without any.

        Args:
            schema: of the data.
        """
        return None

    def identity(self) -> dict[str, Any]:
        """Return what `to_dict` says of members of every kind."""
        return {
            "learner": self.learner,
            "number": self.number,
            "step": self.step,
            "noise": list(self.noise),
        }


class SavedFiles(NamedTuple):
    """What is saved beside model.json.

    Attributes:
        tensors: by name.
        files: contents, by name.
    """

    tensors: Mapping[str, Floats]
    files: Mapping[str, bytes]


class MemberRecord(BaseModel, ABC):
    """What model.json holds of a member; `kind` says of which kind it is.

    Attributes:
        file_pattern: regular expression of the names of the kind's files; None for none.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)
    file_pattern: ClassVar[str | None] = None

    learner: int
    number: int
    step: int
    noise: tuple[Variance, ...]

    def member(self, schema: Schema, saved: SavedFiles) -> Member:
        """Return the member.

        Args:
            schema: of the data.
            saved: tensors and files of the model.

        Raises:
            ValueError: record, schema and files do not agree.
            CorruptFileError: a file cannot be read.
        """
        targets = schema.target_count if schema.task == "regression" else 0
        if len(self.noise) not in (0, targets):
            raise ValueError(f"it has {len(self.noise)} noise variances for {targets} targets")
        return self._member(schema, saved)

    @abstractmethod
    def _member(self, schema: Schema, saved: SavedFiles) -> Member:
        """See `member`; the noise fits the schema."""
