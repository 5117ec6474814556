"""Tables with named columns: Parquet, Arrow, CSV (gzipped too) and NPZ."""

import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.sources.raw import Raw, require_file
from ensemble_pipe.errors import DataError
from ensemble_pipe.settings import settings


@settings
class Table:
    """A file of rows with a named label column; all other columns are numeric features.

    Attributes:
        path: .parquet, .arrow, .csv, .csv.gz or .npz.
        label: the column to predict.
        ignore: columns to leave out, such as an identifier.
        test_path: a file with the official test part, where there is one.
    """

    source: Literal["table"] = "table"
    path: str
    label: str
    ignore: tuple[str, ...] = ()
    test_path: str | None = None

    def read(self) -> tuple[Raw, Raw | None]:
        """Return the rows, and those of `test_path`."""
        train = read_table(Path(self.path), label=self.label, ignore=self.ignore)
        if self.test_path is None:
            return train, None
        names = train.feature_names or None
        test = read_table(
            Path(self.test_path), label=self.label, ignore=self.ignore, features=names
        )
        return train, test


def read_table(
    path: Path,
    label: str | None,
    ignore: tuple[str, ...] = (),
    features: tuple[str, ...] | None = None,
) -> Raw:
    """Read a table.

    An NPZ file may hold uint8 images (R, H, W[, C]) instead of features; its other arrays, but for
    the label, are then left out.

    Args:
        path: the file; its ending says the format.
        label: the target column; None to read none.
        ignore: columns to leave out.
        features: read these columns, in this order; None for all but label and ignore.

    Raises:
        DataError: the file, a column or a value is not as it must be.
    """
    require_file(path)
    columns = _read_columns(path)
    _require_columns(path, columns, [*([label] if label else []), *ignore, *(features or ())])
    header_lines = 1 if ".csv" in path.suffixes else None
    names = features or tuple(n for n in columns if n != label and n not in ignore)
    if not names:
        raise DataError(f"{path}: has no feature columns beside {label!r}")
    targets = None if label is None else _target(path, label, columns[label], header_lines)
    images = [name for name in names if isinstance(columns[name], np.ndarray)]
    if images:
        return Raw(str(path), _one_array(path, columns, images), targets, target_name=label or "")
    inputs = np.empty((len(columns[names[0]]), len(names)), np.float64)
    for index, name in enumerate(names):
        inputs[:, index] = _feature(path, name, columns[name], header_lines)
    return Raw(str(path), inputs, targets, tuple(names), label or "", header_lines)


# What numpy, zipfile and pyarrow raise at damaged, encrypted or odd contents.
_NPZ_ERRORS = (
    ValueError, OSError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
    pa.ArrowException,
)  # fmt: skip

# A column is a pyarrow array, or an image array (R, H, W[, C]) of an NPZ file.
Columns = dict[str, Any]


def _read_columns(path: Path) -> Columns:
    if path.suffix == ".npz":
        return _read_npz(path)
    try:
        table = _read_arrow(path)
        names = table.column_names
    except UnicodeDecodeError:
        raise DataError(f"{path}: its column names are not UTF-8; save it as UTF-8") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} stands there more than once")
    return {name: table.column(name).combine_chunks() for name in names}


def _read_arrow(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.ParquetFile(path, page_checksum_verification=True).read()
    if path.suffix in (".arrow", ".feather"):
        with pa.memory_map(str(path)) as stream:
            return pa.ipc.open_file(stream).read_all()
    if ".csv" in path.suffixes:
        return _read_csv(path)
    raise DataError(
        f"{path}: unknown format {path.suffix!r}; "
        ".parquet, .arrow, .csv, .csv.gz and .npz can be read"
    )


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    try:
        return csv.read_csv(path)
    except pa.ArrowInvalid:
        # Only a single thread counts the rows, so that the message says which one is broken.
        return csv.read_csv(path, read_options=csv.ReadOptions(use_threads=False))


def _read_npz(path: Path) -> Columns:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: no NPZ file, or not all of one; numpy.savez writes such files")
    columns: Columns = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                for column, values in _npz_columns(path, name, arrays[name]).items():
                    if column in columns:
                        raise DataError(f"{path}: column {column!r} stands there more than once")
                    columns[column] = values
    except _NPZ_ERRORS as error:
        raise DataError(
            f"{path}: cannot be read ({error}); plain arrays of numbers or text are needed"
        ) from None
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise DataError(f"{path}: its arrays differ in length ({lengths})")
    return columns


def _npz_columns(path: Path, name: str, values: Any) -> Columns:
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: {name!r} in it is no array; numpy.savez writes such files")
    if values.ndim == 1:
        return {name: pa.array(values)}
    if values.ndim == 2:
        return {f"{name}{index}": pa.array(values[:, index]) for index in range(values.shape[1])}
    if values.ndim in (3, 4) and values.dtype == np.uint8:
        return {name: values}
    raise DataError(
        f"{path}: array {name!r} is {values.dtype} of shape {values.shape}; a column (R,), "
        "a block of columns (R, D) or uint8 images (R, H, W[, C]) can be read"
    )


def _require_columns(path: Path, columns: Columns, wanted: list[str]) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        shown = ", ".join(list(columns)[:12]) + (", ..." if len(columns) > 12 else "")
        raise DataError(f"{path}: has no column {missing[0]!r}; its columns are: {shown}")


def _one_array(path: Path, columns: Columns, names: list[str]) -> Array:
    if len(names) > 1:
        raise DataError(f"{path}: holds several arrays of images ({', '.join(names)}); keep one")
    images: Array = columns[names[0]]
    return images[..., None] if images.ndim == 3 else images


def _feature(path: Path, name: str, column: pa.Array, header_lines: int | None) -> Array:
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif _is_text(kind):
        row, value = _first_text(column)
        where = Raw(str(path), column, None, header_lines=header_lines).at(row)
        raise DataError(
            f"{where}, column {name!r}: {value!r} is not a number; features must be numeric, "
            "so convert the column or name it in `ignore`"
        )
    elif not _is_number(kind):
        raise DataError(f"{path}: column {name!r} is of type {kind}; features must be numeric")
    numbers: Array = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _first_text(column: pa.Array) -> tuple[int, str]:
    for row, value in enumerate(column.to_pylist()):
        try:
            float(value)
        except (TypeError, ValueError):
            if value is not None:
                return row, value
    return 0, column[0].as_py()


def _target(path: Path, name: str, column: Any, header_lines: int | None) -> Array:
    if isinstance(column, np.ndarray):
        raise DataError(f"{path}: label {name!r} holds images, not a value for each row")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if _is_text(column.type):
        missing |= np.array([value == "" for value in column.to_pylist()], bool)
    if missing.any():
        where = Raw(str(path), column, None, header_lines=header_lines).at(int(missing.argmax()))
        raise DataError(f"{where}, column {name!r}: the label is missing; remove such rows")
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    if not (_is_number(column.type) or _is_text(column.type) or len(column) == 0):
        raise DataError(
            f"{path}: label {name!r} is of type {column.type}; "
            "labels are numbers, text in UTF-8, or true and false"
        )
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
