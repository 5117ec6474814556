"""The numbers that a report is drawn from, read from a run directory: predictions on the test part.

Shapes: K members, R rows, O classes, D targets.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.data.base import Base, open_base, read_schema, values_of
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.measures import row_values, unsureness
from ensemble_pipe.ensemble.metrics.row_values import RowValues
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.serving.predictions import read_predictions
from ensemble_pipe.tracking.run_summary import RunSummary, read_run_summary


@dataclass(frozen=True)
class TestPart:
    """The ensemble on the test part.

    Attributes:
        prediction: of the combination, which holds the members' outputs.
        targets: (R,) or (R, D), as base files hold them.
        rows: (R,) number of each row in its source, from 0 on.
        base: the encoded rows.
    """

    prediction: Prediction
    targets: Array
    rows: Integers
    base: Base

    @property
    def schema(self) -> Schema:
        return self.prediction.schema

    @cached_property
    def truth(self) -> Array:
        """Class names (R,), or numbers (R, D) in the targets' units."""
        return self.schema.decode_targets(self.targets)

    @cached_property
    def unsure(self) -> Floats:
        """How unsure each prediction is, (R,)."""
        return unsureness(self.prediction)

    @cached_property
    def wrong(self) -> Array:
        """Whether the predicted class is wrong, (R,) bool."""
        found: Array = self.prediction.decided != self.targets
        return found

    @cached_property
    def values(self) -> dict[str, RowValues]:
        """The metrics that are means over rows, row by row."""
        return row_values(self.prediction, self.targets)

    def error_of(self, metric: str) -> float | None:
        """Return the standard error of a metric over rows; None where that is not known."""
        values = self.values.get(metric)
        if values is None or len(values.values) < 2:
            return None
        error = float(values.standard_error)
        return error if np.isfinite(error) else None

    def stored(self, places: Integers) -> Array:
        """Return the encoded rows (n, *shape) at some places, in their order."""
        column = self.base.table.column("input")
        starts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])
        shards = np.searchsorted(starts, places, side="right") - 1
        found = np.empty((len(places), *self.schema.input_shape), _dtype(self.schema))
        for shard in np.unique(shards).tolist():
            self.base.verify(shard, ("input",))
            own = shards == shard
            found[own] = column.chunk(shard).to_numpy_ndarray()[places[own] - starts[shard]]
        return found


def _dtype(schema: Schema) -> type[np.generic]:
    return np.uint8 if schema.is_image else np.float32


@dataclass(frozen=True)
class Numbers:
    """What a report shows.

    Attributes:
        paths: of the run.
        run: what its journal says.
        schema: of its data.
        test: the ensemble on the test part; None before the run has its result.
    """

    paths: RunPaths
    run: RunSummary
    schema: Schema
    test: TestPart | None

    @property
    def is_classification(self) -> bool:
        return self.schema.task == "classification"


def read_numbers(paths: RunPaths, status: str | None = None) -> Numbers:
    """Read what a report shows.

    Args:
        paths: of the run.
        status: of a run that is about to end; None reads it from the journal.

    Raises:
        CorruptFileError: the journal, the schema or the predictions are damaged.
    """
    run, schema = read_run_summary(paths, status), read_schema(paths)
    return Numbers(paths, run, schema, _test_part(paths, run, schema))


def _test_part(paths: RunPaths, run: RunSummary, schema: Schema) -> TestPart | None:
    path = paths.predictions("test")
    if run.combined is None or not run.metrics or not path.is_file():
        return None
    base = open_base(paths.part("test"))
    targets = _targets(base)
    try:
        table = read_predictions(path)
        chunks = table.column("outputs").chunks
        outputs = np.concatenate([chunk.to_numpy_ndarray() for chunk in chunks])
        rows = table.column("row").to_numpy()
    except (pa.ArrowException, OSError, KeyError, AttributeError, ValueError) as error:
        raise CorruptFileError(f"{path}: cannot be read as predictions ({error})") from None
    members = len(run.combined.members)
    if outputs.ndim != 3 or outputs.shape[:2] != (len(targets), members):
        raise CorruptFileError(
            f"{path}: its outputs are {outputs.shape}, not of {len(targets)} rows by {members} "
            "members as the run has them"
        )
    combined = run.combined
    prediction = Prediction(
        np.ascontiguousarray(outputs.transpose(1, 0, 2)),
        combined.combiner, schema, tuple(combined.conformal), combined.decision,
    )  # fmt: skip
    return TestPart(prediction, targets, rows, base)


def _targets(base: Base) -> Array:
    """Return the targets (R,) or (R, D), as the base file holds them, after a check."""
    for shard in range(base.shards):
        base.verify(shard, ("target",))
    return np.concatenate([values_of(chunk) for chunk in base.table.column("target").chunks])
