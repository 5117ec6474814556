"""Folds in place of held-out parts: what goes with them, and what is refused by name and line."""

from collections.abc import Callable

import pytest

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError

Load = Callable[..., Pipeline]


def test_folds_take_the_place_of_two_parts(load: Load) -> None:
    splits = load("splits: {folds: 5}").splits
    assert (splits.folds, splits.validation, splits.stop) == (5, None, None)
    assert splits.sizes == {"test": 0.2}


def test_without_folds_parts_are_as_they_were(load: Load) -> None:
    assert load("name: plain").splits.sizes == {"test": 0.2, "validation": 0.15, "stop": 0.1}


def test_the_stop_part_may_be_the_validation_part(load: Load) -> None:
    splits = load("splits: {validation: 0.1, stop: validation}").splits
    assert splits.sizes == {"test": 0.2, "validation": 0.1}


def test_every_learner_leaves_out_a_fold(load: Load) -> None:
    pool = "[{strategy: independent, learners: 5}, {strategy: linear, learners: 4}]"
    plans = make_plans(load(f"splits: {{folds: 4}}\nensemble: {{pool: {pool}}}"))
    assert {plan.view.folds for plan in plans.networks} == {4}
    assert {plan.folds for plan in plans.estimators} == {4}
    assert plans.fold_groups == ((0, 1, 2, 3, 4), (5, 6, 7, 8))
    assert (plans.folds, plans.fold_counts) == (4, [4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "splits: {folds: 5, stop: 0.1, validation: 20}",
            "splits: folds take the place of validation and stop; leave validation and stop out",
        ),
        ("splits: {validation: null}", "splits: validation and stop need a size each"),
        ("splits: {stop: test}", "splits.stop: "),
        ("splits: {folds: 1}", "splits.folds: input should be greater than or equal to 2, got 1"),
        (
            "splits: {folds: 5}\nensemble: {learners: 4}",
            "ensemble.learners: is 4, but splits.folds is 5, and each fold is left out by one "
            "learner at least; take 5 or more (p.yaml:2)",
        ),
        (
            "splits: {folds: 5}\nensemble:\n  pool:\n    - {strategy: independent}\n"
            "    - {strategy: linear}",
            "ensemble.pool.1.learners: is 1, but splits.folds is 5",
        ),
        (
            "splits: {folds: 2}\nensemble: {strategy: cross_validation, learners: 5}",
            "ensemble.strategy: has as many folds as learners, 5, but splits.folds is 2",
        ),
        (
            "splits: {folds: 2}\nensemble: {stop_below_gain: 0.1}",
            "ensemble.stop_below_gain: splits.folds needs all learners",
        ),
        (
            "splits: {folds: 2}\nensemble: {combine: {keep: 2}}",
            "ensemble.combine.keep: counts single members, but under splits.folds",
        ),
        ("splits: {folds: 2}\nview: {folds: 3}", "view.folds: splits.folds lets every learner"),
        (
            "splits: {folds: 2}\nensemble: {vary: {view.folds: [2, 3]}}",
            "view.folds: splits.folds lets every learner",
        ),
    ],
)
def test_what_does_not_go_with_folds_is_refused(load: Load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(text)
    assert message in str(error.value)
    assert "p.yaml:" in str(error.value)
