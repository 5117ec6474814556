"""Pruning: when trials are compared, and which of them go on."""

from typing import Any

import pytest

from ensemble_pipe.config.search_settings import Pruning, Search
from ensemble_pipe.config.sections import Pipeline, Training
from ensemble_pipe.search.pruning import bracket, compared_by, loss_of, rungs, survivors


def searching(metric: str, space: dict[str, Any] | None = None) -> Search:
    values = {"space": space or {"network.hidden": [[4], [8]]}, "metric": metric}
    found = Pipeline.model_validate({"search": values}).search
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("pruning", "epochs", "expected"),
    [
        (None, 81, []),
        ("median", 20, [1, 2, 4, 8, 16]),
        ("successive_halving", 81, [1, 3, 9, 27]),
        ("successive_halving", 20, [2, 6]),
        ("hyperband", 2, []),
        ("median", 1, []),
    ],
)
def test_trials_are_compared_at_growing_epochs(
    pruning: Pruning | None, epochs: int, expected: list[int]
) -> None:
    assert rungs(pruning, epochs) == expected


LOSSES = {trial: float(trial) for trial in range(9)}


def test_a_third_goes_on_under_successive_halving_and_half_under_the_median() -> None:
    going = range(9)
    assert survivors("successive_halving", 9, 1, going, LOSSES, 1) == {0, 1, 2}
    assert survivors("median", 9, 1, going, LOSSES, 1) == {0, 1, 2, 3, 4}


def test_as_many_go_on_as_the_ensemble_needs() -> None:
    assert survivors("successive_halving", 9, 1, range(9), LOSSES, 5) == {0, 1, 2, 3, 4}


def test_trials_that_ended_before_count_but_do_not_go_on() -> None:
    assert survivors("successive_halving", 9, 1, [1, 4, 7], LOSSES, 1) == {1}


def test_of_equal_trials_the_earlier_one_goes_on() -> None:
    assert survivors("median", 9, 1, [0, 1], {0: 0.5, 1: 0.5}, 1) == {0}


def test_brackets_have_trials_in_proportion_to_those_of_hyperband() -> None:
    found = [bracket(trial, 81) for trial in range(1000)]
    sizes = {4: 81, 3: 34, 2: 15, 1: 8, 0: 5}  # Li et al. 2018, table 1
    for level, size in sizes.items():
        share = size / sum(sizes.values())
        assert found.count(level) / 1000 == pytest.approx(share, abs=0.01)


def test_a_bracket_is_compared_from_its_own_first_epoch_on() -> None:
    own = {level: next(n for n in range(99) if bracket(n, 81) == level) for level in range(5)}
    losses = dict.fromkeys(own.values(), 1.0)
    for epoch in rungs("hyperband", 81):
        worse = {**losses, **{trial + 1000: 0.0 for trial in own.values()}}
        same = {trial: loss for trial, loss in worse.items() if trial < 1000}
        assert survivors("hyperband", 81, epoch, list(same), same, 1) == set(same)


def test_a_bracket_without_comparison_lets_all_go_on() -> None:
    alone = [n for n in range(200) if bracket(n, 81) == 0]
    losses = {trial: float(trial) for trial in alone}
    for epoch in rungs("hyperband", 81):
        assert survivors("hyperband", 81, epoch, alone, losses, 1) == set(alone)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("nll", "stop/loss"), ("f1", "stop/accuracy"), ("brier", "stop/loss"), ("r2", "stop/loss")],
)
def test_trials_are_compared_by_loss_or_by_accuracy(metric: str, expected: str) -> None:
    assert compared_by(searching(metric), Training()) == expected


def test_trials_are_compared_by_their_metric_where_all_of_them_stop_by_it() -> None:
    stopping = Training.model_validate({"early_stopping": {"metric": "stop/f1"}})
    assert compared_by(searching("f1"), stopping) == "stop/f1"
    assert compared_by(searching("auroc"), stopping) == "stop/accuracy"
    path = "training.early_stopping.metric"
    varied = searching("f1", {path: ["stop/f1", "stop/loss"]})
    assert compared_by(varied, stopping) == "stop/accuracy"


def test_what_is_compared_is_low_for_a_good_trial() -> None:
    metrics = {"stop/loss": 0.5, "stop/accuracy": 0.9, "stop/f1": 0.8}
    assert loss_of(metrics, "stop/loss") == 0.5
    assert loss_of(metrics, "stop/accuracy") == -0.9
    assert loss_of(metrics, "stop/f1") == -0.8
    assert loss_of({"stop/loss": None}, "stop/loss") == float("inf")
