"""Columns whose values lie close together for their size, are very small, or are constant."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fitted_schemas import fit_images, images, place
from hypothesis import given
from hypothesis import strategies as st
from narrow_values import FEW, INSTANT, PLACES, ROWS, TICKS
from pyarrow import csv, parquet
from tables_as_rows import batch_of, fitted, rows_of, table_of

import ensemble_pipe
from ensemble_pipe import EnsembleClassifier
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables import dates
from ensemble_pipe.data.tables.columns import DateRule, NumberRule, Roles
from ensemble_pipe.data.tables.differences import of_integers
from ensemble_pipe.data.tables.scaling import Pca, RangeScale, Scale, Standardize, Zca

# A column of each kind, and the exact values, of which float64 holds some to few digits or to none.
COLUMNS: dict[str, tuple[pa.Array, list[Any]]] = {
    "nanoseconds": (pa.array(INSTANT + TICKS), (INSTANT + TICKS).tolist()),
    "a few nanoseconds": (pa.array(INSTANT + FEW), (INSTANT + FEW).tolist()),
    "negative": (pa.array(-INSTANT - FEW), (-INSTANT - FEW).tolist()),
    "unsigned": (
        pa.array([2**64 - 9 + int(n) for n in FEW], pa.uint64()),
        [2**64 - 9 + int(n) for n in FEW],
    ),
    "neighbours of 1": (pa.array(1 + 2.0**-52 * FEW), (1 + 2.0**-52 * FEW).tolist()),
    "float32": (pa.array((2.0**24 + 2 * FEW).astype(np.float32)), (2.0**24 + 2 * FEW).tolist()),
    "near the largest": (pa.array(3e38 * (1 + 1e-14 * FEW)), (3e38 * (1 + 1e-14 * FEW)).tolist()),
    "very small": (pa.array(1e-300 * PLACES), (1e-300 * PLACES).tolist()),
    "smallest": (pa.array(5e-324 * 1000 * FEW), (5e-324 * 1000 * FEW).tolist()),
    "dates": (
        pa.array(INSTANT + FEW).cast(pa.timestamp("ns")),
        [Fraction(INSTANT + int(n), 10**9) for n in FEW],
    ),
    "decimals": (
        pa.array([Decimal(INSTANT + int(n)).scaleb(-9) for n in FEW], pa.decimal128(38, 9)),
        [Fraction(INSTANT + int(n), 10**9) for n in FEW],
    ),
}
KINDS = list(COLUMNS)


def exactly_standardised(values: list[Any]) -> Floats:
    exact = [Fraction(value) for value in values]
    mean = sum(exact, Fraction(0)) / len(exact)
    width = max(exact) - min(exact)
    shares = np.array([float((value - mean) / width) for value in exact])
    return np.asarray(shares / np.sqrt(np.square(shares).mean()))


def exactly_in_range(values: list[Any]) -> Floats:
    exact = [Fraction(value) for value in values]
    low, width = min(exact), max(exact) - min(exact)
    return np.array([float((value - low) / width) for value in exact])


def schema_of(column: pa.Array, scale: Scale, batch: int = 1000, missing: Any = "error") -> Schema:
    rule = (DateRule if pa.types.is_timestamp(column.type) else NumberRule)(missing=missing)
    rows = rows_of(table_of(x=column, y=np.arange(len(column)) % 2), batch)
    every = np.ones(len(column), bool)
    return fitted(rows, Roles(("x",), "y", rules={"x": rule}), "classification", every, scale)


def encoded(schema: Schema, column: pa.Array) -> Array:
    return schema.encode_inputs(batch_of(table_of(x=column)), place)[:, 0]


# Narrow columns


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_is_standardised_by_its_real_deviation(kind: str) -> None:
    column, values = COLUMNS[kind]
    found = encoded(schema_of(column, Standardize()), column)
    digits = 1e-3 if kind == "smallest" else 1e-5  # its deviation has few, so near to 0
    assert found == pytest.approx(exactly_standardised(values), rel=digits, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_range_maps_its_ends_however_near_they_are(kind: str) -> None:
    column, values = COLUMNS[kind]
    found = encoded(schema_of(column, RangeScale()), column)
    assert found == pytest.approx(exactly_in_range(values), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("scale", [Pca(epsilon=0), Zca(epsilon=0)], ids=lambda scale: scale.name)
def test_whitened_narrow_columns_are_uncorrelated(scale: Scale) -> None:
    table = table_of(a=COLUMNS["nanoseconds"][0], b=PLACES + FEW, c=COLUMNS["very small"][0])
    rows = rows_of(table.append_column("y", pa.array(np.arange(ROWS) % 2)))
    roles = Roles(("a", "b", "c"), "y")
    schema = fitted(rows, roles, "classification", np.ones(ROWS, bool), scale)
    found = schema.encode_inputs(batch_of(table), place).astype(np.float64)
    assert np.cov(found.T, bias=True) == pytest.approx(np.eye(3), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [Standardize(), RangeScale()], ids=lambda scale: scale.name)
def test_the_division_of_the_rows_changes_no_bit(kind: str, scale: Scale) -> None:
    column = COLUMNS[kind][0]
    rule: Any = DateRule() if kind == "dates" else NumberRule()
    found = []
    for batches in ([ROWS], [1, 199, 200], [150] * 2 + [100]):
        ends = np.cumsum(batches).tolist()
        parts = [column.slice(e - n, n) for e, n in zip(ends, batches, strict=True)]
        values = pa.chunked_array(parts)
        rows = rows_of(pa.table({"x": values, "y": np.arange(ROWS) % 2}))
        roles = Roles(("x",), "y", rules={"x": rule})
        found.append(fitted(rows, roles, "classification", np.ones(ROWS, bool), scale))
    assert found[0].columns == found[1].columns == found[2].columns
    whole = encoded(found[0], column)
    pieces = [encoded(found[0], column.slice(start, 100)) for start in range(0, ROWS, 100)]
    assert np.array_equal(whole, np.concatenate(pieces))


def test_missing_values_are_filled_beside_the_differences() -> None:
    holes = np.arange(ROWS) % 3 == 0
    column = pa.array(INSTANT + FEW, mask=holes)
    present = FEW[~holes]
    for missing, filled in [("mean", present.mean()), ("median", np.median(present))]:
        found = encoded(schema_of(column, RangeScale(), missing=missing), column)
        width = present.max() - present.min()
        assert found[0] == pytest.approx((filled - present.min()) / width, rel=1e-6)
        assert found[~holes] == pytest.approx((present - present.min()) / width, rel=1e-6)
    far = encoded(schema_of(column, RangeScale(), missing=0.0), column)
    assert (far[holes] == 0).all()
    assert far[~holes] == pytest.approx(1)


def test_values_far_from_the_training_part_keep_their_distance() -> None:
    schema = schema_of(COLUMNS["a few nanoseconds"][0], Standardize())
    (unit,) = schema.scaling.units
    others = [INSTANT + 10**6, -(2**63), 2**63 - 1]
    expected = [(other - INSTANT - FEW.mean()) / unit for other in others]
    assert encoded(schema, pa.array(others)) == pytest.approx(expected, rel=1e-5)
    assert encoded(schema, pa.array([float(INSTANT)])) == pytest.approx(-11 / unit, abs=20 / unit)


def test_a_model_written_without_offsets_is_read() -> None:
    schema = schema_of(pa.array(PLACES), Standardize())
    value = schema.to_json()
    del value["columns"][0]["offset"]
    assert Schema.from_json(value, "schema.json") == schema


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.integers(-(2**64) + 1, 2**64 - 1).map(lambda offset: int(np.float64(offset) / 2)),
)
def test_integers_less_an_offset_are_rounded_once(values: list[int], offset: int) -> None:
    expected = [float(value - offset) for value in values]
    assert of_integers(np.array(values), offset).tolist() == expected
    above = [value + 2**63 for value in values]
    expected = [float(value - offset) for value in above]
    assert of_integers(np.array(above, np.uint64), offset).tolist() == expected


@pytest.mark.parametrize("fraction", ["", ".5", ".123456", ".1234567", ".123456789", ".000000001"])
def test_dates_in_text_are_read_to_the_nanosecond(fraction: str) -> None:
    text = f"2026-02-28T12:30:00{fraction}"
    found = dates.seconds(pa.array([text, None]), "x", place, offset=1772281800.0)
    instant = np.array([text]).astype("datetime64[ns]")
    assert found[0] == float(fraction or 0)
    assert np.isnan(found[1])
    assert dates.seconds(pa.array(instant), "x", place, offset=1772281800.0)[0] == found[0]


# Constants


CONSTANTS: dict[str, tuple[pa.Array, pa.Array]] = {
    "zero": (pa.array([0.0] * 101), pa.array([0.0, 1.0, -3e38])),
    "a third": (pa.array([1 / 3] * 101), pa.array([1 / 3, 1.0, 3e38])),
    "nanoseconds": (pa.array([INSTANT] * 101), pa.array([INSTANT, INSTANT + 1, 0])),
    "date": (
        pa.array([INSTANT // 10**8 * 10**8] * 101).cast(pa.timestamp("ns")),
        pa.array([0, INSTANT]).cast(pa.timestamp("ns")),
    ),
    "decimal": (pa.array([Decimal("0.1")] * 101), pa.array([Decimal("0.1"), Decimal("7.5")])),
    "true": (pa.array([True] * 101), pa.array([True, False])),
    "one value and holes": (
        pa.array([0.1] * 100 + [None]),
        pa.array([0.1, None, 5.0]),
    ),
}


@pytest.mark.parametrize("kind", CONSTANTS)
@pytest.mark.parametrize(
    ("scale", "value"),
    [(Standardize(), 0.0), (RangeScale(), 0.0), (RangeScale(low=-1, high=3), -1.0), (Zca(), 0.0)],
    ids=["standardize", "range", "range from -1", "zca"],
)
def test_a_constant_is_the_same_in_training_and_whatever_it_is_later(
    kind: str, scale: Scale, value: float
) -> None:
    column, others = CONSTANTS[kind]
    missing: Any = "mean" if column.null_count else "error"
    if isinstance(scale, Zca):  # which needs another column to mix it with
        rule: Any = (DateRule if kind == "date" else NumberRule)(missing=missing)
        table = table_of(x=column, z=np.arange(101.0), y=np.arange(101) % 2)
        roles = Roles(("x", "z"), "y", rules={"x": rule})
        schema = fitted(rows_of(table), roles, "classification", np.ones(101, bool), scale)
        later = table_of(x=others, z=np.zeros(len(others)))
        assert (schema.encode_inputs(batch_of(later), place)[:, 0] == value).all()
        return
    schema = schema_of(column, scale, missing=missing)
    assert (encoded(schema, column) == value).all()
    assert (encoded(schema, others) == value).all()


def test_a_constant_channel_of_images_is_zero_whatever_it_is_later() -> None:
    pixels = images(2)
    pixels[..., 1] = 200
    scale, shift = fit_images(pixels, Standardize()).input_scale()
    assert (scale[..., 1] * 7 + shift[..., 1] == 0).all()


def test_a_nearly_constant_channel_is_divided_by_its_deviation() -> None:
    pixels = images(1)
    pixels[...] = 200
    pixels[0, 0, 0, 0] = 201
    schema = fit_images(pixels, Standardize())
    trained = pixels[:40].astype(np.float64)
    assert schema.scaling.units == pytest.approx((trained.std(),), rel=1e-12)


# From files to predictions


PIPELINE = """
name: narrow
data: {source: table, path: PATH, label: y}
splits: {validation: 0.15, test: 0.25}
network: {name: mlp, hidden: [16]}
training: {epochs: 60, batch_size: 32, optimizer: {name: adam, learning_rate: 0.02}}
ensemble: {learners: 1}
tracking: {mlflow: false}
"""


@pytest.mark.parametrize(
    ("ending", "ticks"),
    [("csv", TICKS), ("parquet", TICKS), ("csv", np.zeros(ROWS, np.int64))],
    ids=["csv", "parquet", "constant"],
)
def test_a_column_of_timestamps_hides_no_other(tmp_path: Path, ticks: Array, ending: str) -> None:
    table = table_of(a=PLACES, t=INSTANT + ticks, y=np.where(PLACES > 0, "above", "below"))
    path = tmp_path / f"rows.{ending}"
    (csv.write_csv if ending == "csv" else parquet.write_table)(table, path)
    pipeline = tmp_path / "narrow.yaml"
    pipeline.write_text(PIPELINE.replace("PATH", str(path)))
    result = ensemble_pipe.run(pipeline, output=tmp_path / "runs", inline=True)
    assert result.metrics["test/accuracy"] > 0.95
    model = ensemble_pipe.load(result.run_dir)
    features, labels = table.select(["a", "t"]), np.array(table.column("y").to_pylist())
    by_table = model.predict_proba(features)
    assert np.array_equal(by_table, model.predict_proba(features.to_pandas()))
    assert (model.predict(features) == labels).mean() > 0.95


@pytest.mark.parametrize("told", ["by the narrow column", "by another"])
def test_an_estimator_learns_beside_and_from_a_narrow_column(told: str) -> None:
    inputs = np.stack([PLACES, (INSTANT + TICKS).astype(np.float64)], axis=1)
    y = TICKS > 1_500_000 if told == "by the narrow column" else PLACES > 0
    model = EnsembleClassifier(
        learners=1, hidden=[16], epochs=60, learning_rate=0.02, random_state=0
    ).fit(inputs, y)
    assert model.score(inputs, y) > 0.95
