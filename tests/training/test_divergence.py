"""A learner that has diverged is taken out, and writes no checkpoint."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ensemble_pipe.training.divergence import divergence
from ensemble_pipe.training.events import Checkpoint, Failed
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.state import initial_state

ROW = np.ones(3, np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_any_number_that_is_not_finite_is_a_divergence(value: float) -> None:
    assert divergence({"loss": 1.0}, {"row": ROW}) is None
    assert divergence({}, {}) is None
    assert str(divergence({"loss": value}, {"row": ROW})).startswith("its loss is not finite")
    wrong = np.array([[1.0, value]], np.float32)
    for name in ("row", "second_moment", "best"):
        assert str(divergence({"loss": 1.0}, {"a": ROW, name: wrong})).startswith(f"its {name} is")


@pytest.mark.parametrize("name", ["first_moment", "second_moment", "best"])
def test_a_learner_whose_memory_overflows_is_taken_out_and_others_go_on(
    prepare: Callable[..., Any], name: str
) -> None:
    training = {"epochs": 2, "early_stopping": {}, "averaging": {"name": "ema"}}
    prepared = prepare(training=training, ensemble={"learners": 2})
    plans = tuple(prepared.plans)
    states = [initial_state(plan, prepared.schema) for plan in plans]
    states[1].slots[name] = states[1].slots[name].copy()
    states[1].slots[name][0] = np.inf
    events = list(train(Stack(plans, tuple(states)), prepared.data, prepared.schema))
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert (failed.learner, failed.epoch) == (1, 1)
    assert failed.reason.endswith("is not finite; a lower learning rate would help")
    saved = [event for event in events if isinstance(event, Checkpoint)]
    assert [(event.learner, event.epoch) for event in saved] == [(0, 1), (0, 2)]
