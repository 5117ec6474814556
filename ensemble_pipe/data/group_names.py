"""Names of the largest groups of the test part, which base files have the numbers of."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.storage import RunPaths, write_json
from ensemble_pipe.data.labelled import LabelledRows

MOST_GROUPS = 100


@dataclass(frozen=True)
class GroupNames:
    """The groups of a column.

    Attributes:
        column: its name.
        names: by number, as base files have it; of the largest groups.
    """

    column: str
    names: Mapping[int, str]


def save_group_names(paths: RunPaths, column: str, data: LabelledRows, places: Integers) -> None:
    """Write the names of the largest groups of some rows; nothing where rows have no groups.

    Args:
        paths: of the run.
        column: that names the groups.
        data: of these rows.
        places: (R,) of the rows in it.
    """
    if data.groups is None or data.group_names is None:
        return
    numbers, counts = np.unique(data.groups[places], return_counts=True)
    largest = numbers[np.argsort(-counts, kind="stable")[:MOST_GROUPS]].tolist()
    names = {number: str(data.group_names[number].as_py()) for number in largest}
    write_json(paths.group_names, {"column": column, "names": names})


def read_group_names(paths: RunPaths) -> GroupNames | None:
    """Read what `save_group_names` has written; None where rows have no groups.

    Raises:
        CorruptFileError: the file is damaged.
    """
    return read_json(paths.group_names, GroupNames) if paths.group_names.is_file() else None
