"""A learner's checkpoint on disk: safetensors for the numbers, JSON beside it for the rest.

The JSON is written last and holds the sum of the tensors, so a checkpoint without it never was.
"""

import re
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ensemble_pipe.arrays import Floats
from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.storage import RunPaths, atomic_write, check_sums, read_json, sums_of, write_json
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.plan import LearnerState


@dataclass(frozen=True)
class Saved:
    """What the JSON of a checkpoint says."""

    learner: int
    epoch: int
    step: int
    member: int | None
    finished: bool


def save_checkpoint(paths: RunPaths, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, then remove those before it, unless they yield other members."""
    weights = paths.checkpoint(checkpoint.learner, checkpoint.step)
    tensors = {"row": checkpoint.state.row, **checkpoint.state.slots}
    atomic_write(weights, save({name: np.ascontiguousarray(t) for name, t in tensors.items()}))
    write_json(
        weights.with_suffix(".json"),
        {
            "learner": checkpoint.learner,
            "epoch": checkpoint.epoch,
            "step": checkpoint.step,
            "member": checkpoint.member,
            "finished": checkpoint.finished,
            "counters": checkpoint.state.counters,
            "sums": sums_of(weights.parent, [weights.name]),
        },
    )
    for saved in list_checkpoints(paths, checkpoint.learner):
        superseded = saved.member is None or saved.member == checkpoint.member
        if saved.step < checkpoint.step and superseded:
            old = paths.checkpoint(saved.learner, saved.step)
            old.with_suffix(".json").unlink()
            old.unlink()


def list_checkpoints(paths: RunPaths, learner: int) -> list[Saved]:
    """Return the complete checkpoints of a learner, by step."""
    found = []
    for path in sorted(paths.learner(learner).glob("step-*.json")):
        if re.fullmatch(r"step-\d+\.json", path.name):
            names = ("learner", "epoch", "step", "member", "finished")
            facts = read_json(path, *names)
            found.append(Saved(**{name: facts[name] for name in names}))
    return found


def load_state(paths: RunPaths, learner: int, step: int) -> LearnerState:
    """Read a checkpoint back.

    Raises:
        CorruptFileError: its file does not match its sum, or is no safetensors file.
    """
    weights = paths.checkpoint(learner, step)
    facts = read_json(weights.with_suffix(".json"), "sums", "counters")
    check_sums(weights.parent, facts["sums"])
    tensors = read_tensors(weights.read_bytes(), str(weights))
    row = tensors.pop("row")
    return LearnerState(step, row, tensors, facts["counters"])


def save_estimator(paths: RunPaths, learner: int, content: bytes) -> None:
    """Write a scikit-learn learner; its JSON is written last and makes it finished."""
    path = paths.estimator(learner)
    atomic_write(path, content)
    write_json(
        path.with_suffix(".json"),
        {"learner": learner, "sums": sums_of(path.parent, [path.name])},
    )


def load_estimator(paths: RunPaths, learner: int) -> bytes | None:
    """Return a scikit-learn learner that was saved, or None.

    Raises:
        CorruptFileError: its file does not match its sum.
    """
    path = paths.estimator(learner)
    if not path.with_suffix(".json").is_file():
        return None
    check_sums(path.parent, read_json(path.with_suffix(".json"), "sums")["sums"])
    return path.read_bytes()


def remove_leftovers(paths: RunPaths) -> None:
    """Remove what a killed driver left half written: temporary files, tensors without JSON."""
    for path in paths.learners.glob("*/*"):
        whole = path.with_suffix(".json").is_file()
        unfinished = path.suffix in (".safetensors", ".skops") and not whole
        if path.suffix == ".tmp" or unfinished:
            path.unlink()


def read_tensors(content: bytes, where: str) -> dict[str, Floats]:
    """Parse safetensors.

    Raises:
        CorruptFileError: `content` is not in that format.
    """
    try:
        tensors: dict[str, Floats] = load(content)
    except KeyError as error:  # a type that NumPy does not have, such as bfloat16
        raise CorruptFileError(
            f"{where}: holds tensors of type {error}, which cannot be read; save them as float32"
        ) from None
    except SafetensorError as error:
        raise CorruptFileError(f"{where}: not a safetensors file ({error})") from None
    return tensors
