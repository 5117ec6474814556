"""Members that are scikit-learn estimators."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members.estimator_files import read_estimator
from ensemble_pipe.nn.blas import one_thread

# Another number of rows in a product changes its last bits, so every call has as many.
CHUNK_ROWS = 1024
# The least probability of a class: trees and neighbours may give 0, whose log is no number.
PROBABILITY_FLOOR = 1e-6


@dataclass(frozen=True)
class EstimatorMember:
    """A scikit-learn estimator.

    Attributes:
        learner: that it comes from.
        kind: as pipelines name it, such as "random_forest".
        content: the fitted estimator, as `training.estimators` keeps it.
        number, step: 0: its learner has no other, and no steps.
        noise: variance of its errors for each target, standardised; () for classes.
    """

    learner: int
    kind: str
    content: bytes
    number: int = 0
    step: int = 0
    noise: tuple[float, ...] = ()

    @cached_property
    def estimator(self) -> Any:
        """The estimator, read once.

        Raises:
            CorruptFileError: the content is none that may be read.
        """
        return read_estimator(self.content, f"learner {self.learner} ({self.kind})")

    def require_fit(self, schema: Schema) -> None:
        """Check that the estimator takes the schema's rows and gives what they want.

        Raises:
            ValueError: it does not; says for what it is.
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

    def outputs(self, schema: Schema, read: Read, rows: int) -> Floats:
        """Return log-probabilities (R, O), or means (R, D), float32."""
        inputs = np.zeros((CHUNK_ROWS, *schema.input_shape), np.float32)
        outputs = np.empty((rows, len(schema.classes) or schema.target_count), np.float32)
        with one_thread():
            for start in range(0, rows, CHUNK_ROWS):
                stop = min(start + CHUNK_ROWS, rows)
                read(start, stop, inputs[: stop - start])
                inputs[stop - start :] = 0
                flat = inputs.reshape(CHUNK_ROWS, prod(schema.input_shape))
                outputs[start:stop] = self._predicted(flat, schema)[: stop - start]
        return outputs

    def _predicted(self, inputs: Floats, schema: Schema) -> Floats:
        if schema.task == "regression":
            return np.asarray(self.estimator.predict(inputs)).reshape(len(inputs), -1)
        probabilities = np.full((len(inputs), len(schema.classes)), PROBABILITY_FLOOR)
        found = self.estimator.predict_proba(inputs)
        probabilities[:, self.estimator.classes_] = np.maximum(found, PROBABILITY_FLOOR)
        logs: Floats = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
        return logs
