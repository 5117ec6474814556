"""A learner's checkpoint on disk: safetensors for the numbers, JSON beside it for the rest.

The JSON appears last and holds the sum of the tensors, so a checkpoint without it is incomplete,
and ignored. The file of tensors repeats the identity that the JSON states, and its sum covers it:
neither can be exchanged for another learner's, or changed, unnoticed. A checkpoint of an earlier
version may state its identity in the JSON alone.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from ensemble_pipe.core.documents import parse_json, read_bytes
from ensemble_pipe.core.errors import CorruptFileError, LaterVersionError
from ensemble_pipe.core.replacement import remove_unfinished
from ensemble_pipe.core.storage import RunPaths, atomic_write_all, check_sums, json_text
from ensemble_pipe.core.tensor_files import metadata_of, parse_tensors, require_finite
from ensemble_pipe.training.checkpoint_format import (
    FORMAT,
    Saved,
    SavedEstimator,
    checkpoint_to_dict,
    parse_counters,
    read_saved,
)
from ensemble_pipe.training.estimator_settings import SUFFIXES
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.state import LearnerState

_FACTS = "checkpoint"
DAMAGED = ".damaged"
ANEW = "restore it from a copy, or remove its folder to have the learner trained anew"


def save_checkpoint(paths: RunPaths, checkpoint: Checkpoint, run: str | None = None) -> None:
    """Write a checkpoint, then remove earlier ones, unless they yield other members.

    While training goes on, the one before it is kept: see `set_aside_damaged`.

    Args:
        paths: of the run.
        checkpoint: of one of its learners.
        run: the run's id, which makes it a checkpoint of no other run.
    """
    facts = checkpoint_to_dict(checkpoint, run)
    path = paths.checkpoint(checkpoint.learner, checkpoint.step)
    _write(path, _content(checkpoint.state, facts), facts)
    earlier = [step for step in _steps(paths, checkpoint.learner) if step < checkpoint.step]
    for step in earlier if checkpoint.finished else earlier[:-1]:
        saved = _saved(paths, checkpoint.learner, step)
        if saved.member is None or saved.member == checkpoint.member:
            old = paths.checkpoint(saved.learner, saved.step)
            old.with_suffix(".json").unlink()
            old.unlink()


def set_aside_damaged(paths: RunPaths, learner: int, run: str) -> str | None:
    """Rename the newest checkpoints of a learner where these are damaged and an earlier one is not.

    Training goes on from that one, to the same bits.

    Args:
        paths: of the run.
        learner: its id.
        run: the run's id.

    Returns:
        What was damaged, and where training goes on; None where nothing is renamed.

    Raises:
        LaterVersionError: a later version wrote one.
    """
    told = ""
    steps = _steps(paths, learner)
    for step in reversed(steps):
        try:
            _saved(paths, learner, step, run)
            load_state(paths, learner, step)
        except LaterVersionError:
            raise
        except CorruptFileError as error:
            told = told or str(error)
            continue
        damaged = [later for later in steps if later > step]
        for path in (paths.checkpoint(learner, later) for later in damaged):
            for part in (path.with_suffix(".json"), path):
                if part.exists():
                    part.rename(part.with_name(part.name + DAMAGED))
        went = f"learner {learner} goes on from step {step}"
        return f"{went}, since a newer checkpoint is damaged: {told}" if damaged else None
    return None


def copy_learner(source: RunPaths, target: RunPaths, learner: int, run: str) -> None:
    """Copy what a run has of a learner to another run, whose id the copies state.

    Args:
        source: whose learner is read.
        target: where it is written to.
        learner: its id.
        run: the id of the target.

    Raises:
        CorruptFileError: a file is damaged.
    """
    for saved in list_checkpoints(source, learner):
        facts = {**saved.to_dict(), "run": run}
        content = _content(load_state(source, learner, saved.step), facts)
        _write(target.checkpoint(learner, saved.step), content, facts)
    path = source.estimator(learner, ".json")
    if path.exists():
        fitted = load_estimator(source, learner, read_saved(path, SavedEstimator).run)
        assert fitted is not None
        save_estimator(target, learner, fitted, run)


def _content(state: LearnerState, facts: dict[str, Any]) -> bytes:
    """Return the safetensors file of a checkpoint, which states the facts of its JSON."""
    tensors = {"row": state.row, **state.slots}
    return save(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        metadata={_FACTS: json.dumps(facts, allow_nan=False)},
    )


def _write(path: Path, content: bytes, facts: dict[str, Any]) -> None:
    """Write a file, and the JSON that makes it complete."""
    sums = {path.name: hashlib.sha256(content).hexdigest()}
    text = json_text({**facts, "sums": sums})
    atomic_write_all({path: content, path.with_suffix(".json"): text.encode()})


def list_checkpoints(paths: RunPaths, learner: int, run: str | None = None) -> list[Saved]:
    """Return the complete checkpoints of a learner, by step.

    Args:
        paths: of the run.
        learner: its id.
        run: the run's id, where that is to be checked too.

    Raises:
        CorruptFileError: one is damaged, or of another learner, step or run.
    """
    return [_saved(paths, learner, step, run) for step in _steps(paths, learner)]


def _steps(paths: RunPaths, learner: int) -> list[int]:
    """Return the steps that a learner has complete checkpoints of, in order."""
    names = [path.name for path in paths.learner(learner).glob("step-*.json")]
    matches = [re.fullmatch(r"step-(\d+)\.json", name) for name in names]
    return sorted(int(found[1]) for found in matches if found)


def _saved(paths: RunPaths, learner: int, step: int, run: str | None = None) -> Saved:
    path = paths.checkpoint(learner, step).with_suffix(".json")
    saved = read_saved(path, Saved)
    other = run is not None and saved.run not in (None, run)
    if (saved.learner, saved.step) != (learner, step) or other:
        whose = f" of run {saved.run}" if other else ""
        raise CorruptFileError(
            f"{path}: is a checkpoint of learner {saved.learner}{whose} at step {saved.step}, not "
            f"what its place says; {ANEW}"
        )
    return saved


def load_state(paths: RunPaths, learner: int, step: int) -> LearnerState:
    """Read a checkpoint back.

    Raises:
        CorruptFileError: its file does not match its sum, is no safetensors file, contradicts its
            JSON, or holds a number that is not finite.
    """
    saved = _saved(paths, learner, step)
    weights = paths.checkpoint(learner, step)
    if list(saved.sums) != [weights.name]:
        raise CorruptFileError(
            f"{weights.with_suffix('.json')}: sums: must be that of {weights.name} alone; {ANEW}"
        )
    check_sums(weights.parent, saved.sums, ANEW)
    content = read_bytes(weights)
    tensors = parse_tensors(content, str(weights))
    stated = _facts_in(content, str(weights))
    known = saved.to_dict()
    wrong = [name for name, value in stated.items() if known.get(name) != value]
    if wrong:
        raise CorruptFileError(
            f"{weights.with_suffix('.json')}: {wrong[0]}: is {known.get(wrong[0])!r}, but "
            f"{weights.name} is a checkpoint with {stated[wrong[0]]!r}; {ANEW}"
        )
    if "row" not in tensors:
        raise CorruptFileError(f"{weights}: holds no tensor named row; {ANEW}")
    require_finite(tensors, f"{weights}", ANEW)
    counters = parse_counters(saved.counters, f"{weights.with_suffix('.json')}: counters")
    return LearnerState(saved.step, tensors.pop("row"), tensors, counters)


def _facts_in(content: bytes, where: str) -> dict[str, Any]:
    """Return what a safetensors file says of itself; nothing in one of an earlier version."""
    facts = metadata_of(content, where).get(_FACTS)
    return {} if facts is None else parse_json(facts.encode(), dict[str, Any], where)


class FittedFile(NamedTuple):
    """The file of a learner without steps; its suffix says what it is."""

    suffix: str
    content: bytes


def save_estimator(paths: RunPaths, learner: int, fitted: FittedFile, run: str) -> None:
    """Write a learner without steps; its JSON is written last and makes it finished."""
    path = paths.estimator(learner, fitted.suffix)
    _write(path, fitted.content, {"format": FORMAT, "learner": learner, "run": run})


def load_estimator(paths: RunPaths, learner: int, run: str | None) -> FittedFile | None:
    """Return a learner without steps that was saved, or None.

    Raises:
        CorruptFileError: its file does not match its sum, or is of another learner or run.
    """
    facts_path = paths.estimator(learner, ".json")
    if not facts_path.exists():
        return None
    saved = read_saved(facts_path, SavedEstimator)
    if saved.learner != learner or saved.run not in (None, run):
        whose = "" if saved.run in (None, run) else f" of run {saved.run}"
        raise CorruptFileError(
            f"{facts_path}: is of learner {saved.learner}{whose}, not what its place says; {ANEW}"
        )
    known = {paths.estimator(learner, suffix).name: suffix for suffix in SUFFIXES}
    name = next(iter(saved.sums), "")
    if len(saved.sums) != 1 or name not in known:
        raise CorruptFileError(
            f"{facts_path}: sums: must be that of one file, {' or '.join(known)}; {ANEW}"
        )
    check_sums(facts_path.parent, saved.sums, ANEW)
    return FittedFile(known[name], read_bytes(facts_path.with_name(name)))


def remove_leftovers(paths: RunPaths) -> None:
    """Remove what a killed driver left half written: temporary files, tensors without JSON."""
    remove_unfinished(paths.root)
    for path in paths.learners.rglob("*"):
        whole = path.with_suffix(".json").is_file()
        if path.is_file() and path.suffix in SUFFIXES and not whole:
            path.unlink()
