"""The determinism contract: the ways of training that must not change a single bit."""

from collections.abc import Callable, Iterator
from itertools import chain, cycle
from typing import Any

import numpy as np
import pytest
from conftest import Prepared

from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.optim import RULES, SCHEDULES
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state, save_checkpoint
from ensemble_pipe.training.events import Checkpoint, Event
from ensemble_pipe.training.stacks import Stack, make_stacks
from ensemble_pipe.training.state import LearnerState

LEARNER = 3
LEARNERS = 8
SMALL: dict[str, Any] = {"ensemble": {"learners": LEARNERS}, "splits": {"train": 330}}


def training(**settings: Any) -> dict[str, Any]:
    return {"training": settings}


# Each row changes how a learner is trained: settings of the pipeline.
RULES_ROWS = {name: training(optimizer={"name": name}) for name in RULES}
AVERAGING_ROWS = {
    "ema": training(averaging={"name": "ema", "decay": 0.9}),
    "polyak": training(averaging={"name": "polyak", "start": 0.4}),
    "swa": training(averaging={"name": "swa", "start": 0.2}),
    "swa at cycles": training(
        averaging={"name": "swa", "start": 0.2, "at": "cycle"},
        schedule={"name": "triangular", "cycles": 4},
    ),
    "last": training(averaging={"name": "last", "epochs": 2}),
}
STOPPING = {"patience": 1, "min_change": 0.1}
CNN = {"name": "cnn", "filters": [4], "hidden": [8]}
NETWORK_ROWS: dict[str, dict[str, Any]] = {
    "fractional pooling, DropConnect": {
        "network": {
            "name": "sequential",
            "layers": [
                {"name": "fractional_max_pool", "ratio": 1.5},
                {"name": "flatten"},
                {"name": "drop_connect", "units": 16},
                {"name": "relu"},
            ],
        }
    },
    "odd sizes": {"network": {"hidden": [13, 7], "activation": "tanh"}},
    "dropout": {"network": {"name": "mlp", "hidden": [16], "dropout": 0.3}},
    "cnn": {"network": CNN},
    "averages of batch norms": {"network": CNN, **training(averaging={"name": "swa", "start": 0})},
    "wide and deep": {"network": {"name": "wide_and_deep", "hidden": [8]}},
    "separable cnn": {"network": {"name": "separable_cnn", "filters": [4, 6], "hidden": []}},
    "resnet": {"network": {"name": "resnet", "filters": [4, 6], "blocks": 1, "survival": 0.5}},
}
_TABLE: dict[str, Any] = {
    "data": {"source": "bundled", "set": "breast_cancer"},
    "splits": {"train": 330, "stop": 60, "validation": 60, "test": 60},
}
_FALLING = {"name": "flat_cosine"}
TABLE_ROWS: dict[str, dict[str, Any]] = {
    "realmlp, folds": {
        "network": {"name": "realmlp", "hidden": [8]},
        "view": {"folds": 4},
        **training(
            regularization={
                "dropout": _FALLING, "weight_decay": _FALLING, "label_smoothing": _FALLING,
            },
            loss={"name": "cross_entropy", "smoothing": 0.1},
        ),
        **_TABLE,
    },
    "tabm, swa": {
        "network": {"name": "tabm", "hidden": [8], "embedding": {"name": "piecewise_linear"}},
        **training(averaging={"name": "swa", "start": 0.2}),
        **_TABLE,
    },
    "periodic": {
        "network": {"name": "sequential", "layers": [{"name": "periodic"}]},
        **_TABLE,
    },
}  # fmt: skip
SHARED = {"strategy": "shared", "learners": LEARNERS, "members": 3}
SHARED_ROWS: dict[str, dict[str, Any]] = {
    "members that share weights": {"ensemble": SHARED, "network": {"hidden": [13, 7]}},
    "mini members, dropout": {
        "ensemble": {**SHARED, "form": "mini"},
        "network": {"hidden": [16, 8], "activation": "gelu", "dropout": 0.3},
    },
    "members with embeddings of numbers": {
        "ensemble": SHARED,
        "network": {"name": "tabm", "hidden": [8, 6]},
        **_TABLE,
    },
    "members of realmlp": {
        "ensemble": {**SHARED, "form": "packed"},
        "network": {"name": "realmlp", "hidden": [8]},
        **_TABLE,
    },
    "packed members": {"ensemble": {**SHARED, "form": "packed"}, "network": {"hidden": [16]}},
    "averages of members that share weights, early stopping": {
        "ensemble": {**SHARED, "vary": {"training.optimizer.learning_rate": [0.01, 0.003, 0.03]}},
        **training(
            epochs=12,
            early_stopping={"patience": 1, "min_change": 0.1},
            averaging={"name": "ema", "decay": 0.9},
        ),
    },
}
SHARED_ROWS |= {
    "snapshots of members that share weights": {
        "ensemble": {**SHARED, "yields": "cycles"},
        "network": {"hidden": [8]},
        **training(schedule={"name": "snapshot", "cycles": 2}),
    },
    "members that share weights, after epochs": {
        "ensemble": {**SHARED, "form": "mini", "yields": "epochs", "every": 2},
        "network": {"hidden": [8]},
        **training(epochs=5),
    },
    "averages of members with periodic embeddings": {
        "ensemble": SHARED,
        "network": {"name": "tabm", "hidden": [8], "embedding": {"name": "periodic"}},
        **training(averaging={"name": "swa", "start": 0.2}),
        **_TABLE,
    },
}
SCHEDULE_ROWS = {f"schedule {name}": training(schedule={"name": name}) for name in SCHEDULES}

