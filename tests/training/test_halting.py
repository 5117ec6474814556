"""Fits that are halted keep the rounds or trees that they have."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Prepared
from skops import io

from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.ensemble.members import fitted_member, raw_outputs
from ensemble_pipe.training import estimators
from ensemble_pipe.training.boosted_trees import read_trees
from ensemble_pipe.training.estimators import train_estimator
from ensemble_pipe.training.events import EstimatorFitted

Prepare = Callable[..., Prepared]
BOOSTED = [
    {"strategy": "histogram_boosting", "rounds": 9},
    {"strategy": "lightgbm", "rounds": 9},
    {"strategy": "catboost", "rounds": 9, "depth": 3},
]


def fitted(prepared: Prepared, looks: int | None = None) -> EstimatorFitted | None:
    """Return the fit of the one estimator; it is halted at the given look at the time."""
    (plan,) = make_plans(prepared.config).estimators
    looked = [0]

    def halted() -> bool:
        looked[0] += 1
        return looks is not None and looked[0] >= looks

    found = list(train_estimator(plan, prepared.data, prepared.schema, halted))
    done = [event for event in found if isinstance(event, EstimatorFitted)]
    return done[0] if done else None


@pytest.mark.parametrize("settings", BOOSTED, ids=lambda one: str(one["strategy"]))
def test_boosting_that_is_halted_is_the_beginning_of_the_whole(
    settings: dict[str, Any], prepare: Prepare
) -> None:
    whole = prepare(ensemble={"pool": [settings]})
    halted = fitted(whole, looks=4)
    short = prepare(ensemble={"pool": [{**settings, "rounds": 4}]})
    expected = fitted(short)
    assert halted is not None
    assert expected is not None
    assert (halted.whole, expected.whole) == (False, True)
    view = whole.data.part("validation")
    outputs = []
    for prepared, event in ((whole, halted), (short, expected)):
        (plan,) = make_plans(prepared.config).estimators
        member = fitted_member(plan, event.suffix, event.content)
        member.require_fit(whole.schema)
        outputs += raw_outputs([member], whole.schema, [view.read], view.rows)
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_a_forest_grown_in_parts_is_the_forest_of_one_fit(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(ensemble={"pool": [{"strategy": "random_forest", "trees": 7}]})
    forests = []
    for trees in (2, 1000):
        monkeypatch.setattr(estimators, "TREES_AT_ONCE", trees)
        event = fitted(prepared)
        assert event is not None
        assert event.whole
        forests.append(io.loads(event.content, trusted=io.get_untrusted_types(data=event.content)))
    assert forests[0].get_params() == forests[1].get_params()
    for first, second in zip(*(forest.estimators_ for forest in forests), strict=True):
        assert first.random_state == second.random_state
        np.testing.assert_array_equal(first.tree_.threshold, second.tree_.threshold)
        np.testing.assert_array_equal(first.tree_.value, second.tree_.value)
    monkeypatch.setattr(estimators, "TREES_AT_ONCE", 2)
    halted = fitted(prepared, looks=2)
    assert halted is not None
    assert not halted.whole
    few = io.loads(halted.content, trusted=io.get_untrusted_types(data=halted.content))
    assert len(few.estimators_) == 4


def test_numbers_without_variances_are_what_halted_boosting_yields(prepare: Prepare) -> None:
    settings = {"strategy": "histogram_boosting", "rounds": 9}
    prepared = prepare(task="regression", ensemble={"pool": [settings]})
    whole, halted = fitted(prepared), fitted(prepared, looks=12)
    assert whole is not None
    assert halted is not None
    assert len(read_trees(whole.content, "whole").baseline) == 2
    assert len(read_trees(halted.content, "halted").baseline) == 1
