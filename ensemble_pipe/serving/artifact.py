"""The model artifact: a folder that holds an ensemble and nothing that is executed.

model.json            schema, members and their networks, noise variance, versions
members.safetensors   one tensor (P,) for each member
manifest.json         sha256 sums of the two
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors.numpy import save

from ensemble_pipe import __version__
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.members import Member
from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.nn.network import Mlp
from ensemble_pipe.storage import atomic_write, check_sums, read_json, sums_of, write_json
from ensemble_pipe.training.checkpoints import read_tensors

FORMAT = 1
_FILES = ("model.json", "members.safetensors")
_NETWORK = TypeAdapter(Mlp)


def write_artifact(folder: Path, schema: Schema, members: Sequence[Member], noise: float) -> None:
    """Write an ensemble; the manifest comes last and makes it whole.

    Args:
        folder: where to; made if need be.
        schema: of the data.
        members: in order.
        noise: noise variance of a regression, in standardised units.
    """
    rows = {f"{index:04d}": member.row for index, member in enumerate(members)}
    atomic_write(folder / "members.safetensors", save(rows))
    facts = {
        "format": FORMAT,
        "ensemble_pipe": __version__,
        "combiner": "mean_probability" if schema.task == "classification" else "gaussian_mixture",
        "noise_variance": noise,
        "schema": schema.to_json(),
        "members": [
            {
                "learner": member.learner,
                "number": member.number,
                "step": member.step,
                "network": _NETWORK.dump_python(member.network, mode="json"),
            }
            for member in members
        ],
    }
    write_json(folder / "model.json", facts)
    write_json(folder / "manifest.json", {"sums": sums_of(folder, _FILES)})


def read_artifact(folder: Path) -> tuple[Schema, list[Member], float]:
    """Read what `write_artifact` wrote, checked against its sums.

    Raises:
        CorruptFileError: a file is missing, differs from its sum, or holds what it should not.
    """
    sums = read_json(folder / "manifest.json").get("sums", {})
    if set(sums) != set(_FILES):
        raise CorruptFileError(f"{folder / 'manifest.json'}: must list {' and '.join(_FILES)}")
    check_sums(folder, sums)
    where = str(folder / "model.json")
    facts = read_json(folder / "model.json")
    if facts.get("format") != FORMAT:
        raise CorruptFileError(
            f"{where}: format {facts.get('format')!r}, but this version reads format {FORMAT}"
        )
    schema = Schema.from_json(facts["schema"], where)
    path = folder / "members.safetensors"
    rows = read_tensors(path.read_bytes(), str(path))
    members = []
    for index, fact in enumerate(facts["members"]):
        try:
            network = _NETWORK.validate_python(fact["network"])
        except ValidationError as error:
            raise CorruptFileError(
                f"{where}: member {index} has no valid network ({error})"
            ) from None
        member = Member(
            fact["learner"], fact["number"], fact["step"], network, rows[f"{index:04d}"]
        )
        expected = network.build(schema.input_shape, schema.outputs).layout.size
        if member.row.shape != (expected,):
            raise CorruptFileError(
                f"{path}: member {index} has shape {member.row.shape}; "
                f"its network needs ({expected},)"
            )
        members.append(member)
    return schema, members, float(facts["noise_variance"])
