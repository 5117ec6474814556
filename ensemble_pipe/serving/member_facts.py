"""What model.json says of each member, and members made of it and of the files beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members import (
    BoostedMember,
    DropoutPass,
    EstimatorMember,
    GivenMember,
    Member,
    NetworkMember,
)
from ensemble_pipe.ensemble.strategies import NAME_PATTERN
from ensemble_pipe.nn.losses import LOSSES, Loss
from ensemble_pipe.nn.networks import NETWORKS, Architecture
from ensemble_pipe.training.plan import build

FILE_PATTERN = r"^estimator-\d+\.skops$"
Variance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(allow_inf_nan=False)]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    learner: int
    number: int
    step: int
    noise: tuple[Variance, ...]


class NetworkFacts(_Facts):
    """Of a network; `tensor` names its row, which passes of dropout share."""

    kind: Literal["network"]
    tensor: str
    network: Annotated[Architecture, NETWORKS]
    loss: Annotated[Loss, LOSSES]
    features: list[int] | None
    dropout: DropoutPass | None


class BoostedFacts(_Facts):
    """Of a chain of networks; `tensor` names their rows."""

    kind: Literal["boosted"]
    tensor: str
    network: Annotated[Architecture, NETWORKS]
    loss: Annotated[Loss, LOSSES]
    features: list[int] | None
    factors: Annotated[tuple[Factor, ...], Field(min_length=1)]


class EstimatorFacts(_Facts):
    """Of a scikit-learn estimator, which has a file of its own."""

    kind: Literal["estimator"]
    strategy: str
    file: Annotated[str, Field(pattern=FILE_PATTERN)]


class GivenFacts(_Facts):
    """Of a member whose predictions come with the rows, by the name."""

    kind: Literal["given"]
    name: Annotated[str, Field(pattern=NAME_PATTERN)]


Facts = NetworkFacts | BoostedFacts | EstimatorFacts | GivenFacts


def facts_of(member: Member) -> dict[str, Any]:
    """Return what stands in model.json of a member, as plain values."""
    facts: dict[str, Any] = {
        "learner": member.learner,
        "number": member.number,
        "step": member.step,
        "noise": list(member.noise),
    }
    if isinstance(member, EstimatorMember):
        own = {"kind": "estimator", "strategy": member.kind, "file": file_name(member)}
        return {**own, **facts}
    if isinstance(member, GivenMember):
        return {"kind": "given", "name": member.name, **facts}
    facts |= {
        "tensor": tensor_name(member),
        "network": asdict(member.network),
        "loss": asdict(member.loss),
        "features": None if member.mask is None else np.flatnonzero(member.mask).tolist(),
    }
    if isinstance(member, BoostedMember):
        return {"kind": "boosted", **facts, "factors": list(member.factors)}
    dropout = None if member.dropout is None else asdict(member.dropout)
    return {"kind": "network", **facts, "dropout": dropout}


def tensors_of(members: Sequence[Member]) -> dict[str, Floats]:
    """Return the rows (P,) of networks and (r, P) of chains, by name."""
    found = {}
    for member in members:
        if isinstance(member, NetworkMember):
            found[tensor_name(member)] = member.row
        elif isinstance(member, BoostedMember):
            found[tensor_name(member)] = member.rows
    return found


def tensor_name(member: NetworkMember | BoostedMember) -> str:
    """Return the name of a network's row, or a chain's rows, among the tensors."""
    return f"{member.learner:04d}-{member.step:08d}"


def file_name(member: EstimatorMember) -> str:
    """Return the name of an estimator's file."""
    return f"estimator-{member.learner:04d}.skops"


def member_of(
    facts: Facts, schema: Schema, rows: Mapping[str, Floats], files: Mapping[str, bytes]
) -> Member:
    """Return the member that some facts describe.

    Args:
        facts: of the member.
        schema: of the data.
        rows: of networks, by the name of their tensor.
        files: contents of estimators' files, by name.

    Raises:
        ValueError: facts, schema and files do not agree.
        CorruptFileError: a file holds no estimator.
    """
    targets = schema.target_count if schema.task == "regression" else 0
    if len(facts.noise) not in (0, targets):
        raise ValueError(f"it has {len(facts.noise)} noise variances for {targets} targets")
    if isinstance(facts, GivenFacts):
        return GivenMember(facts.learner, facts.name, facts.number, facts.step, facts.noise)
    if not isinstance(facts, EstimatorFacts):
        return _network(facts, schema, rows)
    if facts.file not in files:
        raise ValueError(f"{facts.file} is not among the files")
    content = files[facts.file]
    member = EstimatorMember(
        facts.learner, facts.strategy, content, facts.number, facts.step, facts.noise
    )
    member.require_fit(schema)
    return member


def _network(
    facts: NetworkFacts | BoostedFacts, schema: Schema, rows: Mapping[str, Floats]
) -> NetworkMember | BoostedMember:
    if facts.loss.task != schema.task:
        raise ValueError(f"it is for {facts.loss.task}, the model for {schema.task}")
    if facts.features is not None and schema.is_image:
        raise ValueError("it sees some columns, but rows are images")
    mask = _mask(facts.features, schema.input_shape[-1])
    try:
        size = build(facts.network, facts.loss, schema).layout.size
    except ConfigError as error:
        raise ValueError(str(error)) from None
    row = rows.get(facts.tensor, np.zeros(0, np.float32))
    expected = (len(facts.factors), size) if isinstance(facts, BoostedFacts) else (size,)
    if row.shape != expected or row.dtype != np.float32:
        raise ValueError(
            f"its tensor is {row.dtype} of shape {row.shape}; its network needs float32 {expected}"
        )
    if isinstance(facts, BoostedFacts):
        return BoostedMember(
            facts.learner, facts.number, facts.step, facts.network, facts.loss, row,
            facts.factors, mask, facts.noise,
        )  # fmt: skip
    return NetworkMember(
        facts.learner, facts.number, facts.step, facts.network, facts.loss, row, mask,
        facts.dropout, facts.noise,
    )  # fmt: skip


def _mask(features: list[int] | None, count: int) -> Floats | None:
    """Return 1 for the features that a member sees, of so many; None for all."""
    if features is None:
        return None
    if not features or not all(0 <= place < count for place in features):
        raise ValueError(f"its features must lie in 0 to {count - 1}, at least one of them")
    mask = np.zeros(count, np.float32)
    mask[features] = 1.0
    return mask
