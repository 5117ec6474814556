"""Learners of several members that share weights: what they are trained on, and stop by."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import Prepared

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.ensemble.members import members_at, raw_outputs
from ensemble_pipe.nn.sharing import Sharing
from ensemble_pipe.training.loop import StackTraining
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.state import initial_state

SHARED: dict[str, Any] = {"strategy": "shared", "learners": 2, "members": 4}
VECTORS = (("*/r", 0.0), ("*/s", 0.0))


def member_probabilities(prepared: Prepared, learner: int, row: Floats) -> Floats:
    """Return what the members of a row (P,) predict for the stop part, (K, R, C)."""
    plan, stop = prepared.plans[learner], prepared.data.stop
    state = initial_state(plan, prepared.schema, row)
    members = list(members_at(plan, 0, state, prepared.schema))
    assert len(members) == 4
    outputs = raw_outputs(members, prepared.schema, [stop.read], stop.rows)
    return softmax(np.stack(outputs).astype(np.float64))


@pytest.mark.parametrize("form", ["full", "mini", "packed"])
def test_a_learner_stops_by_the_loss_of_its_members_mean_prediction(
    prepare: Callable[..., Prepared], form: str
) -> None:
    prepared = prepare(ensemble={**SHARED, "form": form}, network={"hidden": [8, 6]})
    for learner, checkpoints in prepared.train().items():
        last = checkpoints[-1]
        mean = member_probabilities(prepared, learner, last.state.row).mean(axis=0)
        targets = prepared.data.stop.targets
        nll = -np.log(mean[np.arange(len(targets)), targets]).mean()
        assert last.metrics["stop/loss"] == pytest.approx(nll, rel=1e-5)
        accuracy = (mean.argmax(axis=1) == targets).mean()
        assert last.metrics["stop/accuracy"] == pytest.approx(accuracy)


def test_what_a_learner_stops_by_may_be_another_metric_of_its_mean_prediction(
    prepare: Callable[..., Prepared],
) -> None:
    stopping = {"metric": "stop/brier", "patience": 9}
    prepared = prepare(ensemble=SHARED, training={"early_stopping": stopping})
    last = prepared.train(0)[0][-1]
    mean = member_probabilities(prepared, 0, last.state.row).mean(axis=0)
    truth = np.eye(mean.shape[1])[prepared.data.stop.targets]
    brier = ((mean - truth) ** 2).sum(axis=1).mean()
    assert last.metrics["stop/brier"] == pytest.approx(brier, rel=1e-5)


def test_the_training_loss_is_the_mean_of_the_members_losses(
    prepare: Callable[..., Prepared],
) -> None:
    prepared = prepare(ensemble=SHARED)
    training = StackTraining(Stack(prepared.plans), prepared.data, prepared.schema)
    training.batches.read(0)
    inputs, targets = training.batches.inputs.copy(), training.batches.targets.copy()
    outputs = training.bound.forward(inputs, 0).copy().astype(np.float64)
    losses = training.take_step()
    for m in range(2):
        members = softmax(outputs[m].reshape(4, -1, outputs.shape[-1]))
        chosen = members[:, np.arange(len(targets[m])), targets[m]]
        assert losses[m] == pytest.approx(-np.log(chosen).mean(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("rule", ["adam", "sgd"])
def test_one_member_whose_vectors_stay_at_one_is_trained_to_the_bits_of_the_plain_network(
    prepare: Callable[..., Prepared], rule: str
) -> None:
    network = {"name": "mlp", "hidden": [8, 6], "dropout": 0.2}
    prepared = prepare(
        ensemble={"learners": 2}, network=network, training={"optimizer": {"name": rule}}
    )
    sharing = Sharing(members=1)
    plans = tuple(replace(plan, sharing=sharing, rate_factors=VECTORS) for plan in prepared.plans)
    alone = [initial_state(plan, prepared.schema).row for plan in prepared.plans]
    given = prepared.plans[0].build(prepared.schema).layout
    own = plans[0].build(prepared.schema).layout
    rows = np.ones((2, own.size), np.float32)
    views = own.views(rows)
    for name, tensor in given.views(np.stack(alone)).items():
        views[name][...] = tensor.reshape(views[name].shape)
    shared = replace(prepared, plans=plans).train(rows=list(rows))
    plain = prepared.train()
    for learner in range(2):
        one, other = shared[learner][-1], plain[learner][-1]
        assert one.metrics == other.metrics
        found, expected = own.views(one.state.row[None]), given.views(other.state.row[None])
        for name, tensor in expected.items():
            assert found[name].tobytes() == tensor.tobytes()
        assert (found["dense1/s"] == 1).all()
