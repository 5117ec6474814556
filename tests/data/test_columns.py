"""The rules of columns: what is read as what, what is refused, and the line that mends it."""

import contextlib
import datetime
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from conftest import shared
from one_column import encode, fit, place
from pydantic import TypeAdapter
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.core.errors import ConfigError, DataError
from ensemble_pipe.data.tables.columns import CategoryRule, ColumnRule, DateRule, NumberRule, Roles
from ensemble_pipe.data.tables.features import NumberColumn
from ensemble_pipe.data.tables.scaling import Standardize

DAY = 86_400.0
NAN = float("nan")
NUMBER, DATE, CATEGORY = NumberRule(), DateRule(), CategoryRule()


def raw_numbers(values: Any, rule: Any) -> list[float]:
    """Return what a column is read as, before it is scaled."""
    schema = fit(values, rule, scale=Standardize())
    (center,), (unit,) = schema.scaling.centers, schema.scaling.units
    encoded = encode(schema, values)[:, 0].astype(np.float64)
    return [float(value) * unit + center for value in encoded]


# Numbers


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 1, 3, 0], pa.int8()),
        pa.array([0, 1, 3, 0], pa.uint64()),
        pa.array([0, 1, 3, 0], pa.float16()),
        pa.array([0, 1, 3, 0], pa.float32()),
        pa.array([Decimal("0.00"), Decimal("1.00"), Decimal("3.00"), Decimal("0.00")]),
        pa.array([0.0, 1.0, 3.0, 0.0]).dictionary_encode(),
        pa.array([9, 0, 1, 3, 0, 9])[1:5],
    ],
    ids=lambda values: str(values.type),
)
def test_every_type_of_numbers_is_read(values: pa.Array) -> None:
    assert raw_numbers(values, NUMBER) == pytest.approx([0, 1, 3, 0], abs=1e-6)


@pytest.mark.parametrize(
    "values", [["0", " 1 ", "+3", "0e5"], ["false", "True", "3.0", "0"]], ids=str
)
def test_text_that_reads_as_a_number_is_that_number(values: Any) -> None:
    assert raw_numbers(values, NUMBER) == pytest.approx([0, 1, 3, 0], abs=1e-6)


def test_true_is_one() -> None:
    assert raw_numbers([True, False, True, False], NUMBER) == pytest.approx([1, 0, 1, 0])


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, None, 1, 4, None], pa.int64()),
        pa.array([0, None, 1, 4, None], pa.float32()),
        pa.array([0.0, NAN, 1.0, 4.0, NAN]),
        pa.array([Decimal(0), None, Decimal(1), Decimal(4), None]),
        pa.array([0, None, 1, 4, None]).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
@pytest.mark.parametrize(("missing", "fill"), [("mean", 5 / 3), ("median", 1.0), (-2.0, -2.0)])
def test_a_missing_value_becomes_what_the_rule_says(
    values: pa.Array, missing: Any, fill: float
) -> None:
    rule = NumberRule(missing=missing, indicator=True)
    schema = fit(values, rule)
    (column,) = schema.columns
    assert isinstance(column, NumberColumn)
    assert column.fill == pytest.approx(fill, rel=1e-15)
    encoded = encode(schema, values)
    assert encoded[:, 1].tolist() == [0, 1, 0, 0, 1]
    assert encoded[:, 0].min() == 0
    assert encoded[:, 0].max() == 1
    assert len(set(encoded[[1, 4], 0].tolist())) == 1


def test_the_moments_are_those_of_the_filled_column() -> None:
    values = [1.0, None, 2.0, 30.0, None, NAN]
    schema = fit(values, NumberRule(missing="median"), scale=Standardize())
    filled = np.array([1.0, 2.0, 2.0, 30.0, 2.0, 2.0])
    assert schema.scaling.centers == pytest.approx((filled.mean(),), rel=1e-14)
    assert schema.scaling.units == pytest.approx((filled.std(),), rel=1e-14)


def test_only_training_values_are_taken_for_a_fill() -> None:
    train = [True, True, True, False, False]
    for rule in (NumberRule(missing="mean"), NumberRule(missing="median")):
        (column,) = fit([1.0, 3.0, None, 100.0, 100.0], rule, train).columns
        assert isinstance(column, NumberColumn)
        assert column.fill == 2.0


def test_an_empty_column_of_another_file_is_missing_values() -> None:
    schema = fit([0.0, 1.0, 0.5], NumberRule(missing=0.5))
    for values in (pa.nulls(2), pa.array([None, None], pa.string()), pa.array(["", ""])):
        assert encode(schema, values).tolist() == [[0.5], [0.5]]


# Dates

DAYS = [datetime.date(1970, 1, 1), datetime.date(1969, 12, 31), datetime.date(1970, 1, 4)]


