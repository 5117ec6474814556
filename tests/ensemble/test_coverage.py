"""A stated coverage: fitted with the combination, on rows that their combiner has not seen."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.combiners import Weighted
from ensemble_pipe.ensemble.combining import Combine, Combined, combine_members
from ensemble_pipe.ensemble.conformal import conformal_sets
from ensemble_pipe.ensemble.measures import coverage_metrics, further_metrics, rejection_metrics
from ensemble_pipe.ensemble.members import EstimatorMember, Member
from ensemble_pipe.ensemble.prediction import Prediction

CLASSES = plain_schema("classification", (2,), ("a", "b", "c"))
NUMBERS = plain_schema("regression", (2,), target_means=(5.0,), target_deviations=(2.0,))


def classes(rows: int, seed: int) -> tuple[Floats, Array]:
    """Logits of four members, of which two are too sure of themselves, and one knows nothing."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, rows)
    truth = np.eye(3)[labels]
    logits = [truth * s + random.normal(size=(rows, 3)) * n for s, n in ((1, 1), (4, 4), (6, 3))]
    return np.stack([*logits, random.normal(size=(rows, 3))]).astype(np.float32), labels


def numbers(rows: int, seed: int) -> tuple[Floats, Array]:
    """Means and variances of three members, standardised; their errors have heavy tails."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=rows)
    means = truth + random.standard_t(4, (3, rows)) * np.array([[0.2], [0.4], [2.0]])
    outputs = np.stack([means, np.full((3, rows), 0.1)], axis=2)
    return outputs.astype(np.float32), truth.astype(np.float32)


def members(count: int) -> list[tuple[Member, ...]]:
    return [(EstimatorMember(learner, 0, 0, "linear", b""),) for learner in range(count)]


def ensemble(task: str, rows: int, seed: int, **how: Any) -> Combined:
    outputs, targets = (classes if task == "classes" else numbers)(rows, seed)
    schema = CLASSES if task == "classes" else NUMBERS
    costs = np.ones(len(outputs))
    return combine_members(
        Combine(**how), members(len(outputs)), outputs, targets, schema, costs, seed
    )


def covered(task: str, found: Combined, seed: int, rows: int = 4000) -> dict[str, float]:
    outputs, targets = (classes if task == "classes" else numbers)(rows, seed)
    schema = CLASSES if task == "classes" else NUMBERS
    own = outputs[[member.learner for member in found.members]]
    return coverage_metrics(Prediction(own, found.combiner, schema, found.conformal), targets)


@pytest.mark.parametrize("task", ["classes", "numbers"])
@pytest.mark.parametrize("how", [
    {},
    {"method": "weights", "temperature": True},
    pytest.param({"method": "choose", "keep": 2}, marks=pytest.mark.slow),
    pytest.param({"method": "stacking"}, marks=pytest.mark.slow),
], ids=lambda how: how.get("method", "mean"))  # fmt: skip
def test_new_rows_are_covered_as_stated(task: str, how: dict[str, Any]) -> None:
    shares = []
    for seed in range(4):
        found = ensemble(task, 500, seed, coverage=0.8, **how)
        shares.append(covered(task, found, 100 + seed)["coverage"])
    # A threshold from 500 rows has a standard deviation of 0.018 in coverage; sets of classes may
    # cover more than stated.
    assert np.mean(shares) > 0.8 - 3 * 0.018 / 2
    assert np.mean(shares) < (0.8 + 3 * 0.018 / 2 if task == "numbers" else 0.95)


def test_where_nothing_is_fitted_the_folds_change_no_bit() -> None:
    outputs, labels = classes(300, 1)
    found = ensemble("classes", 300, 1, coverage=0.9)
    direct = conformal_sets(found.combiner.probabilities(outputs), labels, 0.9)
    assert found.conformal == (direct,)
    assert replace(found, conformal=()) == ensemble("classes", 300, 1)


@pytest.mark.parametrize("rows", [1, 2, 9, 10])
@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_too_few_rows_for_the_coverage_give_what_covers_all(task: str, rows: int) -> None:
    found = ensemble(task, rows, 0, coverage=0.95)
    assert [one.threshold for one in found.conformal] == [None]
    assert covered(task, found, 1)["coverage"] == 1.0


def test_further_measures_agree_with_the_metrics() -> None:
    outputs, labels = classes(500, 5)
    found = ensemble("classes", 500, 5, coverage=0.9)
    prediction = Prediction(outputs, found.combiner, CLASSES, found.conformal)
    accuracy = prediction.metrics(labels)["accuracy"]
    curve = rejection_metrics(prediction, labels)
    assert curve["accuracy_at_100"] == pytest.approx(accuracy)
    assert curve["accuracy_at_50"] > accuracy
    flat = further_metrics(prediction, labels, "test/")
    assert {"rejection/test/area", "diversity/test/kl", "conformal/test/coverage"} <= flat.keys()

    means, truth = numbers(500, 5)
    spread = ensemble("numbers", 500, 5, coverage=0.9)
    of_numbers = Prediction(means, spread.combiner, NUMBERS, spread.conformal)
    rmse = of_numbers.metrics(truth)["rmse"]
    assert rejection_metrics(of_numbers, truth)["rmse_at_100"] == pytest.approx(rmse)
    low, high = of_numbers.interval
    width = coverage_metrics(of_numbers, truth)["mean_width"]
    assert width == pytest.approx(np.mean(high - low))


def test_a_member_alone_has_no_diversity() -> None:
    outputs, labels = classes(100, 1)
    found = ensemble("classes", 100, 1, keep=1)
    prediction = Prediction(outputs[:1], found.combiner, CLASSES)
    assert not [name for name in further_metrics(prediction, labels) if "diversity" in name]


@pytest.mark.parametrize("task", ["classes", "numbers"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_best_few_members_are_no_worse_than_the_best_one(task: str, most: int) -> None:
    outputs, targets = (classes if task == "classes" else numbers)(400, 2)
    schema = CLASSES if task == "classes" else NUMBERS

    def nll(found: Combined) -> float:
        own = outputs[[member.learner for member in found.members]]
        return Prediction(own, found.combiner, schema).metrics(targets)["nll"]

    alone = [
        Prediction(one[None], Weighted.equal(1), schema).metrics(targets)["nll"] for one in outputs
    ]
    found = ensemble(task, 400, 2, most_members=most)
    assert len(found.members) <= most
    assert nll(found) <= min(alone) + 1e-6


def test_a_choice_among_one_member_calibrates_it() -> None:
    found = ensemble("numbers", 400, 2, method="choose", keep=1)
    assert len(found.members) == 1
    assert found.combiner.temperature != 1.0


@pytest.mark.parametrize("rows", [1, 4])
def test_too_few_rows_to_choose_by_lose_no_run(rows: int) -> None:
    found = ensemble("numbers", rows, 1, method="choose")
    assert found.members
