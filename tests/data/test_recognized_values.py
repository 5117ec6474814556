"""What the values of a recognised column become: missing ones, few and many, and dates."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from recognized_columns import DAYS, NOISE, ROWS, column, cycle, encode, place, recognized
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.features import CategoryColumn, NumberColumn
from ensemble_pipe.data.tables.scaling import Standardize

# Missing values


def test_missing_values_are_filled_by_the_median_with_an_indicator_or_are_a_category() -> None:
    numbers = [None if row % 4 == 0 else row + 0.5 for row in range(ROWS)]
    schema = recognized(table_of(x=numbers, c=cycle("a", "b", None), d=[None, *DAYS[1:]]))
    assert {d.name: d.missing for d in schema.decisions if d.missing} == {
        "x": "100 (median 200.5 and an indicator)",
        "c": "133 (a category of its own)",
        "d": "1 (median 2020-07-19 and an indicator)",
    }
    assert {"x missing", "c missing", "d missing"} <= set(schema.encoded_names)
    encoded = encode(schema, x=[None, 200.5], c=[None, "a"], d=[None, DAYS[200]])
    places = [schema.encoded_names.index(f"{name} missing") for name in "xcd"]
    assert encoded[:, places].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert encoded[0, 0] == encoded[1, 0]


def test_nothing_missing_in_training_is_no_error_at_prediction() -> None:
    schema = recognized(table_of(x=np.arange(ROWS) % 7 * 1.5, c=cycle("a", "b"), d=DAYS))
    encoded = encode(schema, x=[None, 3.0], c=[None, "new"], d=[None, DAYS[5]])
    assert np.isfinite(encoded).all()
    assert "x missing" not in schema.encoded_names


def test_a_few_texts_among_numbers_or_dates_are_missing_values_and_named() -> None:
    numbers: list[Any] = [str(value) for value in NOISE]
    numbers[3], numbers[40], numbers[41] = "unknown", "unknown", "12 kg"
    days = list(map(str, DAYS))
    days[5] = "2026-02-30"
    schema = recognized(table_of(x=numbers, d=days))
    found = {d.name: d for d in schema.decisions}
    assert found["x"].kind == "number"
    assert "text that is no number counts as missing: 'unknown' (2), '12 kg' (1)" in (
        found["x"].treatment
    )
    assert "'2026-02-30' (1)" in found["d"].missing
    assert found["x"].missing.startswith("3 (median ")
    encoded = encode(schema, x=["other", "1.5"], d=["2026-02-30", "2020-02-01"])
    places = [schema.encoded_names.index(f"{name} missing") for name in "xd"]
    assert encoded[:, places].tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize("mark", ["unknown", "?", "-"])
def test_numbers_beside_a_frequent_text_are_text_with_a_word_on_missing_values(mark: str) -> None:
    numbers = [mark if place % 5 == 0 else str(value) for place, value in enumerate(NOISE)]
    table = table_of(x=numbers, other=NOISE)
    (found,) = (d for d in recognized(table).decisions if d.name == "x")
    assert found.kind in ("category", "left out")
    assert found.warning == (
        f"is taken for text, though 80% of its values are numbers; where {mark!r} means that one "
        f"is missing, write missing_values: [{mark!r}] below data"
    )
    sizes = [f"size {n % 9}" if n % 5 else mark for n in range(ROWS)]
    category = recognized(table_of(c=sizes)).decisions[0]
    assert category.warning == ""


def test_text_outside_of_the_training_part_is_taken_as_in_it() -> None:
    values = [*map(str, NOISE[:-1]), "unknown"]
    train = np.arange(ROWS) < ROWS - 1
    schema = recognized(table_of(x=values), train)
    (own, _) = schema.columns
    assert isinstance(own, NumberColumn)
    assert own.strays
    assert np.isfinite(encode(schema, x=["unknown"])).all()


# Numbers that are categories too


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (cycle(0, 1), ()),
        (cycle(1, 2, 3), (1.0, 2.0, 3.0)),
        (cycle(0.1, 0.2, 0.7), (0.1, 0.2, 0.7)),
        ([1] * 150 + [2] * 150 + [3] * 98 + [4] * 2, (1.0, 2.0, 3.0)),
        (np.where(np.arange(ROWS) < 200, 0.0, NOISE), (0.0,)),
        (np.where(np.arange(ROWS) < 200, 0.0, np.round(NOISE)), (-2.0, -1.0, -0.0, 1.0, 2.0)),
        (np.where(np.arange(ROWS) < 200, 0.0, np.round(10 * NOISE)), (0.0,)),
        (cycle(*range(11)), ()),  # a scale, whose order tells more
        (cycle(*range(0, 220, 20)), ()),
        (NOISE, ()),
    ],
    ids=str,
)
def test_few_or_heavy_values_have_a_feature_each(values: Any, expected: tuple[float]) -> None:
    found = column(values).values
    if len(expected) < 5:
        assert found == expected
    else:
        assert set(expected) <= set(found)


AMOUNTS = [0, 594, 2176, 3103, 4386, 5013, 7298, 7688, 9386, 10520, 15024, 99999]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (cycle(*AMOUNTS), "category"),  # codes or fixed amounts: each is one of few
        (cycle(*[0] * 5, *AMOUNTS), "category"),
        (cycle(*AMOUNTS[:10]), "number"),
        (cycle(*range(0, 24, 2)), "number"),  # a scale
        (np.where(np.arange(ROWS) < 320, cycle(*[0] * 5, *AMOUNTS), NOISE), "number"),
    ],
    ids=["amounts", "mostly 0", "few", "a scale", "and others"],
)
def test_numbers_that_stand_for_categories_are_some(values: Any, kind: str) -> None:
    assert column(values).kind == kind


def test_numbers_as_categories_are_the_same_from_integers_floats_and_text() -> None:
    values = cycle(*AMOUNTS)
    forms: list[Any] = [values, np.array(values, float), [str(value) for value in values]]
    found = [encode(recognized(table_of(x=form)), x=form)[:, 0] for form in forms]
    assert all(np.array_equal(found[0], other) for other in found[1:])
    assert found[0].max() == len(AMOUNTS)


def test_the_features_of_values_stand_behind_their_number_in_one_span() -> None:
    schema = recognized(table_of(x=[None, *cycle(0.1, 0.2, 0.7)[1:]]))
    assert schema.encoded_names == ("x", "x missing", "x=0.1", "x=0.2", "x=0.7", "noise")
    assert [(s.start, s.stop, s.kind) for s in schema.spans] == [(0, 5, "number"), (5, 6, "number")]
    encoded = encode(schema, x=[0.1, 0.3, None, 0.7])
    assert encoded[:, 1:5].tolist() == [[0, 1, 0, 0], [0] * 4, [1, 0, 0, 0], [0, 0, 0, 1]]
    narrow = encode(schema, x=pa.array([0.1, 0.7], pa.float32()))
    assert narrow[:, 2:5].tolist() == [[1, 0, 0], [0, 0, 1]]


def test_no_number_of_a_wide_table_of_mostly_zeros_has_further_features() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 5, (ROWS, 129)) * (random.random((ROWS, 129)) < 0.5)
    names = [f"p{n}" for n in range(129)]
    columns = dict(zip(names, pixels.T, strict=True))
    assert recognized(table_of(**columns)).input_shape == (130,)
    del columns["p0"]
    assert recognized(table_of(**columns)).input_shape == (1 + 128 * (1 + 5),)


def test_large_numbers_that_lie_close_together_keep_their_values_apart() -> None:
    schema = recognized(table_of(x=[10**15 + n for n in cycle(1, 2, 3)]))
    (own, _) = schema.columns
    assert isinstance(own, NumberColumn)
    assert own.values == (0.0, 1.0, 2.0)
    encoded = encode(schema, x=[10**15 + 2, 10**15 + 3, 10**15 + 4])
    assert encoded[:, 1:4].tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert schema.encoded_names[1] == "x=1000000000000001"


# Categories


def test_up_to_ten_categories_have_a_feature_each_and_more_have_codes() -> None:
    few, many = column(cycle(*"abcdefghij")), column(cycle(*"abcdefghijk"))
    assert (few.encode, many.encode) == ("one_hot", "code")
    assert column(cycle(*"abcdefghi", None)).encode == "one_hot"
    assert column(cycle(*"abcdefghij", None)).encode == "code"


def test_rare_categories_share_the_code_of_the_unknown() -> None:
    names = [*cycle(*"abcdefghijklm")[:-3], "rare", "rare", "alone"]
    schema = recognized(table_of(x=names))
    (own, _) = schema.columns
    assert isinstance(own, CategoryColumn)
    assert own.categories == tuple("abcdefghijklm")
    assert encode(schema, x=["rare", "new", "a"])[:, 0].tolist() == [0, 0, 1]
    assert schema.code_counts == {0: 14}


def test_fifty_thousand_categories_become_a_bounded_number_of_codes() -> None:
    names = [f"n{row % 50_000}" for row in range(110_000)]
    z, y = np.random.default_rng(3).normal(size=(2, 110_000))
    table = table_of(x=names, z=z, y=y)
    every = np.ones(110_000, bool)
    schema = fitted(rows_of(table), Roles(("x", "z"), "y"), "regression", every, Standardize())
    assert schema.code_counts == {0: 8193}
    assert "more than 10,000 categories in 8192 codes" in schema.decisions[0].treatment
    batch = batch_of(table_of(x=[*names[:9], "unseen"], z=np.zeros(10)))
    codes = schema.encode_inputs(batch, place)[:, 0]
    again = Schema.from_json(schema.to_json(), "s").encode_inputs(batch, place)[:, 0]
    assert np.array_equal(codes, again)
    assert len(set(codes.tolist())) == 10


# Dates


def test_a_date_has_the_parts_that_vary() -> None:
    hours = np.datetime64("2020-01-01T00:00:00") + np.arange(ROWS) * np.timedelta64(37, "h")
    assert column(DAYS).parts == ("month", "day of year", "day", "weekday")
    assert column(hours).parts == ("month", "day of year", "day", "weekday", "hour")
    assert column([f"{1900 + row % 99}-03-01" for row in range(ROWS)]).parts == ("weekday",)
    schema = recognized(table_of(x=hours))
    names = list(schema.encoded_names)
    encoded = encode(schema, x=["2021-02-01T13:00", None])
    for part, value in (("month", 2), ("weekday", 1), ("hour", 13)):
        places = [n for n, name in enumerate(names) if name.startswith(f"x {part}=")]
        assert [names[n] for n in places if encoded[0, n]] == [f"x {part}={value}"]
    assert encoded[0, names.index("x hour")] == pytest.approx(2 * 13 / 23 - 1)
    assert encoded[0, names.index("x day of year sine")] == pytest.approx(
        np.sin(2 * np.pi * 31 / 366)
    )
    assert not encoded[1, 1 : schema.spans[0].stop].any()
    assert [span.kind for span in schema.spans] == ["number", "number"]