@pytest.mark.parametrize(
    "values",
    [
        pa.array(DAYS, pa.date32()),
        pa.array(DAYS, pa.date64()),
        *(pa.array(DAYS).cast(pa.timestamp("s")).cast(pa.timestamp(u)) for u in ("ms", "us", "ns")),
        pa.array(DAYS).cast(pa.timestamp("s")).cast(pa.timestamp("us", "Asia/Tokyo")),
        pa.array(["1970-01-01", "1969-12-31T00:00", "1970-01-04 00:00:00.000000001"]),
        pa.array(["1970-01-01T00:00Z", "1969-12-31", "1970-01-04T09:00:00+09:00"]),
        pa.array([str(day) for day in DAYS]).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_every_type_of_dates_is_seconds_since_1970(values: pa.Array) -> None:
    assert raw_numbers(values, DATE) == pytest.approx([0, -DAY, 3 * DAY], abs=0.1)


def test_a_time_has_the_same_bits_in_any_unit() -> None:
    ticks = pa.array([1_700_000_000_123_456, 1_600_000_000_654_321])
    micro = ticks.cast(pa.timestamp("us"))
    text = micro.cast(pa.string())
    found = [
        fit(values, DATE, scale=Standardize()).scaling
        for values in (micro, micro.cast(pa.timestamp("ns")), text)
    ]
    assert found[0] == found[1] == found[2]


def test_a_missing_date_follows_its_rule() -> None:
    schema = fit(["1970-01-01", None, "1970-01-02"], DateRule(missing="mean", indicator=True))
    assert encode(schema, ["1970-01-01", "", None])[:, 1].tolist() == [0, 1, 1]
    assert encode(schema, ["", "1970-01-02"])[:, 0].tolist() == [0.5, 1.0]
    assert encode(schema, pa.array([NAN, NAN]))[:, 1].tolist() == [1, 1]


# What is refused


STRICT_NUMBER, STRICT_DATE = NumberRule(missing="error"), DateRule(missing="error")
STRICT_CATEGORY = CategoryRule(missing="error")


@pytest.mark.parametrize(
    ("rule", "good", "bad", "message"),
    [
        (STRICT_NUMBER, [0.0, 1.0], [1.0, NAN], "a missing .*`columns: {x: {missing: mean}}`"),
        (STRICT_NUMBER, [0.0, 1.0], [1.0, None], "a missing value or NaN"),
        (NUMBER, [0.0, 1.0], [1.0, np.inf], "infinity; every feature must be a finite number"),
        (NumberRule(missing=0.0), [0.0, 1.0], [NAN, -np.inf], "infinity"),
        (NUMBER, [0.0, 1.0], [1.0, -1e39], r"-1e\+39, too large for float32"),
        (NUMBER, [0, 1], ["1", "abc"], "'abc' is not a number; .*{x: {kind: category}}`, or"),
        (NUMBER, [0, 1], [None, "2020-01-31"], "'2020-01-31' is .* {kind: date}}`, or "),
        (STRICT_NUMBER, [0, 1], ["3", "NA"], "a missing value or NaN"),
        (NUMBER, [0, 1], ["3", "9" * 20], "9{20} is too large for an integer of 64 bits"),
        (NUMBER, [0, 1], [None, DAYS[0]], "1970-01-01 is a date, not a number; .*{kind: date}"),
        (NUMBER, [0, 1], [[1], [2]], r"^new.csv: row 0 .*is of type list.*; numbers are needed"),
        (DATE, DAYS, ["2020-01-01", "02/03/2020"], "'02/03/2020' is not a date; dates are ISO"),
        (DATE, DAYS, ["2020-01-01Z", "2020-02-30"], "^new.csv: row 0 .*'2020-01-01Z' is not a dat"),
        (STRICT_DATE, DAYS, [DAYS[0], None], "a missing .*{kind: date, missing: mean}}`"),
        (DATE, DAYS, [None, 2020], "2020 is a number, not a date; .*{x: {kind: number}}`"),
        (DATE, DAYS, [True, False], "^new.csv: row 0 .*is of type bool; dates or times are needed"),
        (STRICT_CATEGORY, ["a", "b"], ["a", None], "a missing .*missing: category}"),
        (STRICT_CATEGORY, ["a", "b"], ["a", ""], "a missing value"),
        (STRICT_CATEGORY, [1, 2], [1.0, NAN], "a missing value"),
        (CATEGORY, [1, 2], [b"x", b"y"], "^new.csv: row 0 .*is of type binary; text is needed"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_names_row_column_and_cure(
    rule: Any, good: Any, bad: Any, message: str
) -> None:
    schema = fit(good, rule)
    expected = message if message.startswith("^") else rf"^new\.csv: row 1 .* 'x': .*{message}"
    with pytest.raises(DataError, match=expected):
        encode(schema, bad)
    with pytest.raises(DataError, match=expected.replace("new", "t")):
        fit(bad, rule)


def test_a_value_far_from_the_training_part_is_refused_where_float32_ends() -> None:
    schema = fit([0.0, 1e-20], NUMBER)
    with pytest.raises(DataError, match=r"^new\.csv: row 1 .*: 'x' is 1e\+50 once scaled, too lar"):
        encode(schema, [0.0, 1e30])


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (NumberRule(missing="mean"), [None, None, 1.0]),
        (NumberRule(missing="median"), [None, NAN, 1.0]),
        (CategoryRule(missing="most_frequent"), [None, "", "a"]),
    ],
)
def test_a_column_without_training_values_is_refused(rule: Any, values: Any) -> None:
    with pytest.raises(DataError, match=r"^t\.csv, column 'x': has no value in the training part"):
        fit(values, rule, [True, True, False])


def test_a_fill_that_float32_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"columns\.x\.missing: 1e\+300 is too large"):
        fit([1.0, None], NumberRule(missing=1e300))


@pytest.mark.parametrize(
    "name", ["age", "hours per week", "a: b", "yes", "1", "x{}", "Größe", 'q"']
)
def test_the_line_to_paste_is_the_rule_that_mends_the_column(name: str) -> None:
    rows = rows_of(table_of(**{name: ["a", "b", "a"], "y": [0.0, 1.0, 2.0]}))
    every = np.ones(3, bool)
    plain = Roles((name,), "y", rules={"*": NUMBER})
    with pytest.raises(DataError) as caught:
        fitted(rows, plain, "regression", every, Standardize())
    found = re.search("`(columns: .*)`, or leave", str(caught.value))
    assert found is not None
    section = yaml.safe_load(found.group(1))["columns"]
    rules: Any = TypeAdapter(dict[str, ColumnRule]).validate_python(section)
    schema = fitted(rows, Roles((name,), "y", rules=rules), "regression", every, Standardize())
    assert schema.encoded_names == (f"{name}=a", f"{name}=b")


ODD = [
    pa.array([1, 2, None], pa.time64("ns")),
    pa.array([1, 2, None], pa.duration("s")),
    pa.array([{"a": 1}, {"a": 2}, None]),
    pa.array([b"a", b"b", None], pa.binary_view()),
    pa.array(["a", "b", None], pa.string_view()),
    pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())),
    pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None])),
    pa.RunEndEncodedArray.from_arrays([1, 3], ["a", "b"]),
    pa.array([Decimal(10) ** 60, Decimal(1), None], pa.decimal256(70, 2)),
    pa.array([Decimal(1), Decimal(2), None], pa.decimal32(4, 1)),
    pa.array([2**31 - 1, -(2**31), None], pa.int32()).view(pa.date32()),
    pa.array([2**63 - 1, -(2**63), None], pa.int64()).view(pa.date64()),
    pa.array([2**63 - 1, -(2**63), None], pa.int64()).view(pa.timestamp("s")),
    pa.array([1, 2, None], pa.timestamp("ns", "Mars/Olympus")),
    pa.array([2**64 - 1, 0, None], pa.uint64()),
    pa.array(["9" * 5000, "1e400", "\u0663"]),
    pa.array(["+", "a\0", "."]),
    pa.array([1e308, -1e308, 5e-324]),
    pa.nulls(3),
]


