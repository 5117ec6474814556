"""What an estimator takes as features: data frames, arrays and sparse matrices, as named columns.

A column is taken as `serving.in_memory` reads it at a prediction, so that the same data mean the
same to an estimator, to a run on a file, and to a model that is served.
"""

# ruff: noqa: N803, N806 (scikit-learn's X)

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote, row_name
from ensemble_pipe.data.sources.paths import require_unique
from ensemble_pipe.data.sources.rows import Rows, rows_of
from ensemble_pipe.data.tables.arrow_types import to_plain
from ensemble_pipe.serving.in_memory import (
    Columns,
    SparseMatrix,
    as_column,
    columns_of,
    is_sparse,
    sparse_parts,
)
from ensemble_pipe.serving.inputs import as_array

# Each column of a sparse matrix is an input of the networks, which are dense; so are base files.
MOST_SPARSE_COLUMNS = 20_000
MOST_DENSE_BYTES = 8 << 30


@dataclass(frozen=True)
class Features:
    """The features of R rows in memory, by name.

    Attributes:
        names: of the D columns, in order.
        values: those of the columns that can be used, as a table, or a sparse matrix (R, D).
        numbers: (R,) place of each row in what was passed, for messages.
        unusable: of the other columns, by name, why they cannot be.
    """

    names: tuple[str, ...]
    values: Any
    numbers: Integers
    unusable: dict[str, str]

    @property
    def count(self) -> int:
        return len(self.numbers)

    @property
    def usable(self) -> tuple[str, ...]:
        """Names of the columns that can be used, in order."""
        return tuple(name for name in self.names if name not in self.unusable)

    @property
    def rows(self) -> Rows:
        """The columns that can be used, as the rows of a source."""
        if isinstance(self.values, pa.Table):
            found = rows_of("X", self.values)
        else:
            schema = pa.schema([(name, pa.float64()) for name in self.names])
            found = replace(rows_of("X", schema.empty_table()), count=self.count, read=self._read)
        return replace(found, place=lambda row: f"X: {row_name(self.numbers[row])}")

    def take(self, places: Integers) -> "Features":
        """Return some of the rows, in the order of their places."""
        values = self.values
        chosen = values.take(places) if isinstance(values, pa.Table) else values[places]
        return replace(self, values=chosen, numbers=self.numbers[places])

    def ranks(self) -> Iterator[Array]:
        """Yield of each column the ranks (R,) of its values, equal where these are equal."""
        if not isinstance(self.values, pa.Table):
            dense = self.values.toarray()
            yield from (np.unique(column, return_inverse=True)[1] for column in dense.T)
            return
        for column in self.values.columns:
            try:
                encoded = to_plain(column.combine_chunks()).dictionary_encode()
            except pa.ArrowNotImplementedError:  # lists and the like, which are never learned from
                continue
            order = np.argsort(np.asarray(pc.array_sort_indices(encoded.dictionary)))
            places = encoded.indices.fill_null(len(order)).to_numpy(zero_copy_only=False)
            yield np.append(order, -1)[places]

    def _read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        places = [int(name[1:]) for name in names]
        whole = len(names) == len(self.names)
        matrix = self.values if whole else self.values[:, places]
        for _, part in sparse_parts(matrix):
            columns = [pa.array(np.ascontiguousarray(column)) for column in part.T]
            yield pa.RecordBatch.from_arrays(columns, list(names))


def read_features(estimator: Any, X: Any) -> Features:
    """Return the features that an estimator is fitted to; it is told their names and number.

    A column with a value that is no number, text or date cannot be used; a warning names it.

    Raises:
        DataError: two columns have one name, or a sparse matrix has too many.
        ValueError: there are no rows or columns, or X is no table.
    """
    X = _checked(estimator, X, least=2)
    if is_sparse(X):
        validate_data(estimator, X, skip_check_array=True)
        _require_few(X)
        return Features(_numbered(X), X, np.arange(X.shape[0]), {})
    columns = _columns(X)
    require_unique("X", columns.names)
    validate_data(estimator, X, skip_check_array=True)
    found, unusable = _usable(columns)
    if not found:
        raise DataError(f"X: no column can be used: {next(iter(unusable.values()))}")
    for name, why in unusable.items():
        warnings.warn(f"X: column {quote(name)} is left out: {why}", UserWarning, stacklevel=4)
    return Features(tuple(columns.names), pa.table(found), np.arange(len(X)), unusable)


