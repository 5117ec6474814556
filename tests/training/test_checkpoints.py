"""A learner's checkpoint on disk."""

from pathlib import Path

import numpy as np
import pytest

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state, save_checkpoint
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.state import LearnerState


def checkpoint(step: int, member: int | None = None) -> Checkpoint:
    random = np.random.default_rng(step)
    slots = {"velocity": random.random(5, np.float32)}
    state = LearnerState(step, random.random(5, np.float32), slots)
    return Checkpoint(2, step // 10, step, 40, state, {}, member, finished=step == 40)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


def test_a_state_comes_back_as_it_was(paths: RunPaths) -> None:
    saved = checkpoint(10)
    save_checkpoint(paths, saved)
    state = load_state(paths, 2, 10)
    assert state.step == 10
    assert state.row.tobytes() == saved.state.row.tobytes()
    assert state.slots["velocity"].tobytes() == saved.state.slots["velocity"].tobytes()


def test_only_the_newest_and_the_members_are_kept(paths: RunPaths) -> None:
    for step, member in ((10, None), (20, 0), (30, None), (40, 1)):
        save_checkpoint(paths, checkpoint(step, member))
    found = list_checkpoints(paths, 2)
    assert [(c.step, c.member, c.finished) for c in found] == [(20, 0, False), (40, 1, True)]
    assert len(list(paths.learner(2).iterdir())) == 4


def test_a_checkpoint_without_its_json_never_was(paths: RunPaths) -> None:
    save_checkpoint(paths, checkpoint(10))
    paths.checkpoint(2, 10).with_suffix(".json").unlink()
    assert list_checkpoints(paths, 2) == []


@pytest.mark.parametrize("position", [0, 9, 60, -1])
def test_a_flipped_bit_is_refused(paths: RunPaths, position: int) -> None:
    save_checkpoint(paths, checkpoint(10))
    path = paths.checkpoint(2, 10)
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="do not match the sha256 sum"):
        load_state(paths, 2, 10)
