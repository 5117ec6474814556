"""The schema of tables: fitted to the training rows alone, however files are divided."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fitted_schemas import ROLES, ROWS, SCALES, TRAIN, fit, mixed, place, table
from pyarrow import parquet
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.scaling import Pca, RangeScale, Scale, Standardize, Zca


def test_features_are_standardised_over_the_training_rows_only() -> None:
    encoded = fit(table()).encode_inputs(batch_of(table()), place)
    assert encoded.dtype == np.float32
    assert encoded.flags.c_contiguous
    assert encoded[TRAIN, :2].mean(0) == pytest.approx(0, abs=1e-5)
    assert encoded[TRAIN, :2].std(0) == pytest.approx(1, abs=1e-5)
    assert encoded[~TRAIN, 0].min() > 100


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_other_rows_do_not_touch_what_is_fitted(scale: Scale) -> None:
    values, roles = mixed(ROWS)
    other = pa.concat_tables([values.slice(0, 40), mixed(ROWS, seed=1)[0].slice(40)])
    targets = values.column("y")
    other = other.set_column(other.column_names.index("y"), "y", targets)
    assert fit(values, "regression", roles, scale) == fit(other, "regression", roles, scale)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 1 / 3])
@pytest.mark.parametrize("scale", [Standardize(), RangeScale()], ids=lambda scale: scale.name)
def test_a_constant_becomes_zero_though_its_mean_is_rounded(value: float, scale: Scale) -> None:
    values = table_of(x=np.full(101, value), y=np.arange(101) % 2)
    every = np.ones(101, bool)
    schema = fitted(rows_of(values), Roles(("x",), "y"), "classification", every, scale)
    assert (schema.encode_inputs(batch_of(values), place) == 0).all()


def test_the_moments_are_those_of_the_whole_in_numpy() -> None:
    random = np.random.default_rng(3)
    values = random.normal([1e6, -3.0, 0.0], [1.0, 1e-6, 1e4], (30_000, 3))
    train = random.random(len(values)) < 0.7
    columns = table_of(a=values[:, 0], b=values[:, 1], c=values[:, 2], y=np.arange(30_000) % 2)
    schema = fitted(rows_of(columns), ROLES, "classification", train, Standardize())
    kept = values[train]
    assert schema.scaling.centers == pytest.approx(kept.mean(0), rel=1e-12)
    assert schema.scaling.units == pytest.approx(kept.std(0), rel=1e-9)
    assert schema.scaling.units[2] == pytest.approx(kept[:, 2].std(), rel=1e-12)
    ranged = fitted(rows_of(columns), ROLES, "classification", train, RangeScale())
    assert ranged.scaling.centers == tuple(kept.min(0))


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_the_division_of_files_changes_no_bit(scale: Scale, tmp_path: Path) -> None:
    values, roles = mixed(10_000)
    train = np.arange(10_000) % 5 > 0
    expected = fitted(rows_of(values), roles, "regression", train, scale)
    for groups in (70, 4096, 10_000):
        path = tmp_path / f"{groups}.parquet"
        parquet.write_table(values, path, row_group_size=groups)
        found = fitted(parquet_rows(path), roles, "regression", train, scale)
        assert found == expected


def parquet_rows(path: Path) -> Rows:
    file = parquet.ParquetFile(path)

    def read(names: Sequence[str]) -> Any:
        return file.iter_batches(batch_size=1000, columns=list(names))

    return Rows(str(path), file.metadata.num_rows, file.schema_arrow, read, place)


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_a_row_is_encoded_to_the_same_bits_in_any_block(scale: Scale) -> None:
    values, roles = mixed(1000)
    schema = fitted(rows_of(values), roles, "regression", np.ones(1000, bool), scale)
    whole = schema.encode_inputs(batch_of(values), place)
    for start, length in [(0, 1), (999, 1), (3, 256), (500, 257), (10, 0)]:
        part = schema.encode_inputs(batch_of(values.slice(start, length)), place)
        assert np.array_equal(part, whole[start : start + length])


def test_the_order_of_the_columns_and_further_ones_do_not_matter() -> None:
    schema = fit(table())
    values = table()
    other = values.select(["y", "c", "a", "b"]).append_column("new", pa.array(["?"] * ROWS))
    expected = schema.encode_inputs(batch_of(values), place)
    assert np.array_equal(schema.encode_inputs(batch_of(other), place), expected)


def test_a_missing_column_is_named_with_what_is_needed() -> None:
    message = r"^new\.csv: row 0 \(from 0\): has no column 'b'; its columns are: a, c, y$"
    with pytest.raises(DataError, match=message):
        fit(table()).encode_inputs(batch_of(table().drop_columns(["b"])), place)
    with pytest.raises(DataError, match=r"^t\.csv: has no column 'b'"):
        fit(table().drop_columns(["b"]))
    with pytest.raises(DataError, match=r"^f: has no column 'c'; its columns are: a, b$"):
        fit(table()).require_columns(["a", "b"], "f")
    with pytest.raises(DataError, match=r"^f: has no columns b, c; its columns are: a, d$"):
        fit(table()).require_columns(["a", "d"], "f")
    twice = pa.RecordBatch.from_arrays([pa.array([1.0])] * 4, names=["a", "b", "c", "a"])
    with pytest.raises(DataError, match="column 'a' is there more than once"):
        fit(table()).encode_inputs(twice, place)


def test_names_and_spans_say_what_each_feature_is() -> None:
    values, roles = mixed(ROWS)
    schema = fit(values, "regression", roles, RangeScale())
    assert schema.feature_names == ("plain", "mean", "median", "when", "place", "grade")
    assert schema.encoded_names == (
        *("plain", "mean", "median", "median missing", "when", "when missing"),
        *("place=east", "place=north", "place=south", "place missing", "grade"),
    )
    assert [(s.start, s.stop, s.kind) for s in schema.spans] == [
        (0, 1, "number"), (1, 2, "number"), (2, 4, "number"), (4, 6, "number"),
        (6, 10, "one_hot"), (10, 11, "code"),
    ]  # fmt: skip
    encoded = schema.encode_inputs(batch_of(values), place)[TRAIN].astype(np.float64)
    for span in schema.spans[:4]:
        assert span.mean == pytest.approx(encoded[:, span.start].mean(), abs=1e-4)
        assert span.deviation == pytest.approx(encoded[:, span.start].std(), abs=1e-4)


def test_mixed_numbers_come_first_and_the_rest_in_order() -> None:
    values, roles = mixed(ROWS)
    rest = ("median missing", "when missing", "place=east", "place=north", "place=south")
    schema = fit(values, "regression", roles, Pca(components=2))
    names = ("component 1", "component 2", *rest, "place missing", "grade")
    assert schema.encoded_names == names
    assert [(s.start, s.stop, s.kind) for s in schema.spans] == [
        (0, 1, "number"), (1, 2, "number"), (2, 3, "one_hot"), (3, 4, "one_hot"),
        (4, 8, "one_hot"), (8, 9, "code"),
    ]  # fmt: skip
    whitened = fit(values, "regression", roles, Zca())
    assert whitened.encoded_names == (*values.column_names[:4], *names[2:])


def test_encoded_tables_are_not_scaled_again() -> None:
    scale, shift = fit(table()).input_scale()
    assert np.array_equal(scale, np.ones(3))
    assert np.array_equal(shift, np.zeros(3))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table().slice(0, 0), r"^t\.csv: has no rows$"),
        (table().select(["y"]), r"^t\.csv: has no columns a, b, c; its columns are: y"),
    ],
)
def test_what_cannot_be_fitted_is_refused(rows: pa.Table, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(rows)
    with pytest.raises(DataError, match="the training part has no rows"):
        fitted(rows_of(table()), ROLES, "classification", ~TRAIN & TRAIN, Standardize())
