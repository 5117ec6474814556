"""Pipelines that train in a second: small networks, few epochs, few rows, no tracking."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

# Enough validation rows to fit a combiner to.
SPLITS = {"validation": 0.2, "stop": 0.1}


def small_settings(
    *, hidden: int, epochs: int, batch_size: int = 32, **sections: Any
) -> dict[str, Any]:
    """Return the settings of networks with one hidden layer; other sections come as they are."""
    return {
        "network": {"hidden": [hidden]},
        "training": {"epochs": epochs, "batch_size": batch_size},
        "tracking": {"mlflow": False},
        **sections,
    }


def noisy_columns(random: np.random.Generator, rows: int) -> dict[str, Any]:
    """Return numbers a, b and c, and z and its sign y, which follow from these but for noise."""
    values = {name: random.normal(size=rows) for name in "abc"}
    clear = values["a"] + values["b"] * values["c"] + 0.3 * random.normal(size=rows)
    return {**values, "z": clear, "y": np.array(["no", "yes"])[(clear > 0).astype(int)]}


def write_rows(folder: Path, columns: dict[str, Any]) -> Path:
    """Write a table of columns as an Arrow file; return its path."""
    table, path = pa.table(columns), folder / "rows.arrow"
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
    return path
