"""Members: their outputs together and alone."""

from dataclasses import replace

import numpy as np
from conftest import plain_schema

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.members import NetworkMember, member_outputs
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.losses import BinaryCrossEntropy, CrossEntropy, Hinge, Loss
from ensemble_pipe.nn.networks import Mlp

ROWS = 40
CROSS_ENTROPY = CrossEntropy()
NARROW, WIDE = Mlp(hidden=(5,)), Mlp(hidden=(9, 3), activation="tanh")
SCHEMA = plain_schema("classification", (4,), ("x", "y", "z"))
INPUTS = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)


def read(start: int, stop: int, out: Floats) -> None:
    out[:] = INPUTS[start:stop]


def member(learner: int, network: Mlp = NARROW, loss: Loss = CROSS_ENTROPY) -> NetworkMember:
    row = build(network, loss, SCHEMA).initialize(1, learner)
    return NetworkMember(learner, 0, 100, network, loss, row)


def test_outputs_of_members_of_one_architecture_are_those_of_each_alone() -> None:
    members = [member(0), member(1), member(2)]
    together = member_outputs(members, SCHEMA, [read], ROWS)
    assert together.shape == (3, ROWS, 3)
    for one, outputs in zip(members, together, strict=True):
        assert member_outputs([one], SCHEMA, [read], ROWS)[0].tobytes() == outputs.tobytes()


def test_architectures_may_be_mixed_in_any_order() -> None:
    members = [member(0), member(1, WIDE), member(2), member(3), member(4, WIDE)]
    together = member_outputs(members, SCHEMA, [read], ROWS)
    for one, outputs in zip(members, together, strict=True):
        assert member_outputs([one], SCHEMA, [read], ROWS)[0].tobytes() == outputs.tobytes()


def test_outputs_are_what_each_members_loss_makes_of_them() -> None:
    losses: list[Loss] = [CROSS_ENTROPY, Hinge(), CrossEntropy(smoothing=0.5)]
    members = [member(learner, loss=loss) for learner, loss in enumerate(losses)]
    together = member_outputs(members, SCHEMA, [read], ROWS)
    for one, outputs in zip(members, together, strict=True):
        network = build(one.network, one.loss, SCHEMA)
        own = outputs_of(network, one.row[None], read, ROWS)
        assert outputs.tobytes() == one.loss.predictions(own[0]).tobytes()


def test_a_member_with_one_output_gives_logits_of_both_classes() -> None:
    schema = replace(SCHEMA, classes=("no", "yes"))
    loss = BinaryCrossEntropy()
    row = build(NARROW, loss, schema).initialize(1, 0)
    (outputs,) = member_outputs([NetworkMember(0, 0, 1, NARROW, loss, row)], schema, [read], ROWS)
    assert outputs.shape == (ROWS, 2)
    assert (outputs[:, 0] == 0).all()


def test_outputs_stand_in_the_order_of_the_members() -> None:
    members = [member(0), member(1, WIDE), member(2)]
    forward = member_outputs(members, SCHEMA, [read], ROWS)
    backward = member_outputs(members[::-1], SCHEMA, [read], ROWS)
    assert forward.tobytes() == backward[::-1].tobytes()
