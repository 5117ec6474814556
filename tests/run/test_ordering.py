"""In which order learners are begun."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Prepared

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.run.ordering import plan_work
from ensemble_pipe.run.resuming import Remaining
from ensemble_pipe.training.stacks import Stack

Prepare = Callable[..., Prepared]
POOL = [
    {"strategy": "independent", "learners": 4},
    {"strategy": "histogram_boosting", "learners": 2},
    {"strategy": "bagging", "learners": 2},
    {"strategy": "linear"},
]


def order_of(prepared: Prepared, **how: Any) -> list[tuple[int, ...]]:
    """Return the learners of each stack or fit, as they are begun."""
    plans = make_plans(prepared.config)
    remaining = Remaining(plans.networks, plans.estimators)
    settings = {"trainers": 1, "width": None, "turn": 1, "early": False, **how}
    work = plan_work(remaining, prepared.schema, **settings)
    return [
        tuple(plan.learner for plan in item.plans) if isinstance(item, Stack) else (item.learner,)
        for item in work
    ]


def test_one_of_each_kind_comes_first(prepare: Prepare) -> None:
    prepared = prepare(ensemble={"pool": POOL})
    order = order_of(prepared, width=1)
    assert order == [(4,), (8,), (0,), (6,), (5,), (1,), (7,), (2,), (3,)]


def test_under_a_time_limit_stacks_widen_from_the_first_learner_on(prepare: Prepare) -> None:
    prepared = prepare(ensemble={"learners": 11})
    assert order_of(prepared) == [tuple(range(11))]
    early = order_of(prepared, early=True)
    assert [len(stack) for stack in early] == [1, 2, 4, 4]
    assert [learner for stack in early for learner in stack] == list(range(11))
    assert [len(stack) for stack in order_of(prepared, early=True, width=3)] == [1, 2, 3, 3, 2]


@pytest.mark.parametrize("width", [None, 2])
def test_in_folds_all_of_them_are_begun_together(prepare: Prepare, width: int | None) -> None:
    pool = [
        {"strategy": "independent", "learners": 6},
        {"strategy": "histogram_boosting", "learners": 3},
    ]
    prepared = prepare(ensemble={"pool": pool})
    order = order_of(prepared, turn=3, early=True, width=width)
    assert order[:3] == [(6,), (7,), (8,)]
    expected = [(0, 1, 2), (3, 4, 5)] if width is None else [(0, 1), (2, 3), (4, 5)]
    assert order[3:] == expected
