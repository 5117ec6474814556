"""Members that are scikit-learn estimators."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.tables.spread_codes import spread_codes, spread_widths
from ensemble_pipe.ensemble.members.estimator_files import read_estimator
from ensemble_pipe.ensemble.members.fitted import FittedMember, FittedRecord, log_probabilities
from ensemble_pipe.ensemble.members.member import SavedFiles
from ensemble_pipe.nn.blas import one_thread, position_changes_bits
from ensemble_pipe.training.estimator_settings import SKOPS
from ensemble_pipe.training.estimators import EstimatorPlan, is_of_plan

# Another number of rows in a product changes its last bits, so every call has as many.
CHUNK_ROWS = 1024
FILE_PATTERN = r"^estimator-\d+\.skops$"


@dataclass(frozen=True)
class EstimatorMember(FittedMember):
    """A scikit-learn estimator that sees encoded rows."""

    record: ClassVar[str] = "estimator"
    suffix: ClassVar[str] = SKOPS

    @cached_property
    def estimator(self) -> Any:
        """The estimator, read once.

        Raises:
            CorruptFileError: the content is none that may be read.
        """
        return read_estimator(self.content, self.where)

    def require_fit(self, schema: Schema) -> None:
        """See `FittedMember`."""
        features = prod(schema.input_shape)
        if self._features != features:
            if not self._spreads(schema):
                raise ValueError(f"its estimator is not for rows of {features} numbers")
            features = self._features
        if schema.task == "classification":
            known = np.asarray(getattr(self.estimator, "classes_", []))
            whole = known.dtype.kind in "iu" and known.ndim == 1
            if not whole or not ((known >= 0) & (known < len(schema.classes))).all():
                raise ValueError(f"its estimator is not for {len(schema.classes)} classes")
        elif np.size(self.estimator.predict(np.zeros((1, features)))) != schema.target_count:
            raise ValueError(f"its estimator is not for {schema.target_count} targets")

    @property
    def _features(self) -> int:
        return int(getattr(self.estimator, "n_features_in_", -1))

    def _spreads(self, schema: Schema) -> bool:
        """Return whether the estimator was fitted to rows whose codes are features of 0 or 1."""
        counts = schema.code_counts
        width = prod(schema.input_shape) - len(counts) + sum(spread_widths(counts).values())
        return len(counts) > 0 and self._features == width

    def is_of_plan(self, plan: EstimatorPlan, task: Task) -> bool:
        """See `FittedMember`."""
        return is_of_plan(self.estimator, plan, task)

    def load(self) -> None:
        """See `Member`."""
        _ = self.estimator

    def computed_rows(self, rows: int) -> int:
        """See `Member`."""
        return CHUNK_ROWS * -(-rows // CHUNK_ROWS)

    def _predict(self, schema: Schema, read: Read, rows: int) -> Floats:
        """See `MemberAlone`."""
        inputs: Floats = np.zeros((CHUNK_ROWS, *schema.input_shape), np.float32)
        counts = schema.code_counts if self._spreads(schema) else {}
        outputs = np.empty((rows, len(schema.classes) or schema.target_count), np.float32)
        with one_thread():
            for start in range(0, rows, CHUNK_ROWS):
                stop = min(start + CHUNK_ROWS, rows)
                read(start, stop, inputs[: stop - start])
                inputs[stop - start :] = 0
                flat = inputs.reshape(CHUNK_ROWS, prod(schema.input_shape))
                seen = (spread_codes(flat, counts) if counts else flat).astype(self._type)
                outputs[start:stop] = self._predict_chunk(seen, schema)[: stop - start]
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
        found = self.estimator.predict_proba(inputs)
        return log_probabilities(found, self.estimator.classes_, len(schema.classes))


class EstimatorRecord(FittedRecord):
    """Of a scikit-learn estimator."""

    file_pattern: ClassVar[str | None] = FILE_PATTERN

    kind: Literal["estimator"]
    file: Annotated[str, Field(pattern=FILE_PATTERN)]

    def _member(self, schema: Schema, saved: SavedFiles) -> FittedMember:
        return self.of_kind(EstimatorMember, schema, saved)