FLIPPED: list[dict[str, Any]] = [{"name": "horizontal_flip"}]
WINDOWS = {"shard_rows": 40, "window_rows": 100}
DATA_ROWS: dict[str, dict[str, Any]] = {
    "windows": WINDOWS,
    "bootstrap": {"view": {"bootstrap": True}},
    "folds": {"view": {"folds": 4}},
    "balanced classes in windows": {"view": {"balance_classes": True}, **WINDOWS},
    "augmented, each learner its own": {
        "augment": {"policy": FLIPPED, "share": "per_learner"},
        **WINDOWS,
    },
    "a pool of versions, bootstrap": {
        "augment": {"policy": FLIPPED, "pool": 2},
        "view": {"bootstrap": True},
    },
    "mixup and cutmix": {"augment": [{"name": "mixup"}, {"name": "cutmix"}]},
    "subspaces of a table": {
        "data": {"source": "bundled", "set": "breast_cancer"},
        "augment": [{"name": "swap_noise"}],
        "scale": {"name": "zca"},
        "view": {"features": 0.5},
        "splits": {"train": 330, "stop": 60, "validation": 60, "test": 60},
    },
}

SETTINGS: dict[str, dict[str, Any]] = {
    **DATA_ROWS,
    **TABLE_ROWS,
    **RULES_ROWS,
    **SCHEDULE_ROWS,
    **AVERAGING_ROWS,
    **NETWORK_ROWS,
    **SHARED_ROWS,
    "clipped, with penalties and a limit": training(
        optimizer={"name": "sgd", "clip_norm": 0.5, "l1": 1e-4, "l2": 1e-3, "max_norm": 2.0}
    ),
    "warm-up": training(schedule={"name": "warm_up", "share": 0.4}),
    "plateau": training(schedule={"name": "plateau", "patience": 0, "min_change": 0.5}),
    "warm-up, then plateau": training(
        schedule={"name": "warm_up", "then": {"name": "plateau", "patience": 0, "min_change": 0.5}}
    ),
    "early stopping": training(epochs=12, early_stopping=STOPPING),
    "early stopping of averages": training(
        epochs=12, early_stopping=STOPPING, averaging={"name": "ema", "decay": 0.9}
    ),
    "early stopping, each by its own fold": {
        **training(epochs=8, early_stopping=STOPPING),
        "splits": {"train": 331, "folds": 3},
    },
    "chains of networks, each by its own fold": {
        **training(epochs=2),
        "ensemble": {"strategy": "boosting", "learners": LEARNERS, "rounds": 2},
        "splits": {"train": 331, "folds": 3},
    },
    "all rows in a batch": training(batch_size="all"),
    "smoothed labels": training(loss={"name": "cross_entropy", "smoothing": 0.1}),
    "augmented": {"augment": [{"name": "shift_crop"}, {"name": "horizontal_flip"}]},
    "shared order": training(order="shared"),
    "snapshots": {
        **training(schedule={"name": "snapshot", "cycles": 2}),
        "ensemble": {"strategy": "snapshot", "learners": LEARNERS},
    },
    "checkpoints": {
        **training(epochs=5),
        "ensemble": {"strategy": "checkpoints", "learners": LEARNERS, "every": 2},
    },
    "snapshots, each learner its own": {
        **training(schedule={"name": "snapshot"}),
        "ensemble": {
            "strategy": "snapshot",
            "learners": LEARNERS,
            "vary": {"training.schedule.cycles": [2, 5, 3]},
        },
    },
    "numbers of layers": {
        "network": {
            "name": "sequential",
            "layers": [
                {"name": "flatten"},
                {"name": "dense", "units": 12},
                {"name": "batch_norm"},
                {"name": "leaky_relu"},
                {"name": "dropout"},
            ],
        },
        "ensemble": {
            "learners": LEARNERS,
            "vary": {
                "network.layers.2.momentum": {"low": 0.01, "high": 0.5},
                "network.layers.3.slope": {"low": 0.01, "high": 0.5},
                "network.layers.4.rate": [0.5, 0.1, 0.3],
            },
        },
    },
    "numbers of their own": {
        **training(loss={"name": "cross_entropy"}, averaging={"name": "ema"}),
        "network": {"hidden": [16], "dropout": 0.1},
        "ensemble": {
            "learners": LEARNERS,
            "vary": {
                "network.dropout": [0.5, 0.1, 0.3],
                "training.averaging.decay": [0.9, 0.5],
                "training.loss.smoothing": {"low": 0.0, "high": 0.5},
                "training.optimizer.clip_norm": [None, 0.5, 0.1],
                "training.optimizer.l2": [0.0, 0.0, 0.0, 0.1],
                "training.optimizer.learning_rate": {"low": 1e-4, "high": 1e-2},
            },
        },
    },
}


