"""What is measured beside an ensemble at the end of a run: baselines, and importance of columns."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.chosen_rows import ChosenRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.ensemble.aggregator import Aggregator, Measured, measure_ensemble
from ensemble_pipe.ensemble.baselines import measure_baselines
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.cross_fitting import Folds
from ensemble_pipe.ensemble.importance import Importance, permutation_importance
from ensemble_pipe.ensemble.measures import row_values
from ensemble_pipe.ensemble.members import ExternalOutputs, Member, member_outputs
from ensemble_pipe.ensemble.metrics.row_values import RowValues
from ensemble_pipe.ensemble.prediction import Metrics, Prediction
from ensemble_pipe.run.time_limit import TimeLimit

# The importance of columns is measured on at most so many rows, and on as many as keep the
# multiplications of all predictions below a number that takes about two seconds; where that leaves
# fewer than `FEWEST_ROWS` of more rows, it is left to `evaluate --importance`.
MOST_ROWS, FEWEST_ROWS = 2000, 100
MOST_PRODUCTS = 20_000_000_000
REPEATS = 3
# About what importance takes at most, and the baselines for each number that they are fitted to.
_IMPORTANCE_S = 2.0
_BASELINE_S = 6e-7
Predict = Callable[[ShardView], Prediction]
_PER_OUTPUT = 10_000  # multiplications that trees and the like count as, for each output


@dataclass(frozen=True)
class Compared:
    """What an ensemble is compared with.

    Attributes:
        baselines: their metrics, flat.
        importance: of the source columns; None where it is costly.
        unmeasured: which of these the time was too short for.
    """

    baselines: Metrics
    importance: Importance | None
    unmeasured: tuple[str, ...]


def measure_parts(
    parts: Collection[str],
    data: TrainingData,
    aggregator: Aggregator,
    combined: Combined,
    final: Combined,
    external: Callable[[str], ExternalOutputs],
) -> dict[str, Measured]:
    """Return what is measured on some parts: the final ensemble on rows that no member has seen.

    Args:
        parts: their names.
        data: of the run.
        aggregator: of the members.
        combined: the ensemble of members that have not seen the rows that these were combined by.
        final: the same after its members were trained again, on all rows but the test part's.
        external: external(part) returns the outputs of external members there.
    """
    found = {}
    for part in parts:
        if part == "validation":
            found[part] = aggregator.measure(combined)
            continue
        own = final if part == "test" else combined
        found[part] = measure_ensemble(
            own.members,
            own.combiner,
            aggregator.schema,
            data.part(part),
            aggregator.draws,
            own.conformal,
            external(part),
            own.decision,
        )
    return found


def compare(
    data: TrainingData,
    aggregator: Aggregator,
    combined: Combined,
    parts: Mapping[str, Measured],
    evidence: tuple[ShardView, ExternalOutputs],
    seed: int,
    limit: TimeLimit,
    timeline: Timeline,
) -> Compared:
    """Measure baselines and the importance of columns, where there is time; they are stages.

    Args:
        data: of the run.
        aggregator: of the members.
        combined: the ensemble.
        parts: what was measured of it on each; without any nothing is compared.
        evidence: the part that it was combined by, and the outputs of external members there.
        seed: of the run.
        limit: of the run.
        timeline: of the run.
    """
    baselines, importance, unmeasured = Metrics(), None, []
    schema = aggregator.schema
    if parts and limit.allows(_baseline_seconds(data.rows, schema)):
        with timeline.stage("baselines"):
            baselines = baseline_metrics(data, schema, parts, seed)
    elif parts:
        unmeasured.append("baselines")
    if parts and limit.allows(_IMPORTANCE_S):
        with timeline.stage("importance"):
            importance = validation_importance(evidence[0], aggregator, combined, evidence[1])
    elif parts:
        unmeasured.append("importance of columns")
    return Compared(baselines, importance, tuple(unmeasured))


def _baseline_seconds(rows: int, schema: Schema) -> float:
    """Return about how long an idle processor takes for the baselines of R training rows."""
    outputs = max(1, len(schema.classes) - 1, schema.target_count)
    return _BASELINE_S * rows * prod(schema.input_shape) * outputs


def baseline_metrics(
    data: TrainingData, schema: Schema, measured: Mapping[str, Measured], seed: int
) -> Metrics:
    """Return the metrics of baselines on the held-out parts on which an ensemble is compared, and
    what it gains over them on the test part.

    Args:
        data: of the run.
        schema: of the data.
        measured: of the ensemble, by part.
        seed: of the run.
    """
    held_out = ("validation", "test") if data.recipe.folds is None else ("test",)
    views = {part: data.part(part) for part in held_out if part in measured}
    if not views:
        return {}
    test = measured.get("test")
    own = {} if test is None else {"test": row_values(test.prediction, test.targets)}
    return measure_baselines(schema, data.part("train"), views, seed, own)


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
    folds, cost = aggregator.folds, products_of(combined.members, schema)
    cost *= max(1, aggregator.draws.augment.test_draws)
    among = np.arange(view.rows) if folds is None else folds.predictable
    cost = cost if folds is None else cost // len(folds.rows)
    rows, repeats = rows_and_repeats(len(among), len(columns), cost)
    if schema.scaling.mixes or rows < 2 or not _is_whole(aggregator):
        return None
    random = seeds.generator(0, seeds.Purpose.PERMUTATION, shard=1)
    kept = np.sort(random.choice(among, rows, replace=False))
    stored, targets = view.stored_rows(kept), view.targets[kept]
    given = {name: outputs[kept] for name, outputs in external.items()}
    if folds is None:
        predict = _of_all_members(aggregator, combined, given)
    else:
        predict = _of_members_that_left_out(folds.of_rows(kept), aggregator, combined, given)

    def values(name: str | None, order: Integers) -> Mapping[str, RowValues]:
        changed = stored
        if name is not None:
            place = slice(*columns[name])
            changed = stored.copy()
            changed[:, place] = stored[order, place]
        part = ShardView([shard_table(changed, targets, order)], *schema.input_scale())
        return row_values(predict(part), targets)

    return permutation_importance(list(columns), rows, values, repeats=repeats)


def _is_whole(aggregator: Aggregator) -> bool:
    """Return whether some member was not trained on each of the rows that members are compared on.

    In folds a run that was ended early may lack all that left out some fold.
    """
    folds, found = aggregator.folds, aggregator.out_of_fold()
    return folds is None or found is None or len(found.targets) == len(folds.predictable)


def _of_all_members(aggregator: Aggregator, combined: Combined, given: ExternalOutputs) -> Predict:
    schema = aggregator.schema

    def predict(part: ShardView) -> Prediction:
        reads = aggregator.draws.reads(part, schema.spans)
        outputs = member_outputs(combined.members, schema, reads, part.rows, given)
        return Prediction(outputs, combined.combiner, schema, decision=combined.decision)

    return predict


def _of_members_that_left_out(
    folds: Folds, aggregator: Aggregator, combined: Combined, given: ExternalOutputs
) -> Predict:
    """Return the prediction of rows by those members that were not trained on them.

    Args:
        folds: of the rows.
        aggregator: of the members.
        combined: the ensemble.
        given: outputs of external members for the rows.
    """
    schema, combiner = aggregator.schema, combined.of_units or combined.combiner
    by_fold: dict[int, list[Member]] = {}
    for member in combined.members:
        fold = folds.fold_of(member) if member.is_trained else len(folds.rows)
        by_fold.setdefault(fold, []).append(member)

    def predict(part: ShardView) -> Prediction:
        outputs: dict[tuple[int, int], Floats] = {}
        for group in by_fold.values():
            places = folds.left_out(group[0])
            own = part if places is None else ChosenRows(part, places)
            reads = aggregator.draws.reads(own, schema.spans)
            together = member_outputs(group, schema, reads, own.rows, given)
            outputs |= zip([(m.learner, m.number) for m in group], together, strict=True)
        found = folds.out_of_fold(combined.members, outputs, part.targets, schema)
        return Prediction(found.outputs, combiner, schema, decision=combined.decision)

    return predict


def rows_and_repeats(rows: int, columns: int, products: int) -> tuple[int, int]:
    """Return on how many of the rows importance is measured, 0 where that is too costly, and by how
    many permutations of each column.

    Rows come first: another row says more than another permutation of those that there are, and
    costs as much.

    Args:
        rows: there are.
        columns: whose importance is measured.
        products: multiplications that the prediction of a row takes.
    """
    affordable = MOST_PRODUCTS // max(1, products * columns)
    most = min(rows, MOST_ROWS, affordable)
    if not columns or not most or most < min(rows, FEWEST_ROWS):
        return 0, 0
    return most, min(REPEATS, affordable // most)


def products_of(members: Sequence[Member], schema: Schema) -> int:
    """Return about how many multiplications members take to predict a row: one for each weight.

    Members without weights, such as trees, count as `_PER_OUTPUT` for each output.
    """
    outputs = len(schema.classes) or schema.target_count
    sizes = (sum(values.size for values in one.tensors().values()) for one in members)
    return sum(size or _PER_OUTPUT * outputs for size in sizes)
