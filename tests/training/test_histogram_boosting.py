"""Boosted trees of scikit-learn: what they see, where they stop, what they report."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import plain_schema
from threadpoolctl import threadpool_limits

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.tables.source_view import CategoryPlace, SourceView
from ensemble_pipe.ensemble.kernels.trees import add_trees
from ensemble_pipe.ensemble.members import fitted_member, member_outputs
from ensemble_pipe.training.boosted_trees import BoostedTrees
from ensemble_pipe.training.estimator_settings import TREES, HistogramBoosting
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.histogram_boosting import MOST_CATEGORIES, fit_histogram_boosting
from ensemble_pipe.training.learner_rows import NOISE_FOLDS, LearnerRows
from ensemble_pipe.training.reports import unreported
from ensemble_pipe.training.tree_inputs import TreeInputs, fit_inputs

# Rows are (code, number, number): the code of a category from 1 on, 0 for the unknown.
VIEW = SourceView((CategoryPlace(0, 300, is_code=True),), (1, 2), (-1, -1))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As a trainer has."""
    with threadpool_limits(1):
        yield


def made(count: int, seed: int = 0, categories: int = 20) -> Floats:
    """Return encoded rows (R, 3), some with a missing number."""
    random = np.random.default_rng(seed)
    codes = random.integers(1, categories + 1, count)
    numbers = random.normal(size=(count, 2))
    numbers[random.random(count) < 0.1, 0] = np.nan
    return np.column_stack([codes, numbers]).astype(np.float32)


def rows(encoded: Floats, targets: Any) -> LearnerRows:
    folds = np.arange(len(encoded)) % NOISE_FOLDS
    return LearnerRows(encoded, np.asarray(targets), np.ones(len(encoded), np.float32), folds)


def fitted(
    settings: HistogramBoosting, task: Any, train: LearnerRows, stop: LearnerRows, **more: Any
) -> tuple[BoostedTrees, TreeInputs]:
    inputs = fit_inputs(VIEW, train.inputs, MOST_CATEGORIES)
    report = more.get("report", unreported)
    trees = fit_histogram_boosting(settings, {"seed": 1}, task, 1, inputs, train, stop, report)
    return trees, inputs


def sums(trees: BoostedTrees, inputs: TreeInputs, encoded: Floats) -> Floats:
    out = np.repeat(trees.baseline[None], len(encoded), axis=0)
    add_trees(inputs.read(encoded), *trees.nodes, out)
    return out


def parity(encoded: Floats) -> Floats:
    """Return a target that depends on the category by no order."""
    return np.asarray(encoded[:, 0] % 2 + 0.1 * np.nan_to_num(encoded[:, 1]), np.float32)


@pytest.mark.parametrize("classes", [2, 3])
def test_predictions_are_those_of_scikit_learn(classes: int) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    encoded = made(600)
    labels = (encoded[:, 0].astype(int) % classes).astype(np.int32)
    settings = HistogramBoosting(rounds=12, features=1.0, penalty=0.5)
    none = rows(encoded[:0], labels[:0])
    trees, inputs = fitted(settings, "classification", rows(encoded, labels), none)
    other = HistGradientBoostingClassifier(
        max_iter=12, learning_rate=0.05, l2_regularization=0.5, categorical_features=[0],
        early_stopping=False, random_state=1,
    )  # fmt: skip
    new = made(200, seed=1, categories=25)  # among them some of no training row
    seen = inputs.read(encoded), inputs.read(new)
    expected = other.fit(seen[0], labels).decision_function(seen[1]).reshape(200, -1)
    np.testing.assert_allclose(sums(trees, inputs, new), expected, rtol=1e-12, atol=1e-12)


def test_a_category_has_no_order_for_trees() -> None:
    encoded, new = made(1000), made(300, seed=1)
    settings = HistogramBoosting(rounds=20, leaves=3, learning_rate=0.5, features=1.0, penalty=0.0)
    train, stop = rows(encoded, parity(encoded)), rows(new, parity(new))
    trees, inputs = fitted(settings, "regression", train, stop)
    errors = sums(trees, inputs, new)[:, 0] - parity(new)
    assert np.sqrt(np.mean(errors**2)) < 0.05  # two leaves divide even from odd


def test_of_many_categories_the_rarest_are_unknown() -> None:
    common, rare = np.repeat(np.arange(1, 251), 3), np.arange(251, 301)
    codes = np.concatenate([common, rare, rare[:4]]).astype(np.float32)
    encoded = np.column_stack([codes, codes * 0, codes * 0])
    read = fit_inputs(VIEW, encoded, MOST_CATEGORIES).read(encoded)[:, 0]
    assert np.isnan(read).sum() == 46
    assert len(np.unique(read[~np.isnan(read)])) == MOST_CATEGORIES
    unknown = np.zeros((1, 3), np.float32)
    assert np.isnan(fit_inputs(VIEW, encoded, 9).read(unknown)[0, 0])


