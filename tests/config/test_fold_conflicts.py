"""Folds in place of held-out parts: what goes with them, and what is refused by name and line."""

from collections.abc import Callable

import pytest

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.folding import Folding
from ensemble_pipe.training.stacks import make_stacks

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


def test_repeated_folds_are_left_out_by_learners_in_turn(load: Load) -> None:
    plans = make_plans(load("splits: {folds: {count: 2, repeats: 2}}\nensemble: {learners: 4}"))
    assert plans.fold_groups == ((0, 1, 2, 3),)
    assert plans.folds == Folding(count=2, repeats=2)
    assert {plan.folding for plan in plans.networks} == {plans.folds}


def test_each_fold_is_left_out_equally_often_unless_a_number_is_given(load: Load) -> None:
    for text, learners in (("5", 5), ("3", 6), ("8", 8), ("{count: 5, repeats: 2}", 10)):
        plans = make_plans(load(f"splits: {{folds: {text}}}"))
        assert len(plans.networks) == learners


def test_learners_of_forward_folds_have_epochs_of_their_own_length(load: Load) -> None:
    text = "splits: {folds: {count: 3, forward: expanding, gap: 5}}\nensemble: {learners: 6}"
    plans = make_plans(load(text))
    assert [plan.steps(400).rows for plan in plans.networks] == [95, 195, 295] * 2
    stacks = make_stacks(plans.networks, {}, size=1, trainers=1, width=6)
    assert [[plan.learner for plan in stack.plans] for stack in stacks] == [[0, 3], [1, 4], [2, 5]]


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
            "splits: {folds: {count: 5, repeats: 2}}\nensemble: {learners: 9}",
            "ensemble.learners: is 9, but splits.folds has 10, and each fold is left out by one "
            "learner at least; take 10 or more",
        ),
        ("splits: {folds: {count: 1}}", "splits.folds.count: input should be greater than or"),
        (
            "splits: {folds: {cout: 5}}",
            "splits.folds.cout: unknown key 'cout'; did you mean 'count'? "
            "valid: column, count, forward, gap, repeats",
        ),
        ("splits: {folds: abc}", "splits.folds: expected a whole number, got 'abc'"),
        (
            "splits: {folds: {count: 3, forward: expandin}}",
            "splits.folds.forward: unknown 'expandin'; did you mean 'expanding'?",
        ),
        ("splits: {folds: {repeats: 2}}", "splits.folds: count is missing"),
        ("splits: {folds: {count: 2}}\nview: {folds: 3}", "view.folds: splits.folds lets every"),
        (
            "splits: {folds: {count: 2}}\ntraining: {order: shared}",
            "splits.folds: learners see rows of their own, so training.order must be own",
        ),
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
