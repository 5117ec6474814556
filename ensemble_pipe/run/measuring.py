"""What is measured beside an ensemble at the end of a run: baselines, and importance of columns."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.chosen_rows import ChosenRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.aggregator import Aggregator
from ensemble_pipe.ensemble.baselines import measure_baselines
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.importance import Importance, permutation_importance
from ensemble_pipe.ensemble.measures import row_values
from ensemble_pipe.ensemble.members import ExternalOutputs, Member, member_outputs
from ensemble_pipe.ensemble.metrics.row_values import RowValues
from ensemble_pipe.ensemble.prediction import Metrics, Prediction

# The importance of columns is measured on at most so many rows, and on as many as keep
# the multiplications of all predictions below a number that takes about a second; where that leaves
# fewer than `FEWEST_ROWS` of more rows, it is left to `evaluate --importance`.
MOST_ROWS, FEWEST_ROWS = 2000, 200
MOST_PRODUCTS = 5_000_000_000
REPEATS = 3
_PER_OUTPUT = 10_000  # multiplications that trees and the like count as, for each output


def baseline_metrics(
    data: TrainingData, schema: Schema, measured: Collection[str], seed: int
) -> Metrics:
    """Return the metrics of baselines on the held-out parts on which an ensemble is compared.

    Args:
        data: of the run.
        schema: of the data.
        measured: names of the parts on which the ensemble was measured.
        seed: of the run.
    """
    held_out = ("validation", "test") if data.recipe.folds is None else ("test",)
    views = {part: data.part(part) for part in held_out if part in measured}
    return measure_baselines(schema, data.part("train"), views, seed) if views else {}


def validation_importance(
    view: ShardView, aggregator: Aggregator, combined: Combined, external: ExternalOutputs
) -> Importance | None:
    """Return the importance of the source columns, where that is cheap.

    It is measured on the rows that the ensemble was combined by: the validation part, or in folds
    the training part, each row as predicted by the members that left it out. Encoded rows are
    permuted, all features of a source column together, which is what permuting the column itself
    would give; so there is none where the scale mixes columns.

    Args:
        view: the part of these rows.
        aggregator: of the members.
        combined: the ensemble.
        external: outputs of external members on that part.
    """
    schema, columns = aggregator.schema, aggregator.schema.feature_places
    predict = _of_folds if aggregator.folds is not None else _of_all
    cost = products_of(combined.members, schema) * max(1, aggregator.draws.augment.test_draws)
    if predict is _of_folds and aggregator.folds is not None:
        cost //= aggregator.folds.count
    rows = rows_for(view.rows, len(columns), cost)
    if schema.scaling.mixes or rows < 2 or not _are_complete(aggregator, combined):
        return None
    random = seeds.generator(0, seeds.Purpose.PERMUTATION, shard=1)
    kept = np.sort(random.choice(view.rows, rows, replace=False))
    stored, targets = view.stored_rows(kept), view.targets[kept]
    given = {name: outputs[kept] for name, outputs in external.items()}

    def values(name: str | None, order: Integers) -> Mapping[str, RowValues]:
        changed = stored
        if name is not None:
            place = slice(*columns[name])
            changed = stored.copy()
            changed[:, place] = stored[order, place]
        part = ShardView([shard_table(changed, targets, order)], *schema.input_scale())
        return row_values(predict(aggregator, combined, part, kept, given), targets)

    return permutation_importance(list(columns), rows, values, repeats=REPEATS)


def _are_complete(aggregator: Aggregator, combined: Combined) -> bool:
    """Return whether every row of the evidence is predicted by a member that left it out."""
    folds = aggregator.out_of_fold()
    return folds is None or (folds.rows is None and combined.of_units is not None)


def _of_all(
    aggregator: Aggregator,
    combined: Combined,
    part: ShardView,
    kept: Integers,
    given: ExternalOutputs,
) -> Prediction:
    """Return the prediction of held-out rows."""
    schema, members = aggregator.schema, combined.members
    reads = aggregator.draws.reads(part, schema.spans)
    outputs = member_outputs(members, schema, reads, part.rows, given)
    return Prediction(outputs, combined.combiner, schema)


def _of_folds(
    aggregator: Aggregator,
    combined: Combined,
    part: ShardView,
    kept: Integers,
    given: ExternalOutputs,
) -> Prediction:
    """Return the prediction of rows of the training part, by the members that left them out.

    Args:
        aggregator: of the members.
        combined: the ensemble, which has a combiner of units.
        part: the rows.
        kept: (R,) their places in the training part.
        given: outputs of external members for them.
    """
    schema, whole = aggregator.schema, aggregator.folds
    assert whole is not None and combined.of_units is not None
    folds = replace(whole, fold=whole.fold[kept], row_groups=None)
    outputs: dict[tuple[int, int], Floats] = {}
    for member in combined.members:
        places = folds.left_out(member)
        rows = part if places is None else ChosenRows(part, places)
        reads = aggregator.draws.reads(rows, schema.spans)
        (own,) = member_outputs([member], schema, reads, rows.rows, given)
        outputs[member.learner, member.number] = own
    found = folds.out_of_fold(combined.members, outputs, part.targets, schema)
    return Prediction(found.outputs, combined.of_units, schema)


def rows_for(rows: int, columns: int, products: int) -> int:
    """Return on how many of the rows importance is measured; 0 where that is too costly.

    Args:
        rows: there are.
        columns: whose importance is measured.
        products: multiplications that the prediction of a row takes.
    """
    affordable = MOST_PRODUCTS // max(1, products * columns * REPEATS)
    most = min(rows, MOST_ROWS, affordable)
    return most if columns and most >= min(rows, FEWEST_ROWS) else 0


def products_of(members: Sequence[Member], schema: Schema) -> int:
    """Return about how many multiplications members take to predict a row: one for each weight.

    Members without weights, such as trees, count as `_PER_OUTPUT` for each output.
    """
    outputs = len(schema.classes) or schema.target_count
    sizes = (sum(values.size for values in one.tensors().values()) for one in members)
    return sum(size or _PER_OUTPUT * outputs for size in sizes)