def final_state(events: Iterator[Event]) -> LearnerState:
    """Return what learner 3 ended with; everything else is consumed too."""
    last = [e for e in events if isinstance(e, Checkpoint) and e.learner == LEARNER][-1]
    assert last.finished
    return last.state


def assert_same_bits(one: LearnerState, other: LearnerState) -> None:
    assert one.step == other.step
    assert one.row.tobytes() == other.row.tobytes()
    assert {n: s.tobytes() for n, s in one.slots.items()} == {
        n: s.tobytes() for n, s in other.slots.items()
    }
    assert one.counters == other.counters


def inline(prepared: Prepared, stacks: list[Stack]) -> LearnerState:
    return final_state(InlineExecutor().run(stacks, prepared.recipe, prepared.schema))


def on_ray(prepared: Prepared, stacks: list[Stack], trainers: int) -> LearnerState:
    from ensemble_pipe.cluster.ray import RayExecutor

    executor = RayExecutor("local", trainers=trainers, cpus_per_trainer=1, retries=0)
    try:
        return final_state(executor.run(stacks, prepared.recipe, prepared.schema))
    finally:
        executor.close()


def stacks_of(prepared: Prepared, width: int) -> list[Stack]:
    return make_stacks(prepared.plans, {}, size=1, trainers=1, width=width)