def test_the_rounds_up_to_the_least_loss_on_the_stop_rows_are_kept() -> None:
    encoded, other = made(400), made(400, seed=1)
    noise = np.random.default_rng(2).normal(size=(2, 400))
    train, stop = rows(encoded, parity(encoded) + noise[0]), rows(other, parity(other) + noise[1])
    settings = HistogramBoosting(rounds=300, learning_rate=0.3)
    few, _ = fitted(settings, "regression", train, stop)
    every, _ = fitted(settings, "regression", train, rows(encoded[:0], noise[0][:0]))
    assert 0 < (few.nodes.sequence == 0).sum() < (every.nodes.sequence == 0).sum() == 300


def test_each_row_of_a_regression_has_a_noise_of_its_own() -> None:
    encoded, new = made(3000), made(500, seed=1)
    random = np.random.default_rng(3)

    def targets(of: Floats) -> Floats:
        return np.asarray(np.where(of[:, 2] > 0, 1.0, 0.1) * random.normal(size=len(of)))

    train, stop = rows(encoded, targets(encoded)), rows(new, targets(new))
    trees, inputs = fitted(HistogramBoosting(rounds=50), "regression", train, stop)
    variances = np.exp(sums(trees, inputs, new)[:, 1])
    assert np.median(variances[new[:, 2] > 0.1]) == pytest.approx(1.0, rel=0.3)
    assert np.median(variances[new[:, 2] < -0.1]) == pytest.approx(0.01, rel=0.5)


def test_several_targets_have_trees_of_their_own() -> None:
    encoded = made(300)
    both = np.column_stack([parity(encoded), -3 * parity(encoded)]).astype(np.float32)
    settings = HistogramBoosting(rounds=40, learning_rate=0.3, leaf_rows=5)
    trees, inputs = fitted(settings, "regression", rows(encoded, both), rows(encoded, both))
    found = sums(trees, inputs, encoded)
    assert found.shape == (300, 4)
    errors = np.mean((found[:, :2] - both) ** 2, axis=0)
    assert (errors < 0.1 * both.var(axis=0)).all()
    few, _ = fitted(settings, "regression", rows(encoded[:50], both[:50]), rows(encoded, both))
    assert few.baseline.shape == (2,)  # too few for a noise by rows


def test_rounds_are_reported_up_to_their_planned_number() -> None:
    encoded = made(300)
    told: list[tuple[int, int, float]] = []
    train = rows(encoded, parity(encoded))

    def tell(*values: Any) -> bool:
        told.append(values)
        return False

    fitted(HistogramBoosting(rounds=8), "regression", train, train, report=tell)
    steps = [step for step, _, _ in told]
    assert len(steps) > 8 * (1 + NOISE_FOLDS)
    assert steps == sorted(steps)
    assert all(step <= total for step, total, _ in told)
    assert told[-1][0] <= 8 * (1 + NOISE_FOLDS) + 300


def test_a_member_is_a_function_of_the_row_alone() -> None:
    encoded = made(300)
    numbers = rows(encoded[:, 1:], parity(encoded))
    plain = plain_schema("regression", (2,))
    own = fit_inputs(plain.source_view, numbers.inputs, MOST_CATEGORIES)
    facts = EstimatorPlan(0, 1, HistogramBoosting()).facts
    content = fit_histogram_boosting(
        HistogramBoosting(rounds=9), facts, "regression", 1, own, numbers, numbers, unreported
    ).to_bytes()
    member = fitted_member(EstimatorPlan(0, 1, HistogramBoosting()), TREES, content)
    member.require_fit(plain)
    assert member.is_of_plan(EstimatorPlan(0, 1, HistogramBoosting()), "regression")
    assert not member.is_of_plan(EstimatorPlan(0, 2, HistogramBoosting()), "regression")
    assert not member.is_of_plan(EstimatorPlan(0, 1, HistogramBoosting(leaves=5)), "regression")

    def outputs(of: Floats) -> Floats:
        def read(start: int, stop: int, out: Any) -> None:
            out[:] = of[start:stop]

        (found,) = member_outputs([member], plain, [read], len(of))
        return np.asarray(found)

    whole = outputs(numbers.inputs)
    assert outputs(numbers.inputs[40:43]).tobytes() == whole[40:43].tobytes()
    assert whole.shape == (300, 2)
    assert (whole[:, 1] > 0).all()
