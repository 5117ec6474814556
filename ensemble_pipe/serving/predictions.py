"""Predictions of a part of the data, as a table, with every member's outputs."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.data.base import open_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.aggregator import predicted_numbers
from ensemble_pipe.ensemble.combiners import mean_probability
from ensemble_pipe.ensemble.uncertainty import uncertainty
from ensemble_pipe.storage import atomic_write


def prediction_columns(outputs: Floats, schema: Schema, noise: float) -> dict[str, Array]:
    """Return what an ensemble says of each row, from members' outputs (K, R, O).

    Returns:
        (R,) each: `prediction`, `probability_<class>` for each class and the uncertainties in nats;
        or `prediction`, `mean` and `std` in the target's units for a regression.
    """
    if schema.task == "regression":
        mean, deviation = predicted_numbers(outputs, schema, noise)
        return {"prediction": mean, "mean": mean, "std": deviation}
    probabilities = mean_probability(outputs)
    names = np.array(schema.classes)
    return {
        "prediction": names[probabilities.argmax(axis=1)],
        **{f"probability_{name}": probabilities[:, i] for i, name in enumerate(schema.classes)},
        **uncertainty(outputs),
    }


def write_predictions(
    path: Path, base: Path, outputs: Floats, schema: Schema, noise: float
) -> None:
    """Write the predictions for one base file, as Arrow.

    Columns: `row` in the source, `target`, those of `prediction_columns`, and `outputs`, a tensor
    (K, O) of the members' own outputs, which other combiners can start from.
    """
    part = open_base(base).table
    targets = part.column("target").to_numpy()
    if schema.task == "classification":
        target: Array = np.array(schema.classes)[targets]
    else:
        target = targets.astype(np.float64) * schema.target_deviation + schema.target_mean
    # A copy even where one member makes it needless: Arrow is strict about strides.
    by_row = np.array(outputs.transpose(1, 0, 2), order="C", copy=True)
    columns = {
        "row": part.column("row").to_numpy(),
        "target": target,
        **prediction_columns(outputs, schema, noise),
    }
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(by_row)
    whole = table.append_column("outputs", tensor)
    atomic_write(path, lambda beside: save_arrow(whole, beside))


def save_arrow(table: pa.Table, path: Path) -> None:
    """Write a table as an Arrow IPC file."""
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
