"""Predictions of a part of the data, as a table, with every member's outputs."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.documents import read_json
from ensemble_pipe.core.errors import CorruptFileError, InputError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.core.storage import Manifest, atomic_write, check_sums, sums_of, write_json
from ensemble_pipe.data.base import open_base, sums_path
from ensemble_pipe.ensemble.aggregator import Measured
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.serving.column_texts import CHOICES, Uncertainty

SEPARATOR = " | "  # between the classes of a set


# The one measure of uncertainty of each task, and the coverage of the interval beside the mean.
ONE = {"classification": "entropy", "regression": "std"}
COVERAGE, LOW, HIGH = 0.9, "low_90", "high_90"


def prediction_columns(
    prediction: Prediction, uncertainty: Uncertainty = "one"
) -> dict[str, Array]:
    """Return the predictions of an ensemble, as columns (R,).

    Args:
        prediction: of R rows.
        uncertainty: "one" measure of it, or "all", see `column_texts`.

    Returns:
        For classes `prediction`, `probability_<class>` for each class, and `entropy`; for numbers
        `prediction`, `mean`, the ends `low_90` and `high_90` of the interval that covers 90%, and
        `std`, in the target's units. Of several targets each of these once, as `mean_<target>`. Of
        "all" the further measures. With a stated coverage also the classes of the conformal `set`
        and its `set_size`, or the ends `low` and `high` of the interval.

    Raises:
        InputError: `uncertainty` is neither.
    """
    if uncertainty not in CHOICES:
        raise InputError(f"uncertainty: must be 'one' or 'all', got {quote(uncertainty)}")
    schema, measures = prediction.schema, prediction.uncertainty()
    if uncertainty == "one":
        measures = {ONE[schema.task]: measures[ONE[schema.task]]}
    if schema.task == "regression":
        mean = prediction.mean
        low, high = prediction.interval_of(COVERAGE)
        numbers = {"prediction": mean, "mean": mean, LOW: low, HIGH: high, **measures}
        if prediction.conformal:
            numbers["low"], numbers["high"] = prediction.interval
        return _by_target(numbers, schema.target_names)
    probabilities = prediction.probabilities
    names = np.array(schema.classes)
    return {
        "prediction": names[prediction.decided],
        **{f"probability_{name}": probabilities[:, i] for i, name in enumerate(schema.classes)},
        **measures,
        **(_set_columns(prediction) if prediction.conformal else {}),
    }


def _set_columns(prediction: Prediction) -> dict[str, Array]:
    names = np.array([_in_set(str(name)) for name in prediction.schema.classes])
    sets = prediction.sets
    # By the classes in it, for there are fewer kinds of sets than rows.
    kinds, kind_of = np.unique(sets, axis=0, return_inverse=True)
    texts = np.array([SEPARATOR.join(names[kind]) for kind in kinds], dtype=str)
    return {"set": texts[kind_of.reshape(-1)], "set_size": sets.sum(axis=1)}


def _in_set(name: str) -> str:
    """Return the name of a class as it stands in a set: quoted where it could be taken for two."""
    return json.dumps(name, ensure_ascii=False) if SEPARATOR in name else name


def _by_target(columns: dict[str, Floats], names: tuple[str, ...]) -> dict[str, Array]:
    if len(names) == 1:
        return {column: values[:, 0] for column, values in columns.items()}
    return {
        f"{column}_{name}": values[:, index]
        for column, values in columns.items()
        for index, name in enumerate(names)
    }


def write_predictions(path: Path, base: Path, measured: Measured) -> None:
    """Write the predictions for one base file, as Arrow, and their sum as JSON beside them.

    Columns: `row` in the source, `target` (several: `target_<name>`), those of
    `prediction_columns`, and `outputs`, a tensor (K, O) of the members' own outputs, which other
    combiners can start from.
    """
    prediction = measured.prediction
    schema = prediction.schema
    targets = schema.decode_targets(measured.targets)
    rows = open_base(base).table.column("row").to_numpy()
    columns = {
        "row": rows if measured.rows is None else rows[measured.rows],
        **(
            {"target": targets}
            if schema.task == "classification"
            else _by_target({"target": targets}, schema.target_names)
        ),
        **prediction_columns(prediction),
    }
    # A copy even where one member makes it needless: Arrow is strict about strides.
    by_row = np.array(prediction.outputs.transpose(1, 0, 2), order="C", copy=True)
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(by_row)
    whole = table.append_column("outputs", tensor)
    sums_path(path).unlink(missing_ok=True)  # never that of the file before
    atomic_write(path, lambda beside: save_arrow(whole, beside))
    write_json(sums_path(path), {"sums": sums_of(path.parent, [path.name])})


def read_predictions(path: Path) -> pa.Table:
    """Read what `write_predictions` wrote; earlier versions wrote no sum beside it.

    Raises:
        CorruptFileError: it does not match its sum, or is no Arrow file.
    """
    beside = sums_path(path)
    if beside.exists():
        sums = read_json(beside, Manifest).sums
        if list(sums) != [path.name]:
            raise CorruptFileError(f"{beside}: sums: must be that of {path.name} alone")
        check_sums(path.parent, sums)
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate(full=True)  # before any offset in it is followed
    except (pa.ArrowException, OSError) as error:
        raise CorruptFileError(f"{path}: cannot be read as predictions ({error})") from None
    return table


def save_arrow(table: pa.Table, path: Path) -> None:
    """Write a table as an Arrow IPC file."""
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
