"""Transfer learning: the initial rows of learners, from pretrained weights.

Yosinski et al. 2014, "How transferable are features in deep neural networks?".
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save

from ensemble_pipe.config.plans import Plans
from ensemble_pipe.config.sections import Pipeline, Transfer
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.documents import read_bytes
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.path_kinds import kind_of
from ensemble_pipe.core.storage import RunPaths, atomic_write
from ensemble_pipe.core.tensor_files import parse_tensors, read_tensors
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members import NetworkMember
from ensemble_pipe.nn.network import Network
from ensemble_pipe.nn.sharing import Sharing
from ensemble_pipe.serving.artifact import read_artifact
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.tensors import frozen_names, require_matches

Tensors = dict[str, Floats]


class Source(NamedTuple):
    """A stored network.

    Attributes:
        tensors: by name.
        sharing: what its members share; None where it is a single one, or of a bare file.
    """

    tensors: Tensors
    sharing: Sharing | None = None


def first_rows(plans: Plans, schema: Schema, known: Iterable[int] = ()) -> dict[int, Floats]:
    """Return the initial row (P,) of each learner that begins with weights of an earlier run.

    Learner i takes member i modulo K.

    Args:
        plans: of all learners.
        schema: of the data.
        known: learners whose rows are kept already, and are not made again.

    Raises:
        ConfigError: there are no weights there, a tensor is missing, has another shape or is not
            finite, a pattern fits no tensor, or what is drawn anew, or all, is frozen.
    """
    rows: dict[int, Floats] = {}
    stored: dict[str, list[Source]] = {}  # by where they are
    for plan in plans.networks:
        transfer = plans.transfers.get(plan.learner)
        if transfer is None or plan.learner in known:
            continue
        if plan.boosting is not None:
            raise ConfigError(
                "transfer: boosting draws the weights of every network anew; leave transfer out, "
                "or take another ensemble.strategy"
            )
        where = transfer.weights
        if where not in stored:
            stored[where] = _require_sources(Path(where))
        sources, network = stored[where], plan.build(schema)
        fresh = fresh_of(transfer, network, plan)
        source = sources[plan.learner % len(sources)]
        rows[plan.learner] = _first_row(network, source, fresh, plan, where)
    return rows


def fresh_of(transfer: Transfer, network: Network, plan: LearnerPlan) -> tuple[str, ...]:
    """Return the patterns of the tensors that are drawn anew.

    Raises:
        ConfigError: a pattern fits no tensor, or what is drawn anew, or all, is frozen.
    """
    fresh = _last_layer(network) if transfer.fresh is None else transfer.fresh
    for key, patterns in (
        ("fresh", fresh),
        ("freeze", transfer.freeze),
        ("rate_factors", tuple(transfer.rate_factors)),
    ):
        require_matches(patterns, network.layout, f"transfer.{key}")
    _require_movement(network, fresh, plan)
    return fresh


def kept_rows(paths: RunPaths, learners: Iterable[int] = ()) -> dict[int, Floats]:
    """Return the initial rows (P,) that a run directory keeps, by learner.

    Args:
        paths: of the run.
        learners: whose rows must be there, where there are any.

    Raises:
        CorruptFileError: the file is damaged, or lacks that of a learner.
    """
    if not paths.first_rows.exists():
        return {}
    found = read_tensors(paths.first_rows, *map(str, learners))
    return {int(name): row for name, row in found.items()}


def save_rows(paths: RunPaths, rows: Mapping[int, Floats]) -> None:
    """Keep initial rows in a run directory, so that a resume does not need their source."""
    atomic_write(paths.first_rows, save({str(learner): row for learner, row in rows.items()}))


def resolve_weights(config: Pipeline) -> Pipeline:
    """Return a pipeline with the path of its weights in place of a pattern."""
    if config.transfer is None:
        return config
    path = str(newest(config.transfer.weights))
    transfer = config.transfer.model_copy(update={"weights": path})
    return config.model_copy(update={"transfer": transfer})


def newest(pattern: str) -> Path:
    """Return the path that matches a pattern such as "runs/digits-*"; of several the last by name.

    The names of run directories end with their start time.
    """
    path = Path(pattern)
    return path if path.exists() else max(path.parent.glob(path.name), default=path)


def _require_sources(path: Path) -> list[Source]:
    sources = read_sources(path)
    if not sources:
        raise ConfigError(
            f"transfer.weights: no member of {path} is a single network; name a run or a model "
            "that has one"
        )
    return sources


def read_sources(path: Path) -> list[Source]:
    """Return each network stored at `path`.

    Args:
        path: a run directory, a model directory, or a safetensors file with tensors by name.

    Raises:
        ConfigError: the path does not exist or is of another kind.
        CorruptFileError: its contents are invalid.
    """
    kind = kind_of(path)
    if path.is_file() and kind is not None and kind.hint and kind.name != "a file of weights":
        raise ConfigError(f"transfer.weights: {path} is {kind.name}, no weights; {kind.hint}")
    if path.is_file():
        return [Source(parse_tensors(read_bytes(path), str(path)))]
    for folder in (path, RunPaths(path).model):
        if (folder / "model.json").is_file():
            model = read_artifact(folder)
            networks = [one for one in model.members if isinstance(one, NetworkMember)]
            by_row = {(m.learner, m.step, 0 if m.part else m.number): m for m in networks}
            return [_source(member, model.schema) for member in by_row.values()]
    raise ConfigError(
        f"transfer.weights: {path} is no run directory with a model, no model directory and no "
        "safetensors file; name one, or run the pipeline that makes it first"
    )


def _source(member: NetworkMember, schema: Schema) -> Source:
    views = member.built(schema).layout.views(member.row[None])
    tensors = {name: tensor[0] for name, tensor in views.items()}
    return Source(tensors, member.part.sharing if member.part else None)


def _last_layer(network: Network) -> tuple[str, ...]:
    last = f"{network.chain.names[-1]}/"
    names = [parameter.name for parameter in network.layout.parameters]
    if all(name.startswith(last) for name in names):
        raise ConfigError(
            "transfer.fresh: the last layer of this network holds all of its tensors; name those "
            f"that are to be drawn anew, of {', '.join(names)}"
        )
    return (f"{last}*",)


def _require_movement(network: Network, fresh: Sequence[str], plan: LearnerPlan) -> None:
    frozen = frozen_names(network.layout, plan.rate_factors)
    trainable = [p.name for p in network.layout.parameters if p.trainable]
    if len(frozen) == len(trainable):
        raise ConfigError(
            "transfer.freeze: every tensor is frozen, so nothing would be trained; freeze fewer"
        )
    for name in sorted(frozen):
        if any(fnmatchcase(name, pattern) for pattern in fresh):
            raise ConfigError(
                f"transfer.freeze: {name} is drawn anew, so it must be trained; take it out of "
                "transfer.freeze or transfer.fresh"
            )


def _first_row(
    network: Network, source: Source, fresh: Sequence[str], plan: LearnerPlan, where: str
) -> Floats:
    pieces, stored, advice = [], source.tensors, _advice(source, plan)
    for parameter in network.layout.parameters:
        if any(fnmatchcase(parameter.name, pattern) for pattern in fresh):
            if parameter.from_data:
                raise ConfigError(
                    f"transfer.fresh: {parameter.name} follows from the rows that a network first "
                    f"saw, not from draws; leave it out, to take it from {where}"
                )
            values = network.draw(parameter.name, plan.seed, plan.learner)
        elif parameter.name not in stored:
            raise ConfigError(
                f"transfer.weights: {where} has no tensor {parameter.name}; it has "
                f"{', '.join(stored)}; {advice}"
            )
        else:
            values = stored[parameter.name]
        if tuple(values.shape) != parameter.shape:
            raise ConfigError(
                f"transfer.weights: {parameter.name} has shape {tuple(values.shape)} in {where}, "
                f"but {parameter.shape} here; {advice}"
            )
        if not np.isfinite(values).all():
            raise ConfigError(
                f"transfer.weights: {parameter.name} in {where} holds numbers that are not finite; "
                "take other weights"
            )
        pieces.append(values.ravel())
    return np.concatenate(pieces).astype(np.float32)


def _advice(source: Source, plan: LearnerPlan) -> str:
    """Return what to do where a tensor does not fit."""
    anew, sharing = "name it in transfer.fresh to draw it anew", source.sharing
    if sharing is None or sharing == plan.sharing:
        return anew
    return (
        f"its members share weights, so take ensemble: {{strategy: shared, members: "
        f"{sharing.members}, form: {sharing.form}}} and the network of its pipeline.yaml; or {anew}"
    )
