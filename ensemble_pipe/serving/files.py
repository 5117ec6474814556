"""Prediction of files, labelled ones too, block by block."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from ensemble_pipe.core import output_files
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.data_warning import DataWarning
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.core.storage import atomic_file
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.idx import is_idx
from ensemble_pipe.data.sources.paths import rename_hint
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.data.tables.strays import Strays
from ensemble_pipe.ensemble.members.external_files import cells_from
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.serving.carried import Carried
from ensemble_pipe.serving.column_texts import Uncertainty
from ensemble_pipe.serving.external import with_files
from ensemble_pipe.serving.inputs import open_input
from ensemble_pipe.serving.model import Ensemble

OUTPUT_ENDINGS = (".parquet", ".arrow", ".csv")
GROUP_ROWS, GROUP_BYTES = 1 << 16, 1 << 26  # of a row group of Parquet, at most
PREDICTED_ROWS, PREDICTED_NUMBERS = 1 << 14, 1 << 23  # rows and members' outputs at a time


def open_for(model: Ensemble, path: str, given: Sequence[str] | None = None) -> Rows:
    """Open a file, folder or pattern for a model, with files of external predictions beside it.

    Args:
        model: which says which columns are needed.
        path: of the rows.
        given: NAME=FILE of each member whose predictions come from another program.

    Raises:
        InputError: what is there cannot be used, or the predictions of such a member are missing.
    """
    rows = open_input(path, model.schema)
    return with_files(rows, given or (), model.members, model.schema)


def predict_file(
    model: Ensemble,
    rows: Rows,
    output: Path,
    *,
    keep: Sequence[str] = (),
    uncertainty: Uncertainty = "one",
) -> int:
    """Write the predictions for rows to Parquet, Arrow or CSV; return their number.

    Args:
        model: that predicts.
        rows: as `open_for` opens them.
        output: the file to write, of the format that its ending says.
        keep: columns of the input that stand before the predictions; without any the number of
            the row does, in `row`. Those of CSV stay as written in CSV; in the other formats
            numbers and dates have their types. Rows that are files of their own have their names,
            in `file`.
        uncertainty: "one" measure of it, or "all".

    Raises:
        DataError: a row cannot be predicted, or a column cannot be kept.
    """
    carried = Carried(rows, keep, typed=output.suffix != ".csv")
    with atomic_file(output) as beside:
        tables = _tables(model, rows, carried, uncertainty)
        first = next(tables)
        with _writer(beside, output.suffix, first.schema) as write:
            write(first)
            for table in tables:
                write(table)
    return rows.count


def require_output(path: Path, source: str) -> None:
    """Raise InputError where predictions cannot be written to `path`."""
    output_files.require_output(path, OUTPUT_ENDINGS, "predictions")
    if path.exists() and path.resolve().is_relative_to(Path(source).resolve()):
        raise DataError(f"{path}: is what is to be predicted; choose another file for the output")


def labelled_prediction(model: Ensemble, rows: Rows) -> tuple[Prediction, Array]:
    """Return the prediction of labelled rows, and their targets as base files hold them.

    Raises:
        DataError: there are no rows, or they have no labels, or one that the model does not know.
    """
    encoded = targets_of(model, rows)
    outputs = np.concatenate([outputs for _, outputs in outputs_of(model, rows)], axis=1)
    return model.of_outputs(outputs), encoded


def targets_of(model: Ensemble, rows: Rows) -> Array:
    """Return the targets of labelled rows, (R,) or (R, D), as base files hold them.

    Raises:
        DataError: there are no rows, or they have no labels, or one that the model does not know.
    """
    schema = model.schema
    if rows.count == 0:
        raise DataError(f"{rows.where}: has no rows, so nothing can be measured")
    for label in schema.target_names:
        if label not in rows.schema.names:
            raise DataError(f"{rows.where}: {_no_labels(rows, label, schema)}")
    targets = read_targets(rows, schema.roles, schema.classes)
    return schema.encode_targets(targets, schema.target_place(rows))


def _no_labels(rows: Rows, label: str, schema: Schema) -> str:
    """Return why there are no labels, and where they would stand."""
    path = Path(rows.where)
    if rows.file is not None:
        return "its images have no labels; put those of each class into a folder of its name"
    if is_idx(path):
        return (
            "no label file beside it; its name would be that of the images with labels-idx1 for "
            "images-idx3"
        )
    if path.suffix == ".npy":
        return "an NPY file has no labels; put both into an NPZ file"
    there, known = rows.schema.names, {*schema.source_columns, *schema.target_names}
    others = [name for name in there if name not in known]
    guess = rename_hint([label], others, one_is_new=False)
    return (
        f"has no column {quote(label)}, which holds the labels{guess} it has: {list_names(there)}"
    )


def _tables(
    model: Ensemble, rows: Rows, carried: Carried, uncertainty: Uncertainty
) -> Iterator[pa.Table]:
    """Yield the predictions, block by block."""
    for first, outputs in outputs_of(model, rows):
        table = model.as_table(outputs, uncertainty)
        carried.require_apart(table.column_names)
        for place, (name, values) in enumerate(carried.take(first, table.num_rows)):
            table = table.add_column(place, name, values)
        yield table


def outputs_of(model: Ensemble, rows: Rows) -> Iterator[tuple[int, Floats]]:
    """Yield (number of the first row, the members' outputs (K, n, O)), block by block.

    There is one block without rows where there are none.
    """
    if rows.count == 0:
        warnings.warn(f"{rows.where}: has no rows", DataWarning, stacklevel=2)
        names = list(model.columns)
        empty = pa.RecordBatch.from_arrays([pa.nulls(0)] * len(names), names)
        yield 0, model.block_outputs(empty, rows.place)
    outputs = len(model.members) * max(model.schema.target_count, len(model.schema.classes))
    most = max(1, min(PREDICTED_ROWS, PREDICTED_NUMBERS // max(1, outputs)))
    strays = Strays()
    for first, block in rows.blocks(model.columns, most):
        place, cells = rows.place_from(first), cells_from(rows, first)
        yield first, model.block_outputs(block, place, first, cells, strays)
    strays.warn()


@contextmanager
def _writer(path: Path, ending: str, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Give a function that appends tables to a file of the format that its ending says."""
    if ending == ".parquet":
        with _parquet_writer(path, schema) as write:
            yield write
    elif ending == ".csv":
        from pyarrow import csv

        with csv.CSVWriter(path, schema) as writer:
            yield writer.write_table
    else:
        with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, schema) as writer:
            yield writer.write_table


@contextmanager
def _parquet_writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Give a function that appends tables to a Parquet file, many tables to a row group."""
    from pyarrow import parquet

    # Fractions hardly ever repeat: a dictionary of them would be built and thrown away.
    repeating = [field.name for field in schema if not pa.types.is_floating(field.type)]
    held: list[pa.Table] = []
    with parquet.ParquetWriter(
        path, schema, write_page_checksum=True, use_dictionary=repeating
    ) as writer:

        def flush() -> None:
            writer.write_table(pa.concat_tables(held))
            held.clear()

        def write(table: pa.Table) -> None:
            held.append(table)
            rows, size = sum(one.num_rows for one in held), sum(one.nbytes for one in held)
            if rows >= GROUP_ROWS or size >= GROUP_BYTES:
                flush()

        yield write
        if held:
            flush()