def alone(prepared: Prepared) -> LearnerState:
    return inline(prepared, [Stack((prepared.plans[LEARNER],))])


def in_a_stack_of_eight(prepared: Prepared) -> LearnerState:
    return inline(prepared, stacks_of(prepared, 8))


def last_in_a_stack(prepared: Prepared) -> LearnerState:
    order = [5, 1, LEARNER]
    return inline(prepared, [Stack(tuple(prepared.plans[i] for i in order))])


def on_one_trainer(prepared: Prepared) -> LearnerState:
    return on_ray(prepared, stacks_of(prepared, 4), trainers=1)


def on_two_trainers(prepared: Prepared) -> LearnerState:
    return on_ray(prepared, stacks_of(prepared, 3), trainers=2)


def stopped_and_resumed_at_every_checkpoint(prepared: Prepared) -> LearnerState:
    """Go on from files at each end of an epoch, in stacks of another width each time."""
    states: dict[int, LearnerState] = {}
    waiting, widths = set(range(LEARNERS)), cycle([8, 3, 5])
    while waiting:
        plans = [plan for plan in prepared.plans if plan.learner in waiting]
        for stack in make_stacks(plans, states, size=1, trainers=1, width=next(widths)):
            for checkpoint in next_checkpoints(prepared, stack):
                save_checkpoint(prepared.paths, checkpoint)
                if checkpoint.finished:
                    waiting.discard(checkpoint.learner)
        for plan in plans:
            last = list_checkpoints(prepared.paths, plan.learner)[-1]
            states[plan.learner] = load_state(prepared.paths, plan.learner, last.step)
    return states[LEARNER]


def next_checkpoints(prepared: Prepared, stack: Stack) -> Iterator[Checkpoint]:
    due = {plan.learner for plan in stack.plans}
    for event in InlineExecutor().run([stack], prepared.recipe, prepared.schema):
        if isinstance(event, Checkpoint):
            yield event
            due.discard(event.learner)
            if not due:
                return


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize(
    "way", [in_a_stack_of_eight, last_in_a_stack, stopped_and_resumed_at_every_checkpoint]
)
def test_learner_3_is_bitwise_the_same_in_this_process(
    prepare: Callable[..., Prepared],
    settings: dict[str, Any],
    way: Callable[[Prepared], LearnerState],
) -> None:
    prepared = prepare(**{**SMALL, **settings})
    assert_same_bits(way(prepared), alone(prepared))


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    "settings",
    [
        "adam",
        pytest.param("augmented", marks=pytest.mark.slow),
        pytest.param("early stopping, each by its own fold", marks=pytest.mark.slow),
        pytest.param("members that share weights", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("way", [on_one_trainer, on_two_trainers])
def test_learner_3_is_bitwise_the_same_on_ray(
    prepare: Callable[..., Prepared], settings: str, way: Callable[[Prepared], LearnerState]
) -> None:
    prepared = prepare(**{**SMALL, **SETTINGS[settings]})
    assert_same_bits(way(prepared), alone(prepared))


def test_another_seed_changes_the_bits(prepare: Callable[..., Prepared]) -> None:
    one = alone(prepare(ensemble={"learners": 4}))
    other = alone(prepare(ensemble={"learners": 4}, seed=2))
    assert not np.array_equal(one.row, other.row)


def test_learners_differ_from_one_another(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(ensemble={"learners": 4})
    events = InlineExecutor().run(stacks_of(prepared, 4), prepared.recipe, prepared.schema)
    rows = [e.state.row for e in events if isinstance(e, Checkpoint) and e.finished]
    pairs = chain.from_iterable(((a, b) for b in range(a)) for a in range(len(rows)))
    assert all(not np.array_equal(rows[a], rows[b]) for a, b in pairs)
