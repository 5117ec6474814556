"""Members that are scikit-learn estimators."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members.estimator_files import read_estimator
from ensemble_pipe.ensemble.members.member import MemberRecord, SavedFiles
from ensemble_pipe.ensemble.members.versions import MemberAlone
from ensemble_pipe.nn.blas import one_thread, position_changes_bits

# Another number of rows in a product changes its last bits, so every call has as many.
CHUNK_ROWS = 1024
# The least probability of a class: trees and neighbours may give 0, whose log is no number.
PROBABILITY_FLOOR = 1e-6
FILE_PATTERN = r"^estimator-\d+\.skops$"


@dataclass(frozen=True)
class EstimatorMember(MemberAlone):
    """A scikit-learn estimator.

    Attributes:
        learner, number, step, noise: see `Member`; its learner has one member and no steps.
        strategy: that pipelines name it by, such as "random_forest".
        content: the fitted estimator, as a skops file.
    """

    strategy: str
    content: bytes

    @property
    def kind(self) -> str:
        """See `Member`."""
        return self.strategy

    @cached_property
    def estimator(self) -> Any:
        """The estimator, read once.

        Raises:
            CorruptFileError: the content is none that may be read.
        """
        return read_estimator(self.content, f"learner {self.learner} ({self.strategy})")

    def require_fit(self, schema: Schema) -> None:
        """Check that the estimator takes the schema's rows and predicts its targets.

        Raises:
            ValueError: it does not; names what it is for.
            CorruptFileError: the content is none that may be read.
        """
        features = prod(schema.input_shape)
        if getattr(self.estimator, "n_features_in_", None) != features:
            raise ValueError(f"its estimator is not for rows of {features} numbers")
        if schema.task == "classification":
            known = np.asarray(getattr(self.estimator, "classes_", []))
            whole = known.dtype.kind in "iu" and known.ndim == 1
            if not whole or not ((known >= 0) & (known < len(schema.classes))).all():
                raise ValueError(f"its estimator is not for {len(schema.classes)} classes")
        elif np.size(self.estimator.predict(np.zeros((1, features)))) != schema.target_count:
            raise ValueError(f"its estimator is not for {schema.target_count} targets")

    def to_dict(self) -> dict[str, Any]:
        """See `Member`."""
        return {
            "kind": "estimator",
            **self.identity(),
            "strategy": self.strategy,
            "file": self._file_name,
        }

    def files(self) -> dict[str, bytes]:
        """See `Member`."""
        return {self._file_name: self.content}

    def load(self) -> None:
        """See `Member`."""
        _ = self.estimator

    def computed_rows(self, rows: int) -> int:
        """See `Member`."""
        return CHUNK_ROWS * -(-rows // CHUNK_ROWS)

    @property
    def _file_name(self) -> str:
        return f"estimator-{self.learner:04d}.skops"

    def _predict(self, schema: Schema, read: Read, rows: int) -> Floats:
        """See `MemberAlone`."""
        inputs: Floats = np.zeros((CHUNK_ROWS, *schema.input_shape), np.float32)
        outputs = np.empty((rows, len(schema.classes) or schema.target_count), np.float32)
        with one_thread():
            for start in range(0, rows, CHUNK_ROWS):
                stop = min(start + CHUNK_ROWS, rows)
                read(start, stop, inputs[: stop - start])
                inputs[stop - start :] = 0
                flat = inputs.reshape(CHUNK_ROWS, prod(schema.input_shape)).astype(self._type)
                outputs[start:stop] = self._predict_chunk(flat, schema)[: stop - start]
        return outputs

    @property
    def _type(self) -> type[np.floating]:
        """The type of inputs, in which a linear model multiplies by BLAS.

        Where the bits of a product of float32 depend on a row's position, those of float64 do not.
        """
        linear = hasattr(self.estimator, "coef_")
        return np.float64 if linear and position_changes_bits(CHUNK_ROWS) else np.float32

    def _predict_chunk(self, inputs: Floats, schema: Schema) -> Floats:
        if schema.task == "regression":
            return np.asarray(self.estimator.predict(inputs)).reshape(len(inputs), -1)
        probabilities = np.full((len(inputs), len(schema.classes)), PROBABILITY_FLOOR)
        found = self.estimator.predict_proba(inputs)
        probabilities[:, self.estimator.classes_] = np.maximum(found, PROBABILITY_FLOOR)
        logs: Floats = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
        return logs


class EstimatorRecord(MemberRecord):
    """Of a scikit-learn estimator, which has a file of its own."""

    file_pattern: ClassVar[str | None] = FILE_PATTERN

    kind: Literal["estimator"]
    strategy: str
    file: Annotated[str, Field(pattern=FILE_PATTERN)]

    def _member(self, schema: Schema, saved: SavedFiles) -> EstimatorMember:
        if self.file not in saved.files:
            raise ValueError(f"{self.file} is not among the files")
        content = saved.files[self.file]
        member = EstimatorMember(
            self.learner, self.number, self.step, self.strategy, content, noise=self.noise
        )
        member.require_fit(schema)
        return member
