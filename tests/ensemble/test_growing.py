"""Running sums: the ensemble of members that come in any order, at a cost that stays the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from conftest import plain_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.ensemble import growing
from ensemble_pipe.ensemble.aggregator import Aggregator, measure_ensemble
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.growing import ClassSums
from ensemble_pipe.ensemble.members import ExternalMember, Member
from ensemble_pipe.ensemble.prediction import Metrics, Prediction

ROWS = 24
few = settings(max_examples=25, deadline=None)
Place = tuple[int, int]
CLASSES = plain_schema("classification", (1,), ("a", "b", "c", "d"))
NUMBER = plain_schema("regression", (1,), target_means=(5.0,), target_deviations=(2.0,))
NUMBERS = plain_schema("regression", (1,), target_means=(5.0, -1.0), target_deviations=(2.0, 0.5))
every_kind = pytest.mark.parametrize("schema", [CLASSES, NUMBER, NUMBERS])


@dataclass(frozen=True)
class TrainedMember(ExternalMember):
    """A member with outputs given by the test that counts as one of a learner."""

    is_trained: ClassVar[bool] = True


def targets_of(schema: Schema) -> Array:
    random = np.random.default_rng(7)
    if schema.task == "classification":
        return random.integers(0, 4, ROWS).astype(np.int32)
    numbers = random.standard_normal((ROWS, schema.target_count)).astype(np.float32)
    return numbers[:, 0] if schema.target_count == 1 else numbers


def outputs_of(schema: Schema, place: Place) -> Floats:
    random = np.random.default_rng(place)
    if schema.task == "classification":
        return (3 * random.standard_normal((ROWS, 4))).astype(np.float32)
    means = random.standard_normal((ROWS, schema.target_count))
    return np.concatenate([means, random.exponential(size=means.shape)], axis=1).astype(np.float32)


def view_of(schema: Schema) -> ShardView:
    table = shard_table(np.zeros((ROWS, 1), np.float32), targets_of(schema), np.arange(ROWS))
    return ShardView([table], *schema.input_scale())


def given_outputs(schema: Schema, places: Sequence[Place]) -> dict[str, Floats]:
    return {f"m{a}-{b}": outputs_of(schema, (a, b)) for a, b in places}


def aggregator_of(
    schema: Schema,
    places: Sequence[Place],
    *,
    fixed: Sequence[int] = (),
    later: Sequence[Place] = (),
) -> Aggregator:
    """Return an aggregator whose members came in this order.

    Args:
        schema: of the data.
        places: learner and number of each member.
        fixed: learners that are not trained.
        later: members that will come.
    """
    outputs = given_outputs(schema, [*places, *later])
    aggregator = Aggregator(schema, view_of(schema), PredictionDraws(Augment(), seed=1), outputs)
    for learner, number in places:
        aggregator.add(member_of(learner, number, learner not in fixed))
    return aggregator


def member_of(learner: int, number: int, trained: bool = True) -> Member:
    kind = TrainedMember if trained else ExternalMember
    return kind(learner, number, 0, f"m{learner}-{number}")


def expected_of(schema: Schema, places: Sequence[Place]) -> Metrics:
    """Return the metrics as the combiner of equal weights defines them."""
    outputs = np.stack([outputs_of(schema, place) for place in sorted(places)])
    prediction = Prediction(outputs, Weighted.equal(len(outputs)), schema)
    return prediction.metrics(targets_of(schema))


def ordered(learners: int, numbers: int) -> list[Place]:
    return [(learner, number) for learner in range(learners) for number in range(numbers)]


@every_kind
@pytest.mark.parametrize("numbers", [1, 3])
def test_the_curve_is_that_of_equal_weights_for_every_size(schema: Schema, numbers: int) -> None:
    places = ordered(70 // numbers, numbers)  # in several blocks
    curve = aggregator_of(schema, places).curve()
    assert len(curve) == len(places)
    for size in (1, 2, 3, 31, 32, 33, 64, 65, len(places)):
        expected = expected_of(schema, places[:size])
        assert curve[size - 1] == pytest.approx(expected, rel=1e-12, abs=1e-14)


@every_kind
@few
@given(data=st.data())
def test_any_order_gives_the_same_bits(schema: Schema, data: st.DataObject) -> None:
    places = [*ordered(4, 2), (31, 0), (32, 0), (33, 1), (33, 0), (100, 0)]
    order = data.draw(st.permutations(places))
    count = data.draw(st.integers(1, len(places)))
    shuffled = aggregator_of(schema, order[:count])
    in_order = aggregator_of(schema, sorted(order[:count]))
    assert shuffled.ensemble_metrics() == in_order.ensemble_metrics()
    assert shuffled.curve() == in_order.curve()
    assert shuffled.curve()[-1] == shuffled.ensemble_metrics()


@every_kind
def test_each_size_on_the_way_is_a_point_of_the_curve(schema: Schema) -> None:
    places = ordered(40, 1)
    curve = aggregator_of(schema, places).curve()
    for size in (1, 31, 32, 33, 40):
        assert aggregator_of(schema, places[:size]).ensemble_metrics() == curve[size - 1]


def test_a_member_that_comes_again_counts_once() -> None:
    aggregator = aggregator_of(CLASSES, ordered(3, 2))
    before = aggregator.ensemble_metrics()
    for learner, number in [(2, 1), (0, 0), (1, 1)]:
        aggregator.add(member_of(learner, number))
        assert aggregator.ensemble_metrics() == before


def test_a_diverged_member_leaves_the_moments_finite() -> None:
    values = np.full((ROWS, 2), 3e38, np.float32)
    huge = growing.sums_of(values, NUMBER)
    usual = growing.sums_of(outputs_of(NUMBER, (0, 0)), NUMBER)
    for sums in (huge + usual, usual + huge):
        assert np.isfinite(list(sums.metrics(targets_of(NUMBER), NUMBER).values())).all()


@every_kind
def test_learners_that_are_dropped_count_no_more(schema: Schema) -> None:
    aggregator = aggregator_of(schema, ordered(40, 1), fixed=[35])
    aggregator.drop(range(10, 40))
    kept = aggregator_of(schema, [*ordered(10, 1), (35, 0)])
    assert aggregator.ensemble_metrics() == kept.ensemble_metrics()
    assert aggregator.curve() == kept.curve()


def last_needed(schema: Schema, places: Sequence[Place], fixed: int, gain: float) -> int | None:
    """Return what `Aggregator.last_needed` should, from the definition."""
    given_places = [place for place in places if place[0] == fixed]
    before = expected_of(schema, given_places)["nll"] if given_places else np.inf
    for learner in sorted({place[0] for place in places} - {fixed}):
        given_places += [place for place in places if place[0] == learner]
        nll = expected_of(schema, given_places)["nll"]
        if before - nll < gain:
            return learner
        before = nll
    return None


@every_kind
@pytest.mark.parametrize("fixed", [-1, 3])
@pytest.mark.parametrize("gain", [1e-9, 0.02, 0.2, 10.0])
def test_the_last_learner_that_is_needed_is_the_definitions(
    schema: Schema, fixed: int, gain: float
) -> None:
    places = ordered(6, 2)
    aggregator = aggregator_of(schema, places, fixed=[fixed])
    expected = last_needed(schema, places, fixed, gain)
    assert aggregator.last_needed(gain, None) == expected
    for first_open in range(7):
        known = expected if expected is not None and expected < first_open else None
        assert aggregator.last_needed(gain, first_open) == known


def test_learners_that_come_later_change_what_is_needed() -> None:
    places = ordered(6, 1)
    aggregator = aggregator_of(CLASSES, [(5, 0), (0, 0)], later=places)
    for learner in (3, 1, 4, 2):  # each before one that was judged
        aggregator.last_needed(1e-9, None)
        aggregator.add(member_of(learner, 0))
    assert aggregator.last_needed(0.02, None) == last_needed(CLASSES, places, -1, 0.02)


@every_kind
def test_what_is_kept_of_the_validation_part_is_what_would_be_measured(schema: Schema) -> None:
    places = ordered(3, 2)
    aggregator = aggregator_of(schema, places)
    combined = aggregator.combine(Combine(method="weights", keep=4), seed=1)
    found = aggregator.measure(combined)
    expected = measure_ensemble(
        combined.members,
        combined.combiner,
        schema,
        view_of(schema),
        aggregator.draws,
        external=given_outputs(schema, places),
    )
    np.testing.assert_array_equal(found.prediction.outputs, expected.prediction.outputs)
    assert found.members == expected.members
    assert found.ensemble == expected.ensemble


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return how many sums of classes were added so far."""
    calls = 0
    real = ClassSums.__add__

    def counted(self: ClassSums, other: ClassSums) -> ClassSums:
        nonlocal calls
        calls += 1
        return real(self, other)

    monkeypatch.setattr(ClassSums, "__add__", counted)
    return lambda: calls


def test_a_further_member_costs_the_same_however_many_there_are(count: Callable[[], int]) -> None:
    members = 10 * growing.BLOCK
    places = ordered(members, 1)
    aggregator = aggregator_of(CLASSES, places[::-1])  # the worst order
    assert count() < members * growing.BLOCK
    before = count()
    aggregator.ensemble_metrics()
    assert count() - before < 10
    before = count()
    aggregator.curve()
    assert count() - before <= 4 * members