def known_features(estimator: Any, X: Any, names: Sequence[str], used: Sequence[str]) -> Any:
    """Return rows to be predicted: the used columns as a table, or a sparse matrix as it is.

    Where X names its columns, and they are those of the fitted ones, they may stand in any order.
    Else scikit-learn's rules say whether X fits, and columns are taken by position.

    Args:
        estimator: that is fitted.
        X: the rows.
        names: of all columns that it was fitted to.
        used: of those that the model reads, in the order in which it does.

    Raises:
        ValueError: X has other columns, or is no table.
    """
    X = _checked(estimator, X, least=1)
    if is_sparse(X):
        validate_data(estimator, X, skip_check_array=True, reset=False)
        return X
    columns = _columns(X)
    require_unique("X", columns.names)
    if sorted(columns.names) != sorted(names):
        validate_data(estimator, X, skip_check_array=True, reset=False)
        columns = columns.named(names)
    return pa.table({name: as_column(columns.values(name), name) for name in used})


def _checked(estimator: Any, X: Any, least: int) -> Any:
    """Return a data frame as it is, a sparse matrix by rows, or anything else as an array (R, D).

    Raises:
        ValueError: X has fewer than `least` rows, or no columns, or is no table.
    """
    rules: dict[str, Any] = {
        "estimator": estimator, "input_name": "X", "ensure_min_samples": least
    }  # fmt: skip
    if is_sparse(X):
        finite: Any = "allow-nan"
        return check_array(
            X, accept_sparse="csr", dtype=np.float64, ensure_all_finite=finite, **rules
        )
    if isinstance(X, pa.RecordBatch):
        X = pa.Table.from_batches([X])
    if getattr(getattr(X, "dtype", None), "names", None) is not None:
        raise DataError("X: a structured array; pass a data frame, such as pandas.DataFrame(X)")
    if columns_of(X) is None:
        return check_array(as_array(X), dtype=None, ensure_all_finite=False, **rules)
    if not hasattr(X, "shape"):
        raise DataError(f"X: is a {type(X).__name__}; pass a data frame or an array (R, D)")
    rows, width = X.shape
    if rows < least or width < 1:
        lacking = f"{rows} sample(s)" if rows < least else f"{width} feature(s)"
        raise DataError(
            f"Found array with {lacking} (shape=({rows}, {width})) while a minimum of "
            f"{least if rows < least else 1} is required by {type(estimator).__name__}."
        )
    return X


def _columns(X: Any) -> Columns:
    found = columns_of(X)
    names = list(_numbered(X))
    if found is not None:
        return found.named(names) if found.are_places else found
    return Columns("X", names, lambda name: X[:, int(name[1:])])


def _numbered(X: Any) -> tuple[str, ...]:
    return tuple(f"x{place}" for place in range(X.shape[1]))


def _usable(columns: Columns) -> tuple[dict[str, pa.Array], dict[str, str]]:
    """Return the columns that can be used, and why others cannot, each by name."""
    found: dict[str, pa.Array] = {}
    unusable: dict[str, str] = {}
    for name in columns.names:
        try:
            found[name] = as_column(columns.values(name), name)
        except DataError as error:
            unusable[name] = str(error)
    return found, unusable


def _require_few(X: SparseMatrix) -> None:
    """Raise DataError where a sparse matrix would be too large as the input of networks."""
    rows, width = X.shape
    most = min(MOST_SPARSE_COLUMNS, MOST_DENSE_BYTES // (4 * rows))
    if width > most:
        raise DataError(
            f"X: a sparse matrix of {rows:,} rows and {width:,} columns, each of which would be an "
            f"input of every network; at most {most:,} are taken of so many rows: choose among "
            "them by sklearn.feature_selection.SelectKBest, or combine them by "
            "sklearn.decomposition.TruncatedSVD"
        )
