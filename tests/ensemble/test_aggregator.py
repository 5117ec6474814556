"""The aggregator: members in any order, combined and measured the same way."""

from itertools import permutations

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.ensemble.aggregator import (
    Aggregator,
    Measured,
    best_member,
    measure,
    noise_variance,
    predicted_numbers,
    summary,
)
from ensemble_pipe.ensemble.combiners import mean_probability
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.metrics.regression import regression_metrics
from ensemble_pipe.nn.losses import CrossEntropy, Loss, SquaredError
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.training.plan import build

ROWS = 60
PLAIN = PredictionDraws(Augment(), seed=1)
NETWORK = Mlp(hidden=(5,))
TARGET_MEAN, TARGET_DEVIATION = 20.0, 4.0
TASKS: list[Task] = ["classification", "regression"]
LOSS: dict[Task, Loss] = {"classification": CrossEntropy(), "regression": SquaredError()}
every_task = pytest.mark.parametrize("task", TASKS)


def schema_of(task: Task) -> Schema:
    classes = task == "classification"
    return plain_schema(
        task,
        (4,),
        ("x", "y", "z") if classes else (),
        target_mean=0.0 if classes else TARGET_MEAN,
        target_deviation=1.0 if classes else TARGET_DEVIATION,
    )


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


def member(task: Task, learner: int, number: int = 0) -> Member:
    loss = LOSS[task]
    row = build(NETWORK, loss, schema_of(task)).initialize(1, 10 * learner + number)
    return Member(learner, number, 50, NETWORK, loss, row)


def filled(task: Task, members: list[Member]) -> Aggregator:
    aggregator = Aggregator(schema_of(task), view_of(task), PLAIN)
    for one in members:
        aggregator.add(one)
    return aggregator


def four_members(task: Task) -> list[Member]:
    return [member(task, 0), member(task, 1, 0), member(task, 1, 1), member(task, 2)]


def same(first: Measured, second: Measured) -> bool:
    return (
        first.outputs.tobytes() == second.outputs.tobytes()
        and first.ensemble == second.ensemble
        and first.members == second.members
    )


@every_task
def test_the_order_in_which_members_come_changes_nothing(task: Task) -> None:
    members = four_members(task)
    expected = filled(task, members).measured(view_of(task, seed=1))
    for order in list(permutations(members))[1::5]:
        aggregator = filled(task, list(order))
        assert [(one.learner, one.number) for one in aggregator.members] == [
            (0, 0),
            (1, 0),
            (1, 1),
            (2, 0),
        ]
        assert same(aggregator.measured(view_of(task, seed=1)), expected)


@every_task
def test_adding_a_member_returns_what_it_would_get_alone(task: Task) -> None:
    aggregator = Aggregator(schema_of(task), view_of(task), PLAIN)
    for one in four_members(task):
        assert aggregator.add(one) == filled(task, [one]).ensemble_metrics()


@every_task
def test_validation_is_measured_as_any_other_part(task: Task) -> None:
    aggregator = filled(task, four_members(task))
    assert aggregator.measured(view_of(task)).ensemble == aggregator.ensemble_metrics()


@every_task
def test_the_curve_ends_at_the_whole_ensemble(task: Task) -> None:
    aggregator = filled(task, four_members(task))
    curve = aggregator.curve()
    assert len(curve) == 4
    assert curve[-1] == aggregator.ensemble_metrics()
    assert curve[0] == aggregator.measured(view_of(task)).members[0]


def test_classes_are_combined_by_their_mean_probability() -> None:
    found = filled("classification", four_members("classification")).measured(
        view_of("classification", seed=1)
    )
    assert found.outputs.shape == (4, ROWS, 3)
    expected = classification_metrics(mean_probability(found.outputs), found.targets)
    assert found.ensemble == expected
    for outputs, metrics in zip(found.outputs, found.members, strict=True):
        assert metrics == classification_metrics(mean_probability(outputs[None]), found.targets)


def test_an_ensemble_is_no_worse_than_its_members_on_average() -> None:
    # By Jensen's inequality, for the negative log-likelihood and the Brier score.
    found = filled("classification", four_members("classification")).measured(
        view_of("classification", seed=1)
    )
    for name in ("nll", "brier"):
        assert found.ensemble[name] <= np.mean([metrics[name] for metrics in found.members])


def test_a_regression_is_measured_in_the_targets_own_units() -> None:
    outputs = np.array([[[0.0], [1.0]], [[0.5], [1.0]]], np.float32)
    targets = np.array([0.0, 2.0], np.float32)
    found = measure(outputs, targets, schema_of("regression"), noise=0.25)
    mean = TARGET_MEAN + TARGET_DEVIATION * np.array([0.25, 1.0])
    deviation = TARGET_DEVIATION * np.sqrt([0.25 + 0.0625, 0.25])
    numbers = TARGET_MEAN + TARGET_DEVIATION * np.array([0.0, 2.0])
    assert found == pytest.approx(regression_metrics(mean, deviation, numbers))


def test_predicted_numbers_by_hand() -> None:
    outputs = np.array([[[-1.0]], [[1.0]]], np.float32)
    mean, deviation = predicted_numbers(outputs, schema_of("regression"), 3.0)
    np.testing.assert_array_equal(mean, [TARGET_MEAN])
    np.testing.assert_array_equal(deviation, [2.0 * TARGET_DEVIATION])


def test_predicted_variances_count_where_members_give_some() -> None:
    outputs = np.array([[[-1.0, 2.0]], [[1.0, 4.0]]], np.float32)
    mean, deviation = predicted_numbers(outputs, schema_of("regression"), noise=100.0)
    np.testing.assert_array_equal(mean, [TARGET_MEAN])
    np.testing.assert_array_equal(deviation, [2.0 * TARGET_DEVIATION])  # sqrt(3 + 1)


def test_noise_is_the_mean_squared_residual_of_all_members() -> None:
    outputs = np.array([[[1.0], [2.0]], [[0.0], [4.0]]], np.float32)
    targets = np.array([0.0, 2.0], np.float32)
    assert noise_variance(outputs, targets, schema_of("regression")) == 1.25  # (1 + 0 + 0 + 4) / 4


def test_noise_comes_from_the_validation_part_alone() -> None:
    aggregator = filled("regression", four_members("regression"))
    before = aggregator.noise
    other = aggregator.measured(view_of("regression", seed=1))
    assert aggregator.noise == before
    assert other.ensemble == measure(other.outputs, other.targets, aggregator.schema, before)


def test_classes_have_no_noise() -> None:
    assert filled("classification", four_members("classification")).noise == 0.0


def measured_of(nll: list[float], ensemble: float) -> Measured:
    nothing: Floats = np.zeros((len(nll), 0, 1))
    targets: Array = np.zeros(0)
    return Measured(nothing, targets, {"nll": ensemble}, [{"nll": value} for value in nll])


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
