"""A learner goes on by another plan where its checkpoint could be one of that plan."""

from dataclasses import replace
from typing import Any

import pytest

from ensemble_pipe.nn.losses import CrossEntropy, Hinge
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import (
    EMA,
    SGD,
    SWA,
    Adam,
    ConstantRate,
    Cosine,
    Last,
    Plateau,
    Polyak,
    Snapshot,
)
from ensemble_pipe.training.checkpoint_format import Saved
from ensemble_pipe.training.plan import EveryEpochs, LearnerPlan
from ensemble_pipe.training.replanning import obstacle, restated
from ensemble_pipe.training.stopping import EarlyStopping

ROWS = 320  # ten steps in an epoch
PLAN = LearnerPlan(
    0, 1, Mlp(hidden=(8,), dropout=0.1), CrossEntropy(), Adam(), ConstantRate(), 6, 32
)


def saved(
    epoch: int, member: int | None = None, *, finished: bool = False, waited: int = 0
) -> Saved:
    counters: dict[str, Any] = {"best_value": 0.5, "epochs_waited": waited} if waited else {}
    return Saved(0, epoch, 10 * epoch, member, finished, counters, {})


def refused(before: LearnerPlan, last: Saved, **changes: Any) -> str | None:
    """Return the setting that keeps a learner from going on by a changed plan."""
    found = obstacle(before, replace(before, **changes), [last], ROWS)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 4}, {"epochs": 60}, {"schedule": Cosine()}, {"rule": Adam(learning_rate=0.1)},
        {"rate_factors": (("dense1*", 0.0),)}, {"network": Mlp(hidden=(8,), dropout=0.5)},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_schedules_and_lengths_may_change(changes: dict[str, Any]) -> None:
    assert refused(PLAN, saved(3), **changes) is None


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("network", {"network": Mlp(hidden=(9,))}),
        ("network", {"network": Mlp(hidden=(8,), activation="tanh")}),
        ("training.optimizer", {"rule": SGD()}),
        ("training.schedule", {"schedule": Plateau()}),
        ("training.averaging", {"averaging": EMA()}),
        ("training.early_stopping", {"early_stopping": EarlyStopping()}),
        ("training.loss", {"loss": Hinge()}),
        ("training.batch_size", {"batch_rows": 16}),
        ("training.order", {"order": "shared"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_checkpoint_holds_stays(setting: str, changes: dict[str, Any]) -> None:
    assert refused(PLAN, saved(3), **changes) == setting


@pytest.mark.parametrize(("epochs", "may"), [(2, False), (3, False), (4, True)])
def test_a_learner_under_way_has_an_epoch_left(epochs: int, may: bool) -> None:
    assert (refused(PLAN, saved(3), epochs=epochs) is None) == may


@pytest.mark.parametrize(("patience", "may"), [(2, False), (3, False), (4, True)])
def test_a_learner_has_not_waited_longer_than_its_patience(patience: int, may: bool) -> None:
    before = replace(PLAN, early_stopping=EarlyStopping(patience=9))
    stopping = EarlyStopping(patience=patience)
    assert (refused(before, saved(4, waited=3), early_stopping=stopping) is None) == may


def test_a_finished_learner_is_under_way_where_its_plan_lasts_longer() -> None:
    end = saved(6, 0, finished=True)
    assert refused(PLAN, end, epochs=6, rule=Adam(learning_rate=0.5)) is None
    assert restated(PLAN, end, ROWS) is end
    longer = replace(PLAN, epochs=7)
    assert refused(PLAN, end, epochs=7) is None
    assert restated(longer, end, ROWS) == replace(end, finished=False, member=None)


def test_a_learner_that_stopped_early_is_under_way_where_patience_is_longer() -> None:
    before = replace(PLAN, early_stopping=EarlyStopping(patience=2))
    stopped = saved(4, 0, finished=True, waited=2)
    assert restated(replace(before, epochs=9), stopped, ROWS) is stopped
    patient = replace(PLAN, early_stopping=EarlyStopping(patience=3))
    assert restated(patient, stopped, ROWS) == replace(stopped, finished=False, member=None)


@pytest.mark.parametrize(
    ("averaging", "may"),
    [(EMA(), True), (Last(epochs=2), True), (Polyak(start=0.25), False), (SWA(start=0.3), False)],
    ids=["ema", "last", "polyak", "swa"],
)
def test_an_average_under_way_goes_on_where_it_would_have_begun_at_the_same_step(
    averaging: Any, may: bool
) -> None:
    before = replace(PLAN, averaging=averaging)
    assert (refused(before, saved(3), epochs=12) is None) == may
    assert refused(before, saved(1), epochs=5) is None  # none of them has begun by then


def test_cycles_and_members_that_are_behind_a_learner_stay_where_they_were() -> None:
    cycles = replace(PLAN, schedule=Snapshot(cycles=3), snapshots=True)
    assert refused(cycles, saved(2, 0), epochs=12) == "training.epochs"
    assert refused(cycles, saved(1), epochs=12) is None  # its first cycle is not at its end
    assert refused(cycles, saved(2, 0), schedule=Snapshot(cycles=2)) == "training.schedule"
    each = replace(PLAN, checkpoints=EveryEpochs(2))
    assert refused(each, saved(4, 1), epochs=8) is None
    assert refused(each, saved(4, 1), checkpoints=EveryEpochs(1)) == "ensemble"
    assert refused(PLAN, saved(4), checkpoints=EveryEpochs(2)) == "ensemble"
