"""Long epochs are saved in their middle, and a damaged checkpoint gives way to the one before it.

Either way the run ends with the bits of one that nothing disturbed.
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Prepared, StopAt

from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.run.display import Silent
from ensemble_pipe.run.pipeline import resume, run
from ensemble_pipe.tracking.journal import read_entries
from ensemble_pipe.tracking.kinds import EpochEntry
from ensemble_pipe.training import loop
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state
from ensemble_pipe.training.events import Checkpoint, Event
from ensemble_pipe.training.loop import StackTraining, train
from ensemble_pipe.training.stacks import Stack

PIPELINE: dict[str, Any] = {
    "network": {"hidden": [4]},
    "training": {
        "epochs": 2,
        "batch_size": 8,
        "early_stopping": {"patience": 9},
        "averaging": {"name": "ema"},
        "schedule": {"name": "plateau"},
    },
    "ensemble": {"learners": 2},
    "tracking": {"mlflow": False},
}
STEPS = 157  # of an epoch
CODE = """
from ensemble_pipe.training import loop
loop.SAVE_EVERY_S, loop.SAVE_SHARE = 0.0, 1e9
from ensemble_pipe.cli import app
app()
"""


class Heard(Silent):
    """Keeps what a run tells."""

    def __init__(self) -> None:
        self.checkpoints: list[Checkpoint] = []
        self.warnings: list[str] = []

    def event(self, event: Event) -> None:
        if isinstance(event, Checkpoint):
            self.checkpoints.append(event)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def learned(root: Path) -> dict[str, str]:
    """Return the sums of all that a run has learned: final states, predictions, the model."""
    paths, found = RunPaths(root), {}
    for learner in (0, 1):
        state = load_state(paths, learner, list_checkpoints(paths, learner)[-1].step)
        for name, values in {"row": state.row, **state.slots}.items():
            found[f"{learner} {name}"] = hashlib.sha256(values.tobytes()).hexdigest()
    for path in [*root.glob("predictions/*.arrow"), root / "model" / "members.safetensors"]:
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(found) == 2 * 6 + 4
    return found


def save_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(loop, "SAVE_SHARE", 1e9)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = Pipeline.model_validate(PIPELINE)
    return Path(run(config, output=tmp_path_factory.mktemp("whole"), inline=True).run_dir)


def test_a_run_that_saves_after_every_step_learns_the_same(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_after_every_step(monkeypatch)
    heard = Heard()
    done = run(Pipeline.model_validate(PIPELINE), output=tmp_path, inline=True, display=heard)
    assert len(heard.checkpoints) == 2 * 2 * STEPS
    assert [event.metrics != {} for event in heard.checkpoints].count(True) == 4
    assert learned(Path(done.run_dir)) == learned(undisturbed)
    entries = read_entries(Path(done.run_dir) / "journal.jsonl")
    assert [entry.epoch for entry in entries if isinstance(entry, EpochEntry)] == [1, 1, 2, 2]


@pytest.mark.slow
def test_a_run_killed_within_an_epoch_goes_on_from_there(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps(PIPELINE))
    command = [sys.executable, "-c", CODE, "run", "p.json", "--output", ".", "--inline"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("*/learners/0001/step-*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    (root,) = tmp_path.glob("p-*")
    heard = Heard()
    resume(root, inline=True, display=heard)
    # What the epoch in progress had trained already is not trained again.
    assert heard.checkpoints[0].epoch == 1
    assert learned(root) == learned(undisturbed)


def test_saving_takes_a_hundredth_of_the_time_at_most(
    prepare: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    step_s, save_s, now = 0.1, 0.05, [0.0]
    take_step = StackTraining.take_step

    def take_a_while(training: StackTraining) -> Floats:
        now[0] += step_s
        return take_step(training)

    monkeypatch.setattr(StackTraining, "take_step", take_a_while)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 1.0)
    prepared = prepare(training={"epochs": 1, "batch_size": 8}, ensemble={"learners": 1})
    saved = []
    for event in train(Stack(prepared.plans), prepared.data, prepared.schema):
        if isinstance(event, Checkpoint):
            saved.append(event.step * step_s)
            now[0] += save_s
    whole = prepared.plans[0].end(prepared.data.rows) * step_s
    assert saved[0] == pytest.approx(1.0, abs=2 * step_s)
    assert saved[-1] == pytest.approx(whole)
    assert len(saved) > 3
    assert all(later - earlier >= 5.0 for earlier, later in pairwise(saved[:-1]))


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_damaged_checkpoint_costs_what_was_trained_since_the_one_before(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    save_after_every_step(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(Pipeline.model_validate(PIPELINE), output=tmp_path, inline=True, display=StopAt(401))
    (root,) = tmp_path.iterdir()
    before, newest = sorted((root / "learners" / "0000").glob(f"step-*{suffix}"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    heard = Heard()
    resume(root, inline=True, display=heard)
    (told,) = heard.warnings
    assert str(newest) in told
    assert f"learner 0 goes on from step {int(before.stem[5:])}" in told
    assert learned(root) == learned(undisturbed)
