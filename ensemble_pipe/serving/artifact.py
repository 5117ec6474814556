"""The model artifact: a folder that holds an ensemble and nothing that is executed.

model.json            schema, members and their networks, noise variance, draws, versions
members.safetensors   one tensor (P,) for each member
manifest.json         sha256 sums of the two
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, ValidationError
from safetensors.numpy import save

from ensemble_pipe import __version__
from ensemble_pipe.arrays import Floats
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.errors import ConfigError, CorruptFileError
from ensemble_pipe.nn.losses import Loss
from ensemble_pipe.nn.networks import Architecture
from ensemble_pipe.seeds import MAX_SEED
from ensemble_pipe.storage import atomic_write, check_sums, read_json, sums_of, write_json
from ensemble_pipe.training.checkpoints import read_tensors
from ensemble_pipe.training.plan import build

FORMAT = 3
_FILES = ("model.json", "members.safetensors")


@dataclass(frozen=True)
class Model:
    """Everything that predicts.

    Attributes:
        schema: of the data.
        members: in order.
        noise: noise variance of a regression, in standardised units.
        draws: how rows are augmented when they are predicted.
    """

    schema: Schema
    members: Sequence[Member]
    noise: float
    draws: PredictionDraws


def write_artifact(folder: Path, model: Model) -> None:
    """Write an ensemble; the manifest comes last and makes it whole.

    Args:
        folder: where to; made if need be.
        model: what to write.
    """
    schema = model.schema
    rows = {f"{index:04d}": member.row for index, member in enumerate(model.members)}
    atomic_write(folder / "members.safetensors", save(rows))
    facts = {
        "format": FORMAT,
        "ensemble_pipe": __version__,
        "combiner": "mean_probability" if schema.task == "classification" else "gaussian_mixture",
        "noise_variance": model.noise,
        "augment": asdict(model.draws.augment),
        "seed": model.draws.seed,
        "schema": schema.to_json(),
        "members": [
            {
                "learner": member.learner,
                "number": member.number,
                "step": member.step,
                "network": asdict(member.network),
                "loss": asdict(member.loss),
                "features": None if member.mask is None else np.flatnonzero(member.mask).tolist(),
            }
            for member in model.members
        ],
    }
    write_json(folder / "model.json", facts)
    write_json(folder / "manifest.json", {"sums": sums_of(folder, _FILES)})


class _MemberFacts(BaseModel):
    learner: int
    number: int
    step: int
    network: Annotated[Architecture, Field(discriminator="name")]
    loss: Annotated[Loss, Field(discriminator="name")]
    features: list[int] | None

    def mask(self, features: int) -> Floats | None:
        """Return 1 for the features that the member sees, of so many; None for all."""
        if self.features is None:
            return None
        if not self.features or not all(0 <= place < features for place in self.features):
            raise ValueError(f"its features must lie in 0 to {features - 1}, at least one of them")
        mask = np.zeros(features, np.float32)
        mask[self.features] = 1.0
        return mask


class _ModelFacts(BaseModel):
    """What model.json holds beside `format`."""

    noise_variance: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    data_schema: Schema = Field(alias="schema")
    members: list[_MemberFacts]
    augment: Augment
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]


def read_artifact(folder: Path) -> Model:
    """Read what `write_artifact` wrote, checked against its sums.

    Raises:
        CorruptFileError: a file is missing, differs from its sum, or holds what it should not.
    """
    sums = read_json(folder / "manifest.json", "sums")["sums"]
    if set(sums) != set(_FILES):
        raise CorruptFileError(f"{folder / 'manifest.json'}: must list {' and '.join(_FILES)}")
    check_sums(folder, sums)
    facts = _read_facts(folder / "model.json")
    _require_agreement(facts, folder / "model.json")
    path = folder / "members.safetensors"
    rows = read_tensors(path.read_bytes(), str(path))
    members = []
    for index, fact in enumerate(facts.members):
        row = rows.get(f"{index:04d}", np.zeros(0, np.float32))
        try:
            expected = build(fact.network, fact.loss, facts.data_schema).layout.size
            mask = fact.mask(facts.data_schema.input_shape[-1])
        except (ConfigError, ValueError) as error:
            raise CorruptFileError(f"{folder / 'model.json'}: member {index}: {error}") from None
        if row.shape != (expected,) or row.dtype != np.float32:
            raise CorruptFileError(
                f"{path}: member {index} is {row.dtype} of shape {row.shape}; "
                f"its network needs float32 ({expected},)"
            )
        members.append(
            Member(fact.learner, fact.number, fact.step, fact.network, fact.loss, row, mask)
        )
    if not members:
        raise CorruptFileError(f"{folder}: the model has no members")
    draws = PredictionDraws(facts.augment, facts.seed)
    return Model(facts.data_schema, members, facts.noise_variance, draws)


def _require_agreement(facts: _ModelFacts, path: Path) -> None:
    schema = facts.data_schema
    misfits = facts.augment.misfits(images=schema.is_image)
    if misfits:
        raise CorruptFileError(f"{path}: {misfits[0].name} does not fit the shape of its rows")
    for index, fact in enumerate(facts.members):
        if fact.loss.task != schema.task:
            raise CorruptFileError(
                f"{path}: member {index} is for {fact.loss.task}, the model for {schema.task}"
            )
        if fact.features is not None and schema.is_image:
            raise CorruptFileError(f"{path}: member {index} sees some columns, but rows are images")


def _read_facts(path: Path) -> _ModelFacts:
    values = read_json(path)
    found = values.get("format")
    if found != FORMAT:
        raise CorruptFileError(f"{path}: format {found!r}, but this version reads format {FORMAT}")
    try:
        return _ModelFacts.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise CorruptFileError(
            f"{path}: not a model of this version ({where}: {first['msg']})"
        ) from None
