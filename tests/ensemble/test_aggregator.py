"""The aggregator: members in any order, combined and measured the same way."""

from itertools import permutations

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.ensemble.aggregator import (
    Aggregator,
    Measured,
    measure_ensemble,
)
from ensemble_pipe.ensemble.combiners import Weighted, softmax
from ensemble_pipe.ensemble.combining import Combine
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.metrics.regression import regression_metrics
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.ensemble.summaries import best_member, summary
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.losses import CrossEntropy, Loss, SquaredError
from ensemble_pipe.nn.networks import Mlp

ROWS = 60
PLAIN = PredictionDraws(Augment(), seed=1)
NETWORK = Mlp(hidden=(5,))
TARGET_MEAN, TARGET_DEVIATION = 20.0, 4.0
TASKS: list[Task] = ["classification", "regression"]
LOSS: dict[Task, Loss] = {"classification": CrossEntropy(), "regression": SquaredError()}
every_task = pytest.mark.parametrize("task", TASKS)


def schema_of(task: Task) -> Schema:
    if task == "classification":
        return plain_schema(task, (4,), ("x", "y", "z"))
    means, deviations = (TARGET_MEAN,), (TARGET_DEVIATION,)
    return plain_schema(task, (4,), target_means=means, target_deviations=deviations)


def view_of(task: Task, seed: int = 0) -> ShardView:
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((ROWS, 4)).astype(np.float32)
    targets = (
        random.integers(0, 3, ROWS).astype(np.int32)
        if task == "classification"
        else random.standard_normal(ROWS).astype(np.float32)
    )
    table = shard_table(inputs, targets, np.arange(ROWS))
    return ShardView([table], *schema_of(task).input_scale())


def member(task: Task, learner: int, number: int = 0) -> NetworkMember:
    loss = LOSS[task]
    row = build(NETWORK, loss, schema_of(task)).initialize(1, 10 * learner + number)
    return NetworkMember(learner, number, 50, NETWORK, loss, row)


def filled(task: Task, members: list[NetworkMember]) -> Aggregator:
    aggregator = Aggregator(schema_of(task), view_of(task), PLAIN)
    for one in members:
        aggregator.add(one)
    return aggregator


def of(aggregator: Aggregator, view: ShardView) -> Measured:
    """Return the members so far, weighted alike, on a part of the data."""
    combined = aggregator.combine(Combine(), seed=1)
    return measure_ensemble(combined.members, combined.combiner, aggregator.schema, view, PLAIN)


def four_members(task: Task) -> list[NetworkMember]:
    return [member(task, 0), member(task, 1, 0), member(task, 1, 1), member(task, 2)]


def same(first: Measured, second: Measured) -> bool:
    return (
        first.prediction.outputs.tobytes() == second.prediction.outputs.tobytes()
        and first.ensemble == second.ensemble
        and first.members == second.members
    )


@every_task
def test_the_order_in_which_members_come_changes_nothing(task: Task) -> None:
    members = four_members(task)
    expected = of(filled(task, members), view_of(task, seed=1))
    for order in list(permutations(members))[1::5]:
        aggregator = filled(task, list(order))
        assert [(one.learner, one.number) for one in aggregator.members] == [
            (0, 0),
            (1, 0),
            (1, 1),
            (2, 0),
        ]
        assert same(of(aggregator, view_of(task, seed=1)), expected)


@every_task
def test_adding_a_member_returns_what_it_would_get_alone(task: Task) -> None:
    aggregator = Aggregator(schema_of(task), view_of(task), PLAIN)
    for one in four_members(task):
        assert aggregator.add(one) == filled(task, [one]).ensemble_metrics()


@every_task
def test_validation_is_measured_as_any_other_part(task: Task) -> None:
    aggregator = filled(task, four_members(task))
    assert of(aggregator, view_of(task)).ensemble == aggregator.ensemble_metrics()


@every_task
def test_the_curve_ends_at_the_whole_ensemble(task: Task) -> None:
    aggregator = filled(task, four_members(task))
    curve = aggregator.curve()
    assert len(curve) == 4
    assert curve[-1] == aggregator.ensemble_metrics()
    assert curve[0] == of(aggregator, view_of(task)).members[0]


