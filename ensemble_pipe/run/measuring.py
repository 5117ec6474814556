"""What is measured beside an ensemble at the end of a run: baselines, and importance of columns."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.baselines import measure_baselines
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.importance import Importance, permutation_importance
from ensemble_pipe.ensemble.measures import row_values
from ensemble_pipe.ensemble.members import ExternalOutputs, Member, member_outputs
from ensemble_pipe.ensemble.metrics.row_values import RowValues
from ensemble_pipe.ensemble.prediction import Metrics, Prediction

COMPARED = ("validation", "test")

# The importance of columns is measured on at most so many validation rows, and on as many as keep
# the multiplications of all predictions below a number that takes about a second; where that leaves
# fewer than `FEWEST_ROWS` of more rows, it is left to `evaluate --importance`.
MOST_ROWS, FEWEST_ROWS = 2000, 200
MOST_PRODUCTS = 5_000_000_000
REPEATS = 3
_PER_OUTPUT = 10_000  # multiplications that trees and the like count as, for each output


def baseline_metrics(
    data: TrainingData, schema: Schema, measured: Collection[str], seed: int
) -> Metrics:
    """Return the metrics of baselines on the parts on which an ensemble is compared.

    Args:
        data: of the run.
        schema: of the data.
        measured: names of the parts on which the ensemble was measured.
        seed: of the run.
    """
    views = {part: data.part(part) for part in COMPARED if part in measured}
    return measure_baselines(schema, data.part("train"), views, seed) if views else {}


def validation_importance(
    data: TrainingData,
    schema: Schema,
    measured: Collection[str],
    combined: Combined,
    draws: PredictionDraws,
    external: Callable[[str], ExternalOutputs],
) -> Importance | None:
    """Return the importance of the source columns on the validation part, where that is cheap.

    Encoded rows are permuted, all features of a source column together, which is what permuting the
    column itself would give; so there is none where the scale mixes columns.

    Args:
        data: of the run.
        schema: of the data.
        measured: names of the parts on which the ensemble was measured.
        combined: the ensemble.
        draws: how rows are augmented when they are predicted.
        external: external(part) returns the outputs of external members on a part.
    """
    columns = schema.feature_places
    if "validation" not in measured or schema.scaling.mixes:
        return None
    view = data.part("validation")
    rows = rows_for(view.rows, len(columns), combined.members, schema, draws.augment.test_draws)
    if rows < 2:
        return None
    random = seeds.generator(0, seeds.Purpose.PERMUTATION, shard=1)
    kept = np.sort(random.choice(view.rows, rows, replace=False))
    stored, targets = view.read_stored(0, view.rows)[kept], view.targets[kept]
    given = {name: outputs[kept] for name, outputs in external("validation").items()}

    def values(name: str | None, order: Integers) -> Mapping[str, RowValues]:
        changed = stored
        if name is not None:
            place = slice(*columns[name])
            changed = stored.copy()
            changed[:, place] = stored[order, place]
        part = ShardView([shard_table(changed, targets, order)], *schema.input_scale())
        reads = draws.reads(part, schema.spans)
        outputs = member_outputs(combined.members, schema, reads, rows, given)
        return row_values(Prediction(outputs, combined.combiner, schema), targets)

    return permutation_importance(list(columns), rows, values, repeats=REPEATS)


def rows_for(
    rows: int, columns: int, members: Sequence[Member], schema: Schema, draws: int = 0
) -> int:
    """Return on how many of the validation rows importance is measured; 0 where that is too costly.

    Args:
        rows: there are.
        columns: whose importance is measured.
        members: of the ensemble.
        schema: of the data.
        draws: augmented versions of each row.
    """
    outputs = len(schema.classes) or schema.target_count
    sizes = (sum(values.size for values in one.tensors().values()) for one in members)
    products = sum(size or _PER_OUTPUT * outputs for size in sizes) * max(1, draws)
    affordable = MOST_PRODUCTS // max(1, products * columns * REPEATS)
    most = min(rows, MOST_ROWS, affordable)
    return most if columns and most >= min(rows, FEWEST_ROWS) else 0
