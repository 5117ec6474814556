"""Predictions of other programs as members of a run: reading, validation and storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from safetensors.numpy import save

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.storage import RunPaths, atomic_write
from ensemble_pipe.core.tensor_files import read_tensors
from ensemble_pipe.data.labelled import LabelledRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.ensemble.members import ExternalOutputs
from ensemble_pipe.ensemble.members.external import external_columns, external_values, input_column
from ensemble_pipe.ensemble.members.external_files import (
    has_deviations,
    open_predictions,
    read_predictions,
)
from ensemble_pipe.ensemble.strategies import ExternalPlan


@dataclass(frozen=True)
class SourceRows:
    """The rows of a source for which predictions are needed.

    Attributes:
        where: the source, for messages.
        count: of all rows in the source.
        numbers: of the rows that need predictions, by part.
    """

    where: str
    count: int
    numbers: Mapping[str, Integers]

    @classmethod
    def of(
        cls,
        source: Rows,
        data: LabelledRows,
        parts: Mapping[str, Integers],
        marked: LabelledRows | None = None,
    ) -> "SourceRows":
        """Return the held-out rows of a source: of the divided parts, and of a marked test part.

        Where there is no validation part, that is of every training row, by the fold that it is in.
        """
        numbers, in_folds = data.numbers(0, data.count), "validation" not in parts
        held_out = {
            name: numbers[places] for name, places in parts.items() if in_folds or name != "train"
        }
        if marked is not None:
            held_out["test"] = marked.numbers(0, marked.count)
        return cls(source.where, source.count, held_out)


def read_external(
    plan: ExternalPlan, schema: Schema, data: SourceRows, official: SourceRows | None
) -> dict[str, Floats]:
    """Read another program's predictions of each part, (R, O), as members' outputs.

    Every row of its files is checked.

    Args:
        plan: of the member.
        schema: of the data.
        data: of the rows that are split.
        official: of an official test part; None where there is none.

    Raises:
        ConfigError: there is a file for a part that does not exist, or none for one that does.
        DataError: a file has other rows or columns than required, or an invalid value.
    """
    settings = plan.settings
    key = f"ensemble.pool: predictions {settings.name}: test_path"
    if official is None and settings.test_path is not None:
        raise ConfigError(f"{key}: is set, but the source has no official test part; leave it out")
    if official is not None and settings.test_path is None:
        raise ConfigError(
            f"{key}: is missing; the source has an official test part, {official.where}, so name "
            "the file of its predictions too"
        )
    file = open_predictions(settings.path, data.where, data.count)
    deviations = schema.task == "regression" and has_deviations(file, schema)
    parts = _of_parts(read_predictions(file, schema, deviations), data)
    if official is not None and settings.test_path is not None:
        test = open_predictions(settings.test_path, official.where, official.count)
        parts |= _of_parts(read_predictions(test, schema, deviations), official)
    return parts


def save_external(folder: Path, given: Mapping[int, Mapping[str, Floats]]) -> None:
    """Write the predictions of each member, by learner and part, into a folder."""
    for learner, parts in given.items():
        atomic_write(folder / _file_name(learner), save(dict(parts)))


def load_external(paths: RunPaths, plans: Sequence[ExternalPlan], part: str) -> ExternalOutputs:
    """Return the stored predictions of a part, by the name of the member."""
    found = {}
    for plan in plans:
        path = paths.base / _file_name(plan.learner)
        found[plan.settings.name] = read_tensors(path, part)[part]
    return found


def append_external(
    table: pa.Table, plans: Sequence[ExternalPlan], outputs: Mapping[int, Floats], schema: Schema
) -> pa.Table:
    """Return rows with external predictions beside them, for the model's documentation.

    Args:
        table: R rows of the source.
        plans: of external members.
        outputs: (R, O) of these rows, by learner.
        schema: of the data.
    """
    for plan in plans:
        values = external_values(outputs[plan.learner], schema)
        names = external_columns(schema, deviations=values.shape[1] > schema.target_count)
        for name, column in zip(names, values.T, strict=True):
            table = table.append_column(input_column(plan.settings.name, name), pa.array(column))
    return table


def _of_parts(outputs: Floats, rows: SourceRows) -> dict[str, Floats]:
    return {part: outputs[numbers] for part, numbers in rows.numbers.items()}


def _file_name(learner: int) -> str:
    return f"given-{learner:04d}.safetensors"
