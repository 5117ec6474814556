"""Members: their outputs together and alone."""

import numpy as np

from ensemble_pipe.arrays import Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members import Member, member_outputs
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.networks import Mlp

ROWS = 40
NARROW, WIDE = Mlp(hidden=(5,)), Mlp(hidden=(9, 3), activation="tanh")
SCHEMA = Schema(
    task="classification",
    input_shape=(4,),
    feature_names=("a", "b", "c", "d"),
    target_name="kind",
    classes=("x", "y", "z"),
    means=(0.0,) * 4,
    deviations=(1.0,) * 4,
)
INPUTS = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)


def read(start: int, stop: int, out: Floats) -> None:
    out[:] = INPUTS[start:stop]


def member(learner: int, network: Mlp = NARROW, number: int = 0) -> Member:
    row = network.build((4,), 3).initialize(1, 10 * learner + number)
    return Member(learner, number, 100, network, CrossEntropy(), row)


def test_outputs_of_members_of_one_architecture_are_those_of_each_alone() -> None:
    members = [member(0), member(1), member(2)]
    together = member_outputs(members, SCHEMA, read, ROWS)
    assert together.shape == (3, ROWS, 3)
    for one, outputs in zip(members, together, strict=True):
        assert member_outputs([one], SCHEMA, read, ROWS)[0].tobytes() == outputs.tobytes()


def test_architectures_may_be_mixed_in_any_order() -> None:
    members = [member(0), member(1, WIDE), member(2), member(3), member(4, WIDE)]
    together = member_outputs(members, SCHEMA, read, ROWS)
    for one, outputs in zip(members, together, strict=True):
        assert member_outputs([one], SCHEMA, read, ROWS)[0].tobytes() == outputs.tobytes()


def test_outputs_stand_in_the_order_of_the_members() -> None:
    members = [member(0), member(1, WIDE), member(2)]
    forward = member_outputs(members, SCHEMA, read, ROWS)
    backward = member_outputs(members[::-1], SCHEMA, read, ROWS)
    assert forward.tobytes() == backward[::-1].tobytes()
