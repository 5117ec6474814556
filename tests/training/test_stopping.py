"""Early stopping: when a learner ends, which of its rows is kept, and that no other notices."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Prepared

from ensemble_pipe.training.stopping import EarlyStopping, StoppingState

LEARNERS = 4

# Settings, the metric at the end of each epoch, the best epoch, and the epoch after which the
# learner ends (None: it goes on), both counted from 1.
CASES: dict[str, tuple[dict[str, Any], list[float], int, int | None]] = {
    "still falling": ({"patience": 1}, [3, 2, 1], 3, None),
    "the first counts": ({"patience": 2}, [3, 4, 5], 1, 3),
    "equal is no gain": ({"patience": 2}, [3, 2, 2, 2], 2, 4),
    "a gain starts the wait anew": ({"patience": 2}, [3, 4, 2, 4, 4], 3, 5),
    "below the least change": ({"patience": 2, "min_change": 0.5}, [3.0, 2.5, 2.5], 1, 3),
    "small gains add up": ({"patience": 2, "min_change": 0.5}, [3.0, 2.6, 2.4, 2.3], 3, None),
    "accuracy is to rise": (
        {"patience": 2, "metric": "stop/accuracy"}, [0.5, 0.7, 0.6, 0.7], 2, 4
    ),
    "an F1 score is to rise": ({"patience": 1, "metric": "stop/f1"}, [0.5, 0.7, 0.6], 2, 3),
    "an error is to fall": ({"patience": 1, "metric": "stop/rmse"}, [3, 2, 2.5], 2, 3),
    "accuracy, below the least change": (
        {"patience": 1, "metric": "stop/accuracy", "min_change": 0.1}, [0.5, 0.55], 1, 2
    ),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "values", "best", "end"), CASES.values(), ids=CASES.keys())
def test_by_hand(settings: dict[str, Any], values: list[float], best: int, end: int | None) -> None:
    stopping, state = EarlyStopping(**settings), StoppingState()
    improved, ended = [], []
    for epoch, value in enumerate(values, start=1):
        state = stopping.observe(state, value)
        if state.improved:
            improved.append(epoch)
        if stopping.ends(state):
            ended.append(epoch)
    assert improved[-1] == best
    assert ended == ([] if end is None else [end])


@pytest.fixture(params=["stop/loss", "stop/accuracy", "stop/balanced_accuracy"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of learners that soon stop gaining."""
    stopping = {"metric": request.param, "patience": 2, "min_change": 0.01}
    optimizer = {"name": "sgd", "learning_rate": 0.1}
    return {"epochs": 25, "optimizer": optimizer, "early_stopping": stopping}


def prepared_with(
    prepare: Callable[..., Prepared], settings: dict[str, Any], **changed: Any
) -> Prepared:
    return prepare(ensemble={"learners": LEARNERS}, training={**settings, **changed})


def test_learners_end_one_by_one_and_the_others_train_as_if_none_had(
    prepare: Callable[..., Prepared], settings: dict[str, Any]
) -> None:
    found = prepared_with(prepare, settings).train()
    endless = prepared_with(prepare, settings, early_stopping=None).train()
    ends = {learner: checkpoints[-1].epoch for learner, checkpoints in found.items()}
    assert len(set(ends.values())) > 1
    assert min(ends.values()) < settings["epochs"]
    for learner, checkpoints in found.items():
        for one, other in zip(checkpoints, endless[learner], strict=False):
            assert one.metrics.items() >= other.metrics.items()
            assert one.state.row.tobytes() == other.state.row.tobytes()
        assert [c.finished for c in checkpoints] == [False] * (len(checkpoints) - 1) + [True]
        assert [c.member for c in checkpoints] == [None] * (len(checkpoints) - 1) + [0]


def test_the_member_is_the_row_of_the_best_epoch(
    prepare: Callable[..., Prepared], settings: dict[str, Any]
) -> None:
    stopping = EarlyStopping(**settings["early_stopping"])
    for checkpoints in prepared_with(prepare, settings).train().values():
        state = StoppingState()
        for checkpoint in checkpoints:
            state = stopping.observe(state, checkpoint.metrics[stopping.metric])
            if state.improved:
                best = checkpoint
        last = checkpoints[-1]
        assert last.epoch in (best.epoch + stopping.patience, settings["epochs"])
        assert last.state.member_row.tobytes() == best.state.row.tobytes()
        assert last.state.member_row.tobytes() != last.state.row.tobytes()


def test_the_member_may_be_the_last_row(
    prepare: Callable[..., Prepared], settings: dict[str, Any]
) -> None:
    stopping = {**settings["early_stopping"], "restore_best": False}
    for checkpoints in prepared_with(prepare, settings, early_stopping=stopping).train().values():
        assert checkpoints[-1].state.member_row is checkpoints[-1].state.row


def test_averages_are_judged_and_the_best_of_them_is_kept(
    prepare: Callable[..., Prepared], settings: dict[str, Any]
) -> None:
    prepared = prepared_with(prepare, settings, averaging={"name": "ema", "decay": 0.9})
    metric = settings["early_stopping"]["metric"]
    for learner, checkpoints in prepared.train().items():
        values = [checkpoint.metrics[metric] for checkpoint in checkpoints]
        best = checkpoints[-1].state.counters.stopping.best_value
        assert best in values
        member = checkpoints[-1].state.member_row
        assert prepared.stop_metrics(learner, member)[metric] == best
        own = [prepared.stop_metrics(learner, c.state.row)[metric] for c in checkpoints]
        assert best not in own or metric != "stop/loss"
