"""The format of checkpoints: its versions, what they say, and that a later one is refused."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.optim import PlateauState
from ensemble_pipe.training.boosting import BoostingState
from ensemble_pipe.training.checkpoint_format import counters_to_dict, parse_counters
from ensemble_pipe.training.checkpoints import (
    FittedFile,
    list_checkpoints,
    load_estimator,
    load_state,
    remove_leftovers,
    save_checkpoint,
    save_estimator,
)
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.state import Counters, LearnerState, RunningLoss
from ensemble_pipe.training.stopping import StoppingState

COUNTERS = Counters(
    RunningLoss(1.5, 3),
    PlateauState(0.5, 0.25, 1, 2),
    StoppingState(0.75, 2),
    BoostingState((0.5, 0.0), 0.25),
)
# What version 1, of ensemble_pipe 0.1.0, says of the same counters.
VERSION_1 = {
    "loss_sum": 1.5,
    "steps_summed": 3.0,
    "plateau": {"factor": 0.5, "best": 0.25, "bad_epochs": 1, "cooldown": 2},
    "best_value": 0.75,
    "epochs_waited": 2.0,
    "factors": [0.5, 0.0],
    "factor": 0.25,
}
PLAIN = {"loss_sum": 0.0, "steps_summed": 0, "plateau": PlateauState()._asdict()}


def checkpoint(step: int = 3) -> Checkpoint:
    return Checkpoint(0, 1, step, 9, LearnerState(step, np.ones(2, np.float32), {}, COUNTERS))


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path)


def change(path: Path, **facts: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_json_and_metadata_say_the_same_and_name_the_version(paths: RunPaths) -> None:
    save_checkpoint(paths, checkpoint(), "run-1")
    path = paths.checkpoint(0, 3)
    facts = json.loads(path.with_suffix(".json").read_text())
    assert list(facts.pop("sums")) == [path.name]
    with safe_open(path, "numpy") as tensors:
        assert json.loads(tensors.metadata()["checkpoint"]) == facts
    assert facts == {
        "format": 2,
        "run": "run-1",
        "learner": 0,
        "epoch": 1,
        "step": 3,
        "member": None,
        "finished": False,
        "counters": VERSION_1,
    }


@pytest.mark.parametrize(
    ("counters", "saved"), [(COUNTERS, VERSION_1), (Counters(), PLAIN)], ids=["all", "none"]
)
def test_counters_have_the_keys_of_version_1(counters: Counters, saved: dict[str, Any]) -> None:
    assert counters_to_dict(counters) == saved
    assert parse_counters(json.loads(json.dumps(saved)), "file") == counters


def test_counters_of_the_first_checkpoints_may_lack_every_key() -> None:
    assert parse_counters({}, "file") == Counters()


def test_a_checkpoint_of_a_later_version_is_refused_by_name(paths: RunPaths) -> None:
    save_checkpoint(paths, checkpoint())
    path = paths.checkpoint(0, 3).with_suffix(".json")
    change(path, format=3)
    told = r"step-00000003\.json: has format 3, .* later version of ensemble_pipe; .* upgrade it"
    with pytest.raises(CorruptFileError, match=told):
        list_checkpoints(paths, 0)
    path.write_text('{"format": 3, "learners": []}')  # whatever else it says
    with pytest.raises(CorruptFileError, match=told):
        load_state(paths, 0, 3)


def test_an_estimator_of_a_later_version_is_refused_by_name(paths: RunPaths) -> None:
    fitted = FittedFile(".skops", b"trees")
    save_estimator(paths, 0, fitted, "run-1")
    assert load_estimator(paths, 0, "run-1") == fitted
    change(paths.estimator(0, ".json"), format=3)
    with pytest.raises(CorruptFileError, match=r"has format 3, .* upgrade it"):
        load_estimator(paths, 0, "run-1")


def test_a_changed_version_is_noticed(paths: RunPaths) -> None:
    save_checkpoint(paths, checkpoint())
    change(paths.checkpoint(0, 3).with_suffix(".json"), format=1)
    with pytest.raises(CorruptFileError, match=r"format: is 1, but .* a checkpoint with 2"):
        load_state(paths, 0, 3)


@pytest.mark.parametrize("replacements", [0, 1, 2])
def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_checkpoint(
    paths: RunPaths, replacements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(paths, checkpoint(3))
    real, left = os.replace, [replacements]

    def killed(source: Path, target: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(source, target)

    monkeypatch.setattr(os, "replace", killed)
    if replacements < 2:
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(paths, checkpoint(6))
    else:
        save_checkpoint(paths, checkpoint(6))
    remove_leftovers(paths)
    found = [saved.step for saved in list_checkpoints(paths, 0)]
    assert found == ([3, 6] if replacements == 2 else [3])
    assert load_state(paths, 0, found[-1]).counters == COUNTERS
    assert len(list(paths.learner(0).iterdir())) == 2 * len(found)
