"""Prediction from a file to a file, and metrics on labelled files."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.idx import labels_beside, read_images, read_labels
from ensemble_pipe.data.sources.raw import Raw, check_rows, require_file
from ensemble_pipe.data.sources.table import read_table
from ensemble_pipe.ensemble.aggregator import Metrics, measure
from ensemble_pipe.errors import DataError
from ensemble_pipe.serving.model import Ensemble
from ensemble_pipe.serving.predictions import save_arrow
from ensemble_pipe.storage import atomic_write

OUTPUT_ENDINGS = (".parquet", ".arrow", ".csv")


def read_input(path: Path, schema: Schema, labelled: bool) -> Raw:
    """Read rows for a model: Parquet, Arrow, CSV, NPY, NPZ or IDX.

    Args:
        path: the file.
        schema: of the model; says which columns are needed, others are left out.
        labelled: whether the target is needed too.

    Raises:
        DataError: the file does not hold what the model needs.
    """
    require_file(path)
    if re.search(r"-idx\d-ubyte(\.gz)?$|\.idx$", path.name):
        raw = _read_idx(path, labelled)
    elif path.suffix == ".npy":
        raw = _read_npy(path, schema, labelled)
    else:
        label = schema.target_name if labelled else None
        raw = read_table(path, label, features=schema.feature_names or None)
    if raw.is_image != schema.is_image:
        kinds = {True: "images", False: "features"}
        raise DataError(
            f"{path}: holds {kinds[raw.is_image]}, but the model needs {kinds[schema.is_image]}"
        )
    check_rows(raw)
    return raw


def predict_file(model: Ensemble, raw: Raw, output: Path) -> int:
    """Write the predictions for `raw` to Parquet, Arrow or CSV; return the number of rows."""
    table = model.table(raw)
    atomic_write(output, lambda beside: _write_table(table, beside, output.suffix))
    return int(table.num_rows)


def require_output(path: Path) -> None:
    """Raise DataError where predictions cannot be written to `path`."""
    if path.suffix not in OUTPUT_ENDINGS:
        raise DataError(
            f"{path}: predictions are written as {', '.join(OUTPUT_ENDINGS)}; choose such an ending"
        )
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: its folder cannot be made ({error.strerror})") from None


def evaluate(model: Ensemble, raw: Raw) -> Metrics:
    """Return the metrics of an ensemble on labelled rows."""
    targets = model.schema.encode_targets(raw)
    return measure(model.outputs(raw), targets, model.schema, model.noise)


def _read_idx(path: Path, labelled: bool) -> Raw:
    images = read_images(path)
    if not labelled:
        return Raw(str(path), images, None)
    labels = labels_beside(path)
    if labels is None:
        raise DataError(
            f"{path}: no label file beside it; its name would be that of the images with "
            "labels-idx1 for images-idx3"
        )
    return Raw(str(path), images, read_labels(labels, len(images)))


def _read_npy(path: Path, schema: Schema, labelled: bool) -> Raw:
    if labelled:
        raise DataError(f"{path}: an NPY file has no labels; put both into an NPZ file")
    try:
        with open(path, "rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if array.ndim in (3, 4):
        return Raw(str(path), array[..., None] if array.ndim == 3 else array, None)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise DataError(f"{path}: {array.dtype} of shape {array.shape}; (R, D) numbers are needed")
    return Raw(str(path), array.astype(np.float64), None, schema.feature_names)


def _write_table(table: pa.Table, path: Path, ending: str) -> None:
    if ending == ".parquet":
        from pyarrow import parquet

        parquet.write_table(table, path, write_page_checksum=True)
    elif ending == ".csv":
        from pyarrow import csv

        csv.write_csv(table, path)
    else:
        save_arrow(table, path)
