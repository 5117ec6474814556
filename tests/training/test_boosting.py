"""Chains of boosted networks: what each round is fitted to, the sum, its bits, and how it ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Prepared, StopAt
from scipy.special import softmax

import ensemble_pipe
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.ensemble.members import BoostedMember
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.losses import LOSSES, CrossEntropy, Loss, SquaredError, numbers_of
from ensemble_pipe.run.pipeline import resume, run
from ensemble_pipe.serving.inputs import batch_of
from ensemble_pipe.tracking.run_summary import read_run_summary
from ensemble_pipe.training.boosting import best_step, negative_gradient
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.stacks import Stack, make_stacks
from ensemble_pipe.training.state import LearnerState

ROUNDS = 3
RANDOM = np.random.default_rng(0)
SUMS = RANDOM.normal(size=(40, 3))
CLASSES = RANDOM.integers(0, 3, 40).astype(np.int32)
NUMBERS = RANDOM.normal(size=(40, 3)).astype(np.float32)
ONES = np.ones(40, np.float32)


def boosting(**settings: Any) -> dict[str, Any]:
    return {"strategy": "boosting", "learners": 2, "rounds": ROUNDS, **settings}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A number that is a line plus a step, two of them, and the class that it belongs to."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.uniform(-2, 2, 500), "z": random.uniform(-2, 2, 500)})
    frame["number"] = 50 + 10 * (frame.x + 2 * (frame.z > 0.3) + 0.1 * random.normal(size=500))
    frame["other"] = -frame.number + frame.z
    frame["side"] = np.where(frame.x + 2 * (frame.z > 0.3) > 1, "up", "down")
    path = tmp_path_factory.mktemp("table") / "rows.parquet"
    frame.to_parquet(path)
    return path


def settings_of(path: Path, label: Any = "number", **others: Any) -> dict[str, Any]:
    named = [label] if isinstance(label, str) else label
    ignore = [name for name in ("number", "other", "side") if name not in named]
    task = "classification" if label == "side" else "regression"
    target = {} if label == "side" else {"target": {"scale": "standardize"}}
    return {
        "task": task,
        **target,
        "data": {"source": "table", "path": str(path), "label": label, "ignore": ignore},
        "splits": {"validation": 0.15, "stop": 0.1},
        "scale": {"name": "standardize"},
        "network": {"hidden": [3], "activation": "tanh"},
        "training": {
            "epochs": 6,
            "batch_size": 32,
            "optimizer": {"learning_rate": 0.03},
            "schedule": {"name": "constant"},
        },
        "ensemble": boosting(),
        "tracking": {"mlflow": False},
        **others,
    }


# What a round is fitted to


def test_the_negative_gradient_is_the_residual_and_one_hot_minus_softmax() -> None:
    found = negative_gradient(SquaredError(), SUMS, NUMBERS)
    np.testing.assert_allclose(found, NUMBERS - SUMS, rtol=1e-6, atol=1e-6)
    found = negative_gradient(CrossEntropy(), SUMS, CLASSES)
    np.testing.assert_allclose(found, np.eye(3)[CLASSES] - softmax(SUMS, axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "targets"), [(SquaredError(), NUMBERS), (CrossEntropy(), CLASSES)]
)
def test_the_best_step_lowers_the_loss_and_one_that_cannot_is_zero(
    loss: Loss, targets: Array
) -> None:
    down = negative_gradient(loss, SUMS, targets)
    assert best_step(loss, SUMS, down, targets, ONES) > 0.5
    assert best_step(loss, SUMS, -down, targets, ONES) == 0.0
    # All the way to the residual is the best of all.
    if isinstance(loss, SquaredError):
        assert best_step(loss, SUMS, down, targets, ONES) == pytest.approx(1, abs=1e-4)


# The chain


@pytest.mark.parametrize("label", ["number", "side", ["number", "other"]])
def test_the_loss_falls_with_the_rounds_and_the_sum_is_that_of_its_networks(
    label: Any, prepare: Callable[..., Prepared], table: Path
) -> None:
    prepared = prepare(**settings_of(table, label))
    (checkpoints,) = prepared.train(0).values()
    ends = [c for c in checkpoints if c.member is not None]
    assert [c.member for c in ends] == [0] * ROUNDS
    assert [c.epoch for c in ends] == [6, 12, 18]
    losses = [c.metrics["stop/loss"] for c in ends]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    plan, stop, state = prepared.plans[0], prepared.data.stop, ends[-1].state
    sums = 0.0
    for row, factor in zip(state.slots["chain"], state.counters.boosting.factors, strict=True):
        network = plan.build(prepared.schema)
        sums = sums + factor * outputs_of(network, row[None], stop.read, stop.rows)[0]
    loss, gradient = np.empty(1), np.empty((1, *np.shape(sums)))
    exact, ones = np.asarray(sums)[None], np.ones((1, stop.rows))
    numbers = numbers_of([plan.loss])
    plan.loss.evaluate(exact, stop.targets[None], ones, numbers, gradient, loss)
    assert loss[0] == pytest.approx(losses[-1], rel=1e-5)


@pytest.mark.parametrize("label", ["number", "side", ["number", "other"]])
def test_a_member_is_the_hand_added_sum_in_the_artifact_too(
    label: Any, table: Path, tmp_path: Path
) -> None:
    config = Pipeline.model_validate(settings_of(table, label))
    result = run(config, output=tmp_path, inline=True)
    assert result.members == 2
    model = ensemble_pipe.load(result.run_dir)
    frame = pd.read_parquet(table)
    rows = model.predict_members(frame)
    inputs = model.schema.encode_inputs(batch_of(frame, model.schema), lambda row: f"{row}")

    def read(start: int, stop: int, out: Array) -> None:
        out[:] = inputs[start:stop]

    for member, found in zip(model.members, rows, strict=True):
        assert isinstance(member, BoostedMember)
        assert member.rows.shape[0] == len(member.factors) == ROUNDS
        network = build(member.network, member.loss, model.schema)
        each = [outputs_of(network, row[None], read, len(inputs))[0] for row in member.rows]
        sums = np.tensordot(member.factors, np.array(each, np.float64), axes=1)
        if label == "side":
            expected = softmax(sums, axis=1)
        else:
            center, unit = model.schema.target_scale
            expected = (sums * unit + center).reshape(found.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_rounds_of_tiny_networks_fit_a_line_and_a_step_better_than_one(
    table: Path, tmp_path: Path
) -> None:
    found = {}
    for rounds in (1, 5):
        ensemble = boosting(learners=1, rounds=rounds, shrinkage=1.0)
        network = {"hidden": [2], "activation": "tanh", "initializer": "glorot_uniform"}
        settings = settings_of(table, ensemble=ensemble, network=network)
        settings["training"] |= {"epochs": 30, "schedule": {"name": "cosine"}}
        settings["training"]["optimizer"] = {"learning_rate": 0.05}
        result = run(Pipeline.model_validate(settings), output=tmp_path, inline=True)
        found[rounds] = result.metrics["test/rmse"]
    assert found[5] < 0.7 * found[1]


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "squared_error"])
def test_every_loss_can_be_boosted(
    loss: str, prepare: Callable[..., Prepared], table: Path
) -> None:
    label = "side" if LOSSES[loss].task == "classification" else "number"
    settings = settings_of(table, label)
    settings["training"]["loss"] = {"name": loss}
    for checkpoints in prepare(**settings).train().values():
        losses = [c.metrics["stop/loss"] for c in checkpoints if c.member is not None]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]


# Bits


CHANGES: dict[str, dict[str, Any]] = {
    "numbers": {},
    "classes": {"label": "side"},
    "several targets, augmented, mixed": {
        "label": ["number", "other"],
        "augment": [{"name": "feature_noise"}, {"name": "mixup"}],
        "shard_rows": 100,
    },
    "bootstrap of some columns, plateau": {
        "label": "side",
        "view": {"bootstrap": True, "features": 0.5},
        "training": {"epochs": 3, "schedule": {"name": "plateau", "patience": 0}},
    },
    "shrinkage of batch norms": {
        "network": {
            "name": "sequential",
            "layers": [{"name": "dense", "units": 4}, {"name": "batch_norm"}, {"name": "relu"}],
        },
    },
}


def assert_same(one: LearnerState, other: LearnerState) -> None:
    assert one.row.tobytes() == other.row.tobytes()
    assert one.slots["chain"].tobytes() == other.slots["chain"].tobytes()
    assert one.counters == other.counters


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_chain_alone_in_a_stack_or_resumed_at_every_checkpoint_has_the_same_bits(
    change: dict[str, Any], prepare: Callable[..., Prepared], table: Path
) -> None:
    prepared = prepare(**settings_of(table, **change))
    together = prepared.train()
    (alone,) = prepared.train(1).values()
    assert_same(alone[-1].state, together[1][-1].state)
    states: dict[int, LearnerState] = {}
    while not states or states[1].step < together[1][-1].step:
        (stack,) = make_stacks(prepared.plans, states, size=1, trainers=1, width=2)
        found = next_checkpoints(prepared, stack)
        states = {c.learner: c.state for c in found}
    assert_same(states[1], together[1][-1].state)


def next_checkpoints(prepared: Prepared, stack: Stack) -> list[Checkpoint]:
    found: list[Checkpoint] = []
    for event in InlineExecutor().run([stack], prepared.recipe, prepared.schema):
        if isinstance(event, Checkpoint):
            found.append(event)
            if len(found) == len(stack.plans):
                break
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_ray_gives_the_same_bits(table: Path, tmp_path: Path) -> None:
    config = Pipeline.model_validate(settings_of(table, "side"))
    here = run(config, output=tmp_path, inline=True)
    there = run(config, output=tmp_path, address="auto")
    assert artifact(here.run_dir) == artifact(there.run_dir)


@pytest.mark.parametrize("checkpoints", [5, 12, 17])
def test_a_run_that_is_stopped_keeps_the_rounds_that_are_done_and_goes_on_to_the_same_bits(
    checkpoints: int, table: Path, tmp_path: Path
) -> None:
    settings = settings_of(table, ensemble=boosting(learners=1))
    config = Pipeline.model_validate(settings)
    whole = run(config, output=tmp_path / "whole", inline=True)
    with pytest.raises(KeyboardInterrupt):
        run(config, output=tmp_path / "cut", inline=True, display=StopAt(checkpoints))
    (folder,) = (tmp_path / "cut").glob("pipeline-*")
    done = (checkpoints - 1) // 6
    if done:
        (member,) = ensemble_pipe.load(folder).members
        assert isinstance(member, BoostedMember)
        assert len(member.factors) == done
    result = resume(folder, inline=True)
    assert artifact(result.run_dir) == artifact(whole.run_dir)
    assert result.metrics == whole.metrics
    paths = RunPaths(folder)
    assert [saved.finished for saved in list_checkpoints(paths, 0)] == [True]
    assert load_state(paths, 0, list_checkpoints(paths, 0)[-1].step).counters.boosting.factors
    assert [(m.learner, m.number) for m in read_run_summary(paths).members] == [(0, 0)]


def artifact(run_dir: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in RunPaths(Path(run_dir)).model.iterdir()}


# What does not go together


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"averaging": {"name": "ema"}}, "remove averaging and early_stopping"),
        ({"early_stopping": {"patience": 2}}, "remove averaging and early_stopping"),
        ({"order": "shared"}, "training.order must be own"),
    ],
)
def test_what_a_chain_cannot_have_is_named(
    changes: dict[str, Any], message: str, prepare: Callable[..., Prepared]
) -> None:
    with pytest.raises(ConfigError, match=f"ensemble.strategy: boosting .*{message}"):
        prepare(ensemble=boosting(), training=changes)


def test_a_chain_is_not_begun_from_other_weights(prepare: Callable[..., Prepared]) -> None:
    with pytest.raises(ConfigError, match="transfer: boosting draws the weights"):
        prepare(ensemble=boosting(), transfer={"weights": "anything"})
