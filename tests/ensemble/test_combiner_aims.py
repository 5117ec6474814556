"""Combiners that aim at a metric in place of the NLL."""

from typing import get_args

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.metrics import CHANCE, ClassMetric, class_metric, loss_of
from ensemble_pipe.ensemble.combiners import (
    Aim,
    ClassOutputs,
    NumberOutputs,
    choose,
    fit,
    select,
    softmax,
)
from ensemble_pipe.ensemble.combiners.aims import MetricLoss, likelihood_of
from ensemble_pipe.ensemble.metrics.aurocs import mean_auroc

ROWS = 300


def aim_at(name: str) -> Aim:
    def loss(parts: tuple[Floats, ...], labels: Array) -> float:
        return loss_of(name, class_metric(name, parts[0], labels))

    return Aim(name, loss)


def classifiers(classes: int = 3) -> tuple[ClassOutputs, Array]:
    """Return five members of differing use, the last of them confident and often wrong."""
    random = np.random.default_rng(8)
    labels = random.choice(classes, ROWS, p=[0.7, *[0.3 / (classes - 1)] * (classes - 1)])
    truth = np.eye(classes)[labels]
    scales = np.array([2.0, 1.5, 1.0, 0.5, 1.0])[:, None, None]
    logits = scales * truth + random.normal(size=(5, ROWS, classes))
    logits[4] *= 6
    return ClassOutputs(logits), labels


def value(name: str, outputs: ClassOutputs, labels: Array, weights: Floats) -> float:
    mixture = np.tensordot(weights, softmax(outputs.logits), axes=1)
    return loss_of(name, class_metric(name, mixture, labels))


@pytest.mark.parametrize("method", ["weights", "greedy"])
@pytest.mark.parametrize("name", [one for one in get_args(ClassMetric) if one != "nll"])
def test_neither_equal_weights_nor_the_likeliest_are_better_by_the_metric(
    name: str, method: str
) -> None:
    outputs, labels = classifiers()
    found = fit(method, outputs, labels, np.random.default_rng(1), aim=aim_at(name))
    own = value(name, outputs, labels, found.member_weights())
    others = [np.full(5, 0.2)]
    if method == "weights":  # bags of greedy selection need not hold the best member
        likeliest = fit("weights", outputs, labels, np.random.default_rng(1))
        others += [likeliest.member_weights()]
    for weights in others:
        assert own <= value(name, outputs, labels, weights) + 1e-6
    again = fit(method, outputs, labels, np.random.default_rng(1), aim=aim_at(name))
    assert again == found


def test_the_loss_without_a_member_is_that_of_the_others_weights() -> None:
    outputs, labels = classifiers()
    equal = np.full(ROWS, 1 / ROWS)
    loss = likelihood_of(outputs, labels, equal, aim_at("auroc"))
    assert isinstance(loss, MetricLoss)
    weights = np.array([0.1, 0.0, 0.4, 0.2, 0.3])
    for places in ([0, 2, 3, 4], [2, 4], [4], []):
        expected = [
            loss.at(np.where(np.arange(5) == place, 0, weights) / (1 - weights[place]))
            for place in places
        ]
        assert loss.without(weights, np.array(places, int)) == pytest.approx(expected)


def test_of_equal_values_the_lower_nll_is_taken() -> None:
    labels = np.array([0, 1] * 10)
    sure, unsure = (size * (2 * np.eye(2)[labels] - 1) for size in (3.0, 0.1))
    outputs = ClassOutputs(np.stack([unsure, sure, unsure]))
    weights = select(outputs, labels, most_members=1, aim=aim_at("accuracy"))
    assert weights.tolist() == [0, 1, 0]


def test_a_mixture_of_numbers_comes_near_the_least_error_that_there_is() -> None:
    random = np.random.default_rng(3)
    targets = random.normal(size=(ROWS, 1))
    means = targets + random.normal(size=(4, ROWS, 1)) * np.array([0.5, 1, 2, 1])[:, None, None]
    outputs = NumberOutputs(means, np.full(means.shape, 0.5))

    def rmse(parts: tuple[Floats, ...], truth: Array) -> float:
        return float(np.sqrt(np.mean((parts[0] - truth) ** 2)))

    found = fit("weights", outputs, targets, random, aim=Aim("rmse", rmse)).member_weights()
    errors = (means - targets)[:, :, 0]
    grid = random.dirichlet(np.ones(4), 20_000)
    least = np.sqrt(((grid @ errors) ** 2).mean(axis=1).min())
    assert rmse((np.tensordot(found, means, axes=1),), targets) <= 1.005 * least


def test_the_candidates_of_a_choice_are_judged_by_the_metric() -> None:
    outputs, labels = classifiers()
    aim = aim_at("balanced_accuracy")
    choice = choose(outputs, labels, 5, np.random.default_rng(2), aim=aim)
    losses = [one.loss for one in choice.table]
    assert all(loss is not None and -1 <= loss <= 0 for loss in losses)
    best = min(loss for loss in losses if loss is not None)
    for one in choice.table:
        assert one.loss is not None
        assert one.excess == one.loss - best
        assert one.excess_error >= 0
    unfitted = next(one for one in choice.table if one.name == "mean_probability")
    whole = aim.loss((softmax(outputs.logits).mean(axis=0),), labels)
    assert unfitted.loss == pytest.approx(whole)
    assert choice.chosen.excess <= choice.chosen.excess_error


def test_a_budget_is_spent_by_the_metric() -> None:
    outputs, labels = classifiers()
    for name in ("accuracy", "auroc"):
        one = select(outputs, labels, most_members=1, aim=aim_at(name))
        each = [value(name, outputs, labels, row) for row in np.eye(5)]
        assert int(np.argmax(one)) == int(np.argmin(each))
        two = select(outputs, labels, most_members=2, aim=aim_at(name))
        assert value(name, outputs, labels, two) <= min(each) + 1e-6
        assert np.count_nonzero(two) <= 2


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("digits", [1, 3, 17])
def test_the_auroc_that_is_aimed_at_is_that_which_is_measured(classes: int, digits: int) -> None:
    """Also with equal scores, scores of 0 (of either sign), and classes without rows."""
    random = np.random.default_rng(classes)
    labels = random.integers(0, max(2, classes - 1), ROWS)
    logits = 9 * random.normal(size=(ROWS, classes)) + 9 * np.eye(classes)[labels]
    probabilities = np.round(softmax(logits[None])[0], digits)
    probabilities[:9] = 0.0
    probabilities[3:6] = -0.0
    expected = class_metric("auroc", probabilities, labels)
    assert mean_auroc(probabilities, labels) == expected
    assert mean_auroc(np.asfortranarray(probabilities), labels.astype(np.int32)) == expected
    probabilities[0, 1] = -np.nan if digits == 3 else np.nan
    assert mean_auroc(probabilities, labels) == class_metric("auroc", probabilities, labels)
    assert mean_auroc(probabilities, np.zeros(ROWS, np.int64)) == CHANCE
