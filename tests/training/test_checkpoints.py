"""A learner's checkpoint on disk."""

import json
from pathlib import Path

import numpy as np
import pytest

from ensemble_pipe.core.errors import CorruptFileError, LaterVersionError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.training.checkpoint_format import FORMAT
from ensemble_pipe.training.checkpoints import (
    list_checkpoints,
    load_state,
    save_checkpoint,
    set_aside_damaged,
)
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


def test_the_newest_two_and_the_members_are_kept_while_training_goes_on(paths: RunPaths) -> None:
    kept = []
    for step, member in ((10, None), (20, 0), (30, None), (35, None), (38, None), (40, 1)):
        save_checkpoint(paths, checkpoint(step, member))
        kept.append([(c.step, c.member, c.finished) for c in list_checkpoints(paths, 2)])
    assert kept[1:3] == [
        [(10, None, False), (20, 0, False)],
        [(20, 0, False), (30, None, False)],
    ]
    assert kept[4] == [(20, 0, False), (35, None, False), (38, None, False)]
    assert kept[5] == [(20, 0, False), (40, 1, True)]
    assert len(list(paths.learner(2).iterdir())) == 4


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_damaged_one_is_set_aside_where_the_one_before_it_is_whole(
    paths: RunPaths, suffix: str
) -> None:
    for step in (10, 20):
        save_checkpoint(paths, checkpoint(step), "run-1")
    assert set_aside_damaged(paths, 2, "run-1") is None
    flip(paths.checkpoint(2, 20).with_suffix(suffix))
    told = set_aside_damaged(paths, 2, "run-1")
    assert told is not None
    assert f"step-00000020{suffix}" in told
    assert told.startswith("learner 2 goes on from step 10, since a newer checkpoint is damaged: ")
    assert [saved.step for saved in list_checkpoints(paths, 2)] == [10]
    assert len(list(paths.learner(2).glob("step-00000020.*.damaged"))) == 2
    assert set_aside_damaged(paths, 2, "run-1") is None


def test_nothing_is_set_aside_where_none_is_whole(paths: RunPaths) -> None:
    for step in (10, 20):
        save_checkpoint(paths, checkpoint(step), "run-1")
        flip(paths.checkpoint(2, step))
    assert set_aside_damaged(paths, 2, "run-1") is None
    assert [saved.step for saved in list_checkpoints(paths, 2)] == [10, 20]


def test_one_of_a_later_version_is_not_taken_for_damaged(paths: RunPaths) -> None:
    for step in (10, 20):
        save_checkpoint(paths, checkpoint(step), "run-1")
    facts = paths.checkpoint(2, 20).with_suffix(".json")
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "format": FORMAT + 1}))
    with pytest.raises(LaterVersionError, match="upgrade it"):
        set_aside_damaged(paths, 2, "run-1")
    assert facts.exists()


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
    with pytest.raises(CorruptFileError, match=r"not match the sha256 sum.*; restore it .* anew"):
        load_state(paths, 2, 10)
