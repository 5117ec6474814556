"""Members that are boosted trees."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from ensemble_pipe.core.arrays import Floats, Read
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.kernels.trees import add_trees
from ensemble_pipe.ensemble.members.fitted import FittedMember, FittedRecord, log_probabilities
from ensemble_pipe.ensemble.members.member import SavedFiles
from ensemble_pipe.training.boosted_trees import BoostedTrees, read_trees, require_columns
from ensemble_pipe.training.estimator_settings import TREES
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.tree_inputs import TreeInputs, divide_groups

CHUNK_ROWS = 4096
FILE_PATTERN = r"^trees-\d+\.safetensors$"
# Of logarithms of variances: what float32 holds.
_LOG_LOW, _LOG_HIGH = -60.0, 60.0


@dataclass(frozen=True)
class TreesMember(FittedMember):
    """Boosted trees that see the source columns of a table."""

    record: ClassVar[str] = "trees"
    suffix: ClassVar[str] = TREES

    @cached_property
    def trees(self) -> BoostedTrees:
        """The trees, read once.

        Raises:
            CorruptFileError: the content is none that may be read.
        """
        return read_trees(self.content, self.where)

    def rounds(self, schema: Schema) -> int:
        """See `Member`; those of the variances of errors do not count."""
        counts = np.bincount(self.trees.nodes.sequence, minlength=len(self.trees.baseline))
        own = counts if self.trees.classes else counts[: schema.target_count]
        return max(1, round(float(own.mean())))

    def require_fit(self, schema: Schema) -> None:
        """See `FittedMember`."""
        trees, view = self.trees, schema.source_view
        divide_groups(trees.groups, view)
        require_columns(trees, len(view.categories), view.width)
        known, sequences = trees.classes, len(trees.baseline)
        if schema.task == "classification":
            fits = sorted(set(known)) == list(known) and set(known) <= set(
                range(len(schema.classes))
            )
            if not fits or len(known) < 2 or sequences != (1 if len(known) == 2 else len(known)):
                raise ValueError(f"its trees are not for {len(schema.classes)} classes")
        elif known or sequences not in (schema.target_count, 2 * schema.target_count):
            raise ValueError(f"its trees are not for {schema.target_count} targets")

    def is_of_plan(self, plan: EstimatorPlan, task: Task) -> bool:
        """See `FittedMember`."""
        return plan.has_facts(self.trees.facts)

    def load(self) -> None:
        """See `Member`."""
        none = np.zeros((0, 1))
        add_trees(none.astype(np.float32), *self.trees.nodes, none)

    def _predict(self, schema: Schema, read: Read, rows: int) -> Floats:
        """See `MemberAlone`."""
        trees = self.trees
        inputs = TreeInputs(schema.source_view, divide_groups(trees.groups, schema.source_view))
        width = len(schema.classes) or len(trees.baseline)
        outputs = np.empty((rows, width), np.float32)
        for start in range(0, rows, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, rows)
            encoded = np.empty((stop - start, *schema.input_shape), np.float32)
            read(start, stop, encoded)
            raw = np.repeat(trees.baseline[None], stop - start, axis=0)
            add_trees(inputs.read(encoded.reshape(stop - start, -1)), *trees.nodes, raw)
            outputs[start:stop] = _outputs(raw, trees, schema)
        return outputs


def _outputs(raw: Floats, trees: BoostedTrees, schema: Schema) -> Floats:
    """Return the outputs (n, O) of the sums (n, S) of the sequences."""
    if schema.task == "classification":
        logits = np.column_stack([np.zeros(len(raw)), raw[:, 0]]) if raw.shape[1] == 1 else raw
        return log_probabilities(softmax(logits), list(trees.classes), len(schema.classes))
    means, logs = np.split(raw, [schema.target_count], axis=1)
    return np.concatenate([means, np.exp(np.clip(logs, _LOG_LOW, _LOG_HIGH))], axis=1)


class TreesRecord(FittedRecord):
    """Of boosted trees."""

    file_pattern: ClassVar[str | None] = FILE_PATTERN

    kind: Literal["trees"]
    file: Annotated[str, Field(pattern=FILE_PATTERN)]

    def _member(self, schema: Schema, saved: SavedFiles) -> FittedMember:
        return self.of_kind(TreesMember, schema, saved)