def test_classes_are_combined_by_their_mean_probability() -> None:
    aggregator = filled("classification", four_members("classification"))
    found = of(aggregator, view_of("classification", seed=1))
    outputs = found.prediction.outputs
    assert outputs.shape == (4, ROWS, 3)
    mean = sum(0.25 * softmax(one) for one in outputs)
    assert found.ensemble == classification_metrics(np.asarray(mean), found.targets)
    for one, metrics in zip(outputs, found.members, strict=True):
        assert metrics == classification_metrics(softmax(one), found.targets)


def test_an_ensemble_is_no_worse_than_its_members_on_average() -> None:
    # By Jensen's inequality, for the negative log-likelihood and the Brier score.
    aggregator = filled("classification", four_members("classification"))
    found = of(aggregator, view_of("classification", seed=1))
    for name in ("nll", "brier"):
        assert found.ensemble[name] <= np.mean([metrics[name] for metrics in found.members])


def numbers(*members: list[list[float]]) -> Prediction:
    """Return the equal mixture of members, each with rows of a mean and a variance."""
    outputs = np.array(members, np.float32)
    return Prediction(outputs, Weighted.equal(len(members)), schema_of("regression"))


def test_a_regression_is_measured_in_the_targets_own_units() -> None:
    prediction = numbers([[0.0, 0.25], [1.0, 0.25]], [[0.5, 0.25], [1.0, 0.25]])
    mean = TARGET_MEAN + TARGET_DEVIATION * np.array([0.25, 1.0])
    deviation = TARGET_DEVIATION * np.sqrt([0.25 + 0.0625, 0.25])
    truth = TARGET_MEAN + TARGET_DEVIATION * np.array([0.0, 2.0])
    found = prediction.metrics(np.array([0.0, 2.0], np.float32))
    assert found == pytest.approx(regression_metrics(mean, deviation, truth))


def test_the_variance_of_numbers_has_two_parts() -> None:
    prediction = numbers([[-1.0, 2.0]], [[1.0, 4.0]])
    parts = prediction.uncertainty()
    np.testing.assert_array_equal(prediction.mean, [[TARGET_MEAN]])
    np.testing.assert_array_equal(parts["std"], [[2.0 * TARGET_DEVIATION]])  # sqrt(3 + 1)
    np.testing.assert_allclose(parts["aleatoric"], [[np.sqrt(3.0) * TARGET_DEVIATION]])
    np.testing.assert_array_equal(parts["epistemic"], [[TARGET_DEVIATION]])


def test_a_member_without_a_variance_gets_that_of_its_own_errors() -> None:
    aggregator = filled("regression", four_members("regression"))
    view = view_of("regression")
    (first, *_), outputs = aggregator.members, of(aggregator, view).prediction.outputs
    errors = outputs[0, :, 0].astype(np.float64) - view.targets
    np.testing.assert_allclose(first.noise, [np.mean(errors**2)])
    np.testing.assert_array_equal(outputs[0, :, 1], np.float32(first.noise[0]))


def test_noise_comes_from_the_validation_part_alone() -> None:
    aggregator = filled("regression", four_members("regression"))
    before = [member.noise for member in aggregator.members]
    of(aggregator, view_of("regression", seed=1))
    assert [member.noise for member in aggregator.members] == before


def test_classes_have_no_noise() -> None:
    members = filled("classification", four_members("classification")).members
    assert [member.noise for member in members] == [()] * 4


@every_task
def test_an_ensemble_of_one_member_equals_it_in_every_measure(task: Task) -> None:
    found = of(filled(task, [member(task, 0)]), view_of(task, seed=1))
    assert found.ensemble == found.members[0]


def measured_of(nll: list[float], ensemble: float) -> Measured:
    nothing: Floats = np.zeros((len(nll), 0, 3))
    targets: Array = np.zeros(0)
    prediction = Prediction(nothing, Weighted.equal(len(nll)), schema_of("classification"))
    return Measured(prediction, targets, {"nll": ensemble}, [{"nll": value} for value in nll])


def test_the_best_member_is_the_one_with_the_lowest_nll() -> None:
    assert best_member(measured_of([0.3, 0.1, 0.2], 0.1)) == 1


def test_summary_chooses_the_best_member_on_validation() -> None:
    parts = {
        "validation": measured_of([0.3, 0.1, 0.2], 0.05),
        "test": measured_of([0.1, 0.5, 0.3], 0.25),
    }
    assert summary(parts) == pytest.approx(
        {
            "validation/nll": 0.05,
            "member_mean/validation/nll": 0.2,
            "member_best/validation/nll": 0.1,
            "test/nll": 0.25,
            "member_mean/test/nll": 0.3,
            "member_best/test/nll": 0.5,
        }
    )
