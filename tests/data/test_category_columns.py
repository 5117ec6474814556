"""Columns of categories: their names, codes, and what is unseen or missing."""

import datetime
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_column import encode, fit

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.tables.categories import canonical_name
from ensemble_pipe.data.tables.columns import CategoryRule
from ensemble_pipe.data.tables.counting import BUCKETS
from ensemble_pipe.data.tables.features import CategoryColumn
from ensemble_pipe.data.tables.name_counts import hash_name

NAN = float("nan")
CATEGORY = CategoryRule()
DAYS = [datetime.date(1970, 1, 1), datetime.date(1969, 12, 31), datetime.date(1970, 1, 4)]


@pytest.mark.parametrize(
    "values",
    [
        [3, 10, None, 3],
        [3.0, 10.0, NAN, 3.0],
        ["3", "10", "", "3"],
        ["03", "10.0", None, "+3"],
        pa.array(["3", "10", None, "3"]).dictionary_encode(),
        pa.array([3.0, 10.0, None, 3.0], pa.float16()),
        pa.array([Decimal("3.0"), Decimal("10.0"), None, Decimal("3.0")]),
    ],
    ids=str,
)
def test_a_number_is_one_category_however_it_is_stored(values: Any) -> None:
    schema = fit(values, CategoryRule(missing="category"))
    assert schema.encoded_names == ("x=3", "x=10", "x missing")
    for other in (values, [3, 10, None, 3], ["3", "10", "", "3"], [3.0, 10.0, NAN, 3.0]):
        assert encode(schema, other).argmax(1).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([True, False, True], ("false", "true")),
        (["True", "FALSE", "maybe"], ("false", "maybe", "true")),
        (["10", "9", "x"], ("10", "9", "x")),
        ([1.5, -2.0, 1e300], ("-2", "1.5", "1e+300")),
        (np.array([0.1, 0.2], np.float32), ("0.1", "0.2")),
        (["nan", "inf", "1e999"], ("1e999", "inf", "nan")),
        (DAYS, ("1969-12-31", "1970-01-01", "1970-01-04")),
    ],
    ids=str,
)
def test_categories_are_sorted(values: Any, names: tuple[str, ...]) -> None:
    schema = fit(values, CATEGORY)
    (column,) = schema.columns
    assert isinstance(column, CategoryColumn)
    assert column.categories == names
    assert (encode(schema, values).sum(1) == 1).all()


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()))
def test_the_name_of_a_category_names_itself(value: Any) -> None:
    name = canonical_name(value)
    assert canonical_name(name) == name
    assert name != ""


def test_blanks_around_a_name_and_the_form_of_a_date_are_no_part_of_it() -> None:
    schema = fit([" b", "a ", "b", "2026-02-28T00:00Z"], CATEGORY)
    (column,) = schema.columns
    assert isinstance(column, CategoryColumn)
    assert column.categories == ("2026-02-28", "a", "b")
    for values in (["\tb", "a", "2026-02-28"], ["b ", " a ", "2026-02-28 00:00:00.000"]):
        assert encode(schema, values).argmax(1).tolist() == [2, 1, 0]
    days = pa.array([datetime.date(2026, 2, 28)])
    for kind in (pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "Asia/Tokyo")):
        assert encode(schema, days.cast(pa.timestamp("s")).cast(kind)).tolist() == [[1, 0, 0]]


def test_categories_of_older_models_are_found_as_they_stand() -> None:
    schema = fit(["u", "v", "w", "x"], CATEGORY)
    (column,) = schema.columns
    assert isinstance(column, CategoryColumn)
    older = replace(column, categories=(" u", "u", "v ", "2026-02-28 00:00:00.000000"))
    schema = replace(schema, columns=(older,))
    values = [" u", "u", "v ", "v", "2026-02-28 00:00:00.000000", "2026-02-28", "u "]
    assert encode(schema, values).argmax(1).tolist() == [0, 1, 2, 2, 3, 3, 1]


def test_codes_count_from_one_and_the_unseen_is_zero() -> None:
    schema = fit(["b", "a", "c", "z"], CategoryRule(encode="code"), [True, True, True, False])
    assert encode(schema, ["a", "b", "c", "z", "?"])[:, 0].tolist() == [1, 2, 3, 0, 0]
    assert [span.kind for span in schema.spans] == ["code"]


def test_an_unseen_category_is_none_of_them_or_an_error() -> None:
    train = [True, True, True, False]
    schema = fit(["b", "a", "b", "z"], CATEGORY, train)
    assert encode(schema, ["z", "a"]).tolist() == [[0, 0], [1, 0]]
    schema = fit(["b", "a", "b", "z"], CategoryRule(unseen="error"), train)
    message = r"^new\.csv: row 1 .*, column 'x': 'z' is no category of the training part, which has"
    with pytest.raises(DataError, match=message):
        encode(schema, ["a", "z"])


def test_missing_categories_follow_their_rule() -> None:
    schema = fit(["b", "a", "b", None], CategoryRule(missing="most_frequent"))
    assert encode(schema, [None, "a", ""]).tolist() == [[0, 1], [1, 0], [0, 1]]
    schema = fit(["b", "a", "a", "b"], CategoryRule(missing="most_frequent"))
    assert encode(schema, [None]).tolist() == [[1, 0]]
    schema = fit(["b", "a"], CategoryRule(missing="category"))
    assert encode(schema, [None]).tolist() == [[0, 0]]


def test_more_than_ten_thousand_categories_are_hashed_where_they_are_codes() -> None:
    names = [f"n{i}" for i in range(10_001)]
    with pytest.raises(DataError, match=r"has more than 10000 categories.*\{x: .*encode: code\}\}"):
        fit(names, CATEGORY)
    exact, hashed = (fit(part, CategoryRule(encode="code")) for part in (names[:-1], names))
    assert list(exact.code_counts.values()) == [10_001]
    assert list(hashed.code_counts.values()) == [1 + BUCKETS]
    codes = encode(hashed, names)[:, 0]
    assert codes.min() >= 1
    assert codes.max() <= BUCKETS
    assert len(set(codes.tolist())) > BUCKETS / 2
    assert codes[names.index("n17")] == 1 + hash_name("n17") % BUCKETS
    assert encode(hashed, [" n17", "new"])[:, 0].tolist() == [
        codes[names.index("n17")], 1 + hash_name("new") % BUCKETS,
    ]  # fmt: skip


def test_a_missing_value_beside_hashed_names_has_a_code_of_its_own_if_training_had_one() -> None:
    names: list[str | None] = [f"n{i}" for i in range(10_001)]
    with_missing = fit([*names, None], CategoryRule(encode="code"))
    assert list(with_missing.code_counts.values()) == [2 + BUCKETS]
    assert encode(with_missing, [None, ""])[:, 0].tolist() == [BUCKETS + 1] * 2
    assert encode(fit(names, CategoryRule(encode="code")), [None])[:, 0].tolist() == [0]
