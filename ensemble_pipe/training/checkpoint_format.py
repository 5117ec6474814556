"""The format of checkpoints: the JSON beside a learner's tensors, and its versions.

docs/checkpoints.md describes it. Version 1 is that of checkpoints that name none.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ensemble_pipe.core.documents import Count, Flag, Number, read_json, validate_as
from ensemble_pipe.core.errors import CorruptFileError, LaterVersionError
from ensemble_pipe.optim import PlateauState
from ensemble_pipe.training.boosting import BoostingState
from ensemble_pipe.training.events import Checkpoint
from ensemble_pipe.training.state import Counters, RunningLoss
from ensemble_pipe.training.stopping import StoppingState

T = TypeVar("T")

FORMAT = 2


@dataclass(frozen=True)
class Saved:
    """The JSON of a checkpoint; `run` is None and `format` 1 in those of earlier versions."""

    learner: Count
    epoch: Count
    step: Count
    member: Count | None
    finished: Flag
    counters: dict[str, Any]
    sums: dict[str, str]
    run: str | None = None
    format: Count = 1

    def to_dict(self) -> dict[str, Any]:
        """Return all but the sums, as `checkpoint_to_dict` does."""
        values = asdict(self)
        del values["sums"]
        return values


@dataclass(frozen=True)
class SavedEstimator:
    """The JSON of a learner without steps; `run` and `format` as in `Saved`."""

    learner: Count
    sums: dict[str, str]
    run: str | None = None
    format: Count = 1


def checkpoint_to_dict(checkpoint: Checkpoint, run: str | None) -> dict[str, Any]:
    """Return the JSON of a checkpoint but for the sums, which is the tensors' metadata too."""
    return {
        "format": FORMAT,
        "run": run,
        "learner": checkpoint.learner,
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "member": checkpoint.member,
        "finished": checkpoint.finished,
        "counters": counters_to_dict(checkpoint.state.counters),
    }


def read_saved(path: Path, kind: type[T]) -> T:
    """Read the JSON of a checkpoint or of a scikit-learn learner.

    Raises:
        CorruptFileError: it is not what the format says.
        LaterVersionError: it is of a later version.
    """
    values = read_json(path, dict[str, Any])
    version = values.get("format", 1)
    if isinstance(version, int) and version > FORMAT:
        raise LaterVersionError(
            f"{path}: has format {version}, so it was written by a later version of ensemble_pipe; "
            f"this version reads formats up to {FORMAT}: upgrade it"
        )
    return validate_as(values, kind, str(path))


def counters_to_dict(counters: Counters) -> dict[str, Any]:
    """Return counters as the JSON has them: in one level, without those that nothing has set."""
    stopping, boosting = counters.stopping, counters.boosting
    found: dict[str, Any] = {**counters.loss._asdict(), "plateau": counters.plateau._asdict()}
    if stopping.best_value is not None:
        found |= stopping._asdict()
    if boosting.factors:
        found["factors"] = list(boosting.factors)
    if boosting.factor is not None:
        found["factor"] = boosting.factor
    return found


def parse_counters(saved: dict[str, Any], where: str) -> Counters:
    """Return the counters that `counters_to_dict` wrote, or an earlier version.

    Raises:
        CorruptFileError: they are not what the format says.
    """
    found = validate_as(saved, _Counters, where)
    if (found.best_value is None) != (found.epochs_waited is None):
        raise CorruptFileError(f"{where} do not fit its early stopping")
    plateau = PlateauState() if found.plateau is None else PlateauState(**asdict(found.plateau))
    return Counters(
        RunningLoss(found.loss_sum, int(found.steps_summed)),
        plateau,
        StoppingState(found.best_value, int(found.epochs_waited or 0)),
        BoostingState(tuple(found.factors), found.factor),
    )


@dataclass(frozen=True)
class _Plateau:
    """See `optim.PlateauState`."""

    factor: Number
    best: Number | None
    bad_epochs: Count
    cooldown: Count


@dataclass(frozen=True)
class _Counters:
    """The schema of `counters_to_dict`; earlier versions have whole numbers as 3.0 too."""

    loss_sum: Number = 0.0
    steps_summed: Number = 0.0
    plateau: _Plateau | None = None
    best_value: Number | None = None
    epochs_waited: Number | None = None
    factor: Number | None = None
    factors: list[Number] = field(default_factory=list)
