"""Checkpoints are written several at once, those of a learner in their order."""

import threading

import numpy as np
import pytest

from ensemble_pipe.run.checkpoint_writer import CheckpointWriter
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.state import LearnerState


def checkpoint(learner: int, step: int) -> Checkpoint:
    return Checkpoint(learner, step, step, 10, LearnerState(step, np.zeros(1, np.float32), {}))


def test_learners_are_written_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    def save(_: Checkpoint) -> None:
        both.wait()

    writer = CheckpointWriter(save)
    writer.write(checkpoint(0, 1))
    writer.write(checkpoint(1, 1))
    writer.wait_for_all()
    assert not both.broken


def test_the_checkpoints_of_a_learner_are_written_in_order() -> None:
    steps: list[int] = []
    writer = CheckpointWriter(lambda one: steps.append(one.step))
    for step in range(20):
        writer.write(checkpoint(3, step))
    writer.wait(3)
    assert steps == list(range(20))


def test_what_goes_wrong_is_raised_where_it_is_waited_for() -> None:
    def save(_: Checkpoint) -> None:
        raise OSError("no space left on device")

    writer = CheckpointWriter(save)
    writer.write(checkpoint(0, 1))
    with pytest.raises(OSError, match="no space"):
        writer.wait_for_all()