@pytest.mark.parametrize("values", ODD, ids=lambda values: str(values.type))
@pytest.mark.parametrize(
    "rule",
    [NUMBER, NumberRule(missing="median"), DATE, DateRule(missing="mean"), CATEGORY,
     CategoryRule(missing="category")],
    ids=str,
)  # fmt: skip
def test_every_other_type_is_read_or_refused(values: pa.Array, rule: Any) -> None:
    with contextlib.suppress(DataError):
        schema = fit(values, rule)
        assert np.isfinite(encode(schema, values)).all()


# Real data


def test_adult_has_its_categories_and_missing_values() -> None:
    folder = shared("adult")
    import pandas as pd

    frame = pd.read_csv(folder / "train.csv.gz", na_values=["?"], skipinitialspace=True)
    values = pa.Table.from_pandas(frame, preserve_index=False)
    features = tuple(name for name in frame.columns if name != "income")
    text = [name for name in features if not pd.api.types.is_numeric_dtype(frame[name])]
    rules: Any = {name: CategoryRule(missing="category") for name in text}
    train = np.arange(len(frame)) % 4 > 0
    roles = Roles(features, "income", rules=rules)
    schema = fitted(rows_of(values), roles, "classification", train, Standardize())
    assert schema.classes == ("<=50K", ">50K")
    encoded = schema.encode_inputs(batch_of(values), place)
    dummies = pd.get_dummies(frame[text][train], prefix_sep="=", dummy_na=False)
    places = [schema.encoded_names.index(name) for name in dummies.columns]
    assert np.array_equal(encoded[train][:, places], dummies.to_numpy(np.float32))
    missing = schema.encoded_names.index("occupation missing")
    assert np.array_equal(encoded[:, missing] == 1, frame["occupation"].isna().to_numpy())
    age = schema.encoded_names.index("age")
    ages = frame["age"][train]
    assert encoded[train, age] == pytest.approx((ages - ages.mean()) / ages.std(ddof=0), abs=1e-5)
