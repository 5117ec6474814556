"""The model artifact: a folder that holds an ensemble and nothing that is executed.

model.json            schema, members and their networks, combiner, conformal sets, decision, draws,
                      versions
members.safetensors   tensors of members: rows (P,) of networks, (r, P) of chains of them
estimator-*.skops     files of members: scikit-learn estimators,
trees-*.safetensors   boosted trees,
library-*             and models of LightGBM and CatBoost in their text formats
manifest.json         sha256 sums of these
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field
from safetensors.numpy import save

from ensemble_pipe import __version__
from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.documents import read_bytes, read_json, validate_as
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.replacement import complete_replacement, remove_others, replace_files
from ensemble_pipe.core.seeds import MAX_SEED
from ensemble_pipe.core.storage import Manifest, check_sums, json_text
from ensemble_pipe.core.tensor_files import read_tensors
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import AnyCombiner, Combiner
from ensemble_pipe.ensemble.combining import Combined
from ensemble_pipe.ensemble.conformal import Conformal
from ensemble_pipe.ensemble.decisions import Decision
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.ensemble.members.kinds import FILE_PATTERNS, AnyMemberRecord
from ensemble_pipe.ensemble.members.member import SavedFiles
from ensemble_pipe.serving.description import describe
from ensemble_pipe.training.components import names_in, require_components

FORMAT = 4
_DECIDING = 5  # of a model with a decision, which earlier versions would leave out
_MODEL, _TENSORS = "model.json", "members.safetensors"


@dataclass(frozen=True, repr=False)
class Model:
    """Everything that is needed to predict.

    Attributes:
        schema: of the data.
        members: in order.
        combiner: of their predictions.
        draws: how rows are augmented when they are predicted.
        conformal: of the classes, or of each target; empty for none.
        decision: on a class; None for the most probable one.
    """

    schema: Schema
    members: Sequence[Member]
    combiner: Combiner
    draws: PredictionDraws
    conformal: tuple[Conformal, ...] = ()
    decision: Decision | None = None

    def __repr__(self) -> str:
        return f"<Model: {describe(self.schema, self.members)}>"


def model_of(combined: Combined, schema: Schema, draws: PredictionDraws) -> Model:
    """Return the model of an ensemble, with the schema and the draws that it was trained with."""
    members, combiner = combined.members, combined.combiner
    return Model(schema, members, combiner, draws, combined.conformal, combined.decision)


def write_artifact(folder: Path, model: Model) -> None:
    """Write an ensemble; where there is one, a kill leaves that or the new one, whole.

    Files of members of an earlier one are removed; a caller's own files in the folder stay.

    Args:
        folder: of the artifact; created where it does not exist.
        model: the ensemble.
    """
    tensors: dict[str, Floats] = {}
    files: dict[str, bytes] = {}
    for member in model.members:
        tensors |= member.tensors()
        files |= member.files()
    files[_TENSORS] = save(tensors)
    values = {
        "format": FORMAT,
        "ensemble_pipe": __version__,
        "combiner": model.combiner.to_dict(),
        "conformal": [asdict(conformal) for conformal in model.conformal],
        "augment": asdict(model.draws.augment),
        "seed": model.draws.seed,
        "schema": model.schema.to_json(),
        "members": [member.to_dict() for member in model.members],
    }
    if model.decision is not None:
        values |= {"format": _DECIDING, "decision": asdict(model.decision)}
    if own := names_in((model.draws.augment, *model.members)):
        values["components"] = own
    files[_MODEL] = json_text(values).encode()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    replace_files(folder, {**files, "manifest.json": json_text({"sums": sums}).encode()})
    remove_others(folder, files, _is_of_a_member)


class _ModelRecord(BaseModel):
    """Schema of model.json, beside `format`."""

    combiner: AnyCombiner
    conformal: tuple[Conformal, ...]
    data_schema: Schema = Field(alias="schema")
    members: Annotated[list[AnyMemberRecord], Field(min_length=1)]
    augment: Augment
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    decision: Decision | None = None


def read_artifact(folder: Path) -> Model:
    """Read what `write_artifact` wrote, checked against its sums.

    Raises:
        CorruptFileError: a file is missing, differs from its sum, or holds what it should not.
        ConfigError: it has components of a caller's own that were not handed in.
    """
    complete_replacement(folder)
    sums = read_json(folder / "manifest.json", Manifest).sums
    others = set(sums) - {_MODEL, _TENSORS}
    if len(others) + 2 != len(sums) or not all(map(_is_of_a_member, others)):
        raise CorruptFileError(
            f"{folder / 'manifest.json'}: must list {_MODEL}, {_TENSORS} and estimators alone"
        )
    check_sums(folder, sums)
    path = folder / _MODEL
    record = _read_record(path)
    schema = record.data_schema
    misfits = record.augment.misfits(images=schema.is_image)
    if misfits:
        raise CorruptFileError(f"{path}: {misfits[0].name} does not fit the shape of its rows")
    files = {name: read_bytes(folder / name) for name in others}
    saved = SavedFiles(read_tensors(folder / _TENSORS), files)
    members = []
    for index, member in enumerate(record.members):
        try:
            members.append(member.member(schema, saved))
        except ValueError as error:
            raise CorruptFileError(f"{path}: member {index}: {error}") from None
    try:
        record.combiner.check(schema.task, len(members), len(schema.classes) or schema.target_count)
    except ValueError as error:
        raise CorruptFileError(f"{path}: combiner: {error}") from None
    _require_conformal(record.conformal, schema, path)
    if record.decision is not None:
        try:
            record.decision.check(len(schema.classes))
        except ValueError as error:
            raise CorruptFileError(f"{path}: decision: {error}") from None
    draws = PredictionDraws(record.augment, record.seed)
    return Model(schema, members, record.combiner, draws, record.conformal, record.decision)


def _require_conformal(conformal: tuple[Conformal, ...], schema: Schema, path: Path) -> None:
    numbers = schema.task == "regression"
    wanted = schema.target_count if numbers else 1
    fits = all((one.method == "normalized") == numbers for one in conformal)
    if len(conformal) not in (0, wanted) or not fits:
        what = f"intervals of {wanted} targets" if numbers else "sets of classes"
        raise CorruptFileError(f"{path}: conformal: must be {what}, or nothing")


def _is_of_a_member(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in FILE_PATTERNS)


def _read_record(path: Path) -> _ModelRecord:
    values = read_json(path, dict[str, Any])
    found = values.get("format")
    if found not in (FORMAT, _DECIDING):
        raise CorruptFileError(
            f"{path}: format {found!r}, but this version reads formats {FORMAT} and {_DECIDING}; "
            "read it with the version of ensemble_pipe that wrote it"
        )
    require_components(_components_in(values, path), str(path))
    return validate_as(values, _ModelRecord, str(path), "a model of this version")


def components_of(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the names of a caller's own components that a model needs, by kind.

    Raises:
        CorruptFileError: model.json cannot be read.
    """
    complete_replacement(folder)
    path = folder / _MODEL
    return _components_in(read_json(path, dict[str, Any]), path)


def _components_in(values: dict[str, Any], path: Path) -> dict[str, tuple[str, ...]]:
    found = values.get("components", {})
    return validate_as(found, dict[str, tuple[str, ...]], f"{path}: components")
