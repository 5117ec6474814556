"""The test rows that an ensemble is least sure of, as a table that MLflow's UI shows."""

import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths

MOST_ROWS = 1000
FILE = "uncertain_rows.json"
# By which the UI knows tables among a run's artifacts.
TAG, TABLES = "mlflow.loggedArtifacts", json.dumps([{"path": FILE, "type": "table"}])


def uncertain_rows(paths: RunPaths) -> dict[str, Any] | None:
    """Return rows of a file of predictions in the form of MLflow's tables, the least sure first.

    Those of classes are in order of `entropy`, those of numbers in order of `std`, of several
    targets the first one's.

    Returns:
        `columns`, and `data` row by row, 1,000 rows at most; None where nothing was predicted.

    Raises:
        CorruptFileError: the file is damaged.
    """
    path = paths.predictions("test")
    if not path.is_file():
        return None
    try:
        with pa.memory_map(str(path)) as stream:
            table = pa.ipc.open_file(stream).read_all()
            table.validate(full=True)  # before any offset in it is followed
            table = table.drop_columns(["outputs"])
            by = next(name for name in table.column_names if name.startswith(("entropy", "std")))
            places = pc.sort_indices(table, sort_keys=[(by, "descending")])[:MOST_ROWS]
            columns = [column.to_pylist() for column in table.take(places).columns]
    except (pa.ArrowException, OSError, KeyError, StopIteration) as error:
        raise CorruptFileError(f"{path}: no predictions of this run ({error})") from None
    rows = [list(map(_value, row)) for row in zip(*columns, strict=True)]
    return {"columns": table.column_names, "data": rows}


def _value(value: Any) -> Any:
    """Return a value that JSON has: of numbers that are not finite their names."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
