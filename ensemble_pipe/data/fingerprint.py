"""A fingerprint of the content of a base file, the same however its rows are cut into shards."""

import hashlib
from pathlib import Path

import numpy as np

from ensemble_pipe.data.base import open_base, values_of


def fingerprint(path: Path) -> str:
    """Return a sha256 sum of the rows of a base file: names, types, shapes and values of columns.

    The file is read once, from where it is mapped.

    Raises:
        CorruptFileError: the file is damaged.
    """
    whole = hashlib.sha256()
    table = open_base(path).table
    for name in sorted(table.column_names):
        column = table.column(name)
        whole.update(f"{name} {column.type} {len(column)};".encode())
        for chunk in column.chunks:
            whole.update(np.ascontiguousarray(values_of(chunk)).data)
    return whole.hexdigest()
