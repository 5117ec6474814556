"""Small runs of the fault campaign, and the sum of all that they must come to again."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import yaml

import ensemble_pipe
from ensemble_pipe.core.settings import settings
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.nn.layers import Binding, Layer
from ensemble_pipe.report import drawing
from ensemble_pipe.run.pipeline import resume
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state

# Eleven steps in three epochs, of two learners.
PIPELINE: dict[str, Any] = {
    "name": "faults",
    "network": {"hidden": [8]},
    "training": {"epochs": 3, "batch_size": 256},
    "ensemble": {"learners": 2, "combine": {"temperature": False}},
    "splits": {"validation": 0.15, "stop": 0.1},
    "tracking": {"mlflow": False},
}
PATIENCE_S = 300.0


def write_pipeline(folder: Path, **sections: Any) -> Path:
    """Write the small pipeline with other sections in place of its own; return its path."""
    path = folder / "faults.yaml"
    path.write_text(yaml.safe_dump({**PIPELINE, **sections}))
    return path


def sum_of(run_dir: Path | str) -> str:
    """Return the sha256 sum of all final rows and optimizer states, all predictions and members."""
    paths, total = RunPaths(Path(run_dir)), hashlib.sha256()
    for folder in sorted(paths.learners.iterdir()):
        *_, last = list_checkpoints(paths, int(folder.name))
        assert last.finished, f"learner {folder.name} has not finished"
        state = load_state(paths, last.learner, last.step)
        for name, values in sorted({**state.slots, "row": state.row}.items()):
            total.update(name.encode() + values.tobytes())
    for path in sorted(paths.root.glob("predictions/*.arrow")):
        total.update(path.read_bytes())
    total.update((paths.model / "members.safetensors").read_bytes())
    return total.hexdigest()


def run_dir_in(folder: Path) -> Path:
    """Return the one run directory below a folder."""
    (found,) = folder.glob("runs/*/manifest.json")
    return found.parent


def undisturbed(pipeline: Path, **arguments: Any) -> str:
    """Run a pipeline in this process and without a fault; return the sum of what it comes to."""
    output = pipeline.parent / "undisturbed"
    with no_pictures():
        result = ensemble_pipe.run(str(pipeline), output=str(output), inline=True, **arguments)
    return sum_of(result.run_dir)


def require_same(run_dir: Path | str, expected: str) -> None:
    assert sum_of(run_dir) == expected, "other bits than those of the undisturbed run"


def resume_here(run_dir: Path, expected: str, **arguments: Any) -> None:
    """Resume a run in this process, and require the sum of the undisturbed one."""
    with no_pictures():
        resume(run_dir, inline=True, **arguments)
    require_same(run_dir, expected)


def no_pictures() -> Any:
    """Return a context in which pictures are not rendered, which takes most of a small run."""
    return mock.patch.object(drawing, "svg_of", return_value="")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "ensemble_pipe", *map(str, arguments)]


@contextmanager
def started(*arguments: object, cwd: Path, **named: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a command of ensemble_pipe; it is killed at the end of the block."""
    process = subprocess.Popen(
        command(*arguments), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        **named,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


def checkpoints_in(folder: Path) -> int:
    """Return how many epochs are journalled in the run below a folder."""
    journals = folder.glob("runs/*/journal.jsonl")
    return sum(path.read_bytes().count(b'{"kind": "epoch"') for path in journals)


@settings
class Fault(Layer):
    """The identity; in training it does to its process what a file in a folder says, once.

    The name of the file is STEP.SIGNAL, such as 7.KILL.
    """

    name: Literal["fault"] = "fault"
    agenda: str

    row_wise = True

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def bind(self, binding: Binding) -> "BoundFault":
        return BoundFault(self.agenda, binding.gradients is not None)


class BoundFault:
    """The layer bound; gradients are bound in training alone."""

    outputs_may_change = False

    def __init__(self, agenda: str, trains: bool) -> None:
        self.agenda, self.trains = agenda, trains

    def forward(self, inputs: Any, step: int) -> Any:
        if self.trains:
            _do(self.agenda, step)
        return inputs

    def backward(self, gradient: Any) -> Any:
        return gradient


def _do(agenda: str, step: int) -> None:
    for name in ("KILL", "STOP"):
        try:
            Path(agenda, f"{step}.{name}").unlink()
        except FileNotFoundError:
            continue
        os.kill(os.getpid(), signal.Signals[f"SIG{name}"])


def with_faults(agenda: Path) -> dict[str, Any]:
    """Return a network that does what files in a folder say."""
    agenda.mkdir(exist_ok=True)
    hidden = {"name": "dense", "units": 8}
    layers = [{"name": "flatten"}, hidden, {"name": "relu"}]
    layers.append({"name": "fault", "agenda": str(agenda)})
    return {"name": "sequential", "layers": layers}
