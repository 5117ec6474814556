"""What columns without a rule are recognised as, and that it is the same from any source."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import shared
from pyarrow import csv, parquet
from tables_as_rows import batch_of, fitted, rows_of, table_of

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import row_name
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources import Table, open_rows
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import NumberRule, Roles
from ensemble_pipe.data.tables.decisions import ColumnDecision, decision_lines
from ensemble_pipe.data.tables.features import CategoryColumn, NumberColumn
from ensemble_pipe.data.tables.fitting import fit_table
from ensemble_pipe.data.tables.scaling import Standardize

ROWS = 400
RANDOM = np.random.default_rng(3)
NOISE = RANDOM.normal(size=ROWS)
COUNTED = "counts the rows, as an identifier does"


def place(row: int) -> str:
    return f"new: {row_name(row)}"


def recognized(table: pa.Table, train: Any = None) -> Schema:
    """Return the schema of a table beside a number "noise", all without rules."""
    names = tuple(table.column_names)
    whole = table.append_column("noise", pa.array(NOISE[: len(table)]))
    whole = whole.append_column("y", pa.array(NOISE[: len(table)] * 2))
    every = np.ones(len(table), bool) if train is None else train
    roles = Roles((*names, "noise"), "y")
    return fitted(rows_of(whole), roles, "regression", every, Standardize())


def decision(values: Any, name: str = "x") -> ColumnDecision:
    found = {d.name: d for d in recognized(table_of(**{name: values})).decisions}
    return found[name]


def column(values: Any, name: str = "x") -> Any:
    schema = recognized(table_of(**{name: values}))
    return next(column for column in schema.columns if column.name == name)


def encode(schema: Schema, **columns: Any) -> Any:
    rows = len(next(iter(columns.values())))
    return schema.encode_inputs(batch_of(table_of(**columns, noise=NOISE[:rows])), place)


# Kinds


def cycle(*values: Any) -> list[Any]:
    return [values[row % len(values)] for row in range(ROWS)]


DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(n)) for n in range(ROWS)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (NOISE, "number"),
        (NOISE.astype(str), "number"),
        (cycle(True, False), "number"),
        (cycle("True", "false", None), "number"),
        (cycle("1", " 2", "NA", "3.5"), "number"),
        (cycle(Decimal("1.5"), Decimal("2.5")), "number"),
        (pa.array(cycle(1, 2, 3)).dictionary_encode(), "number"),
        (DAYS, "date"),
        (cycle(None, *map(str, DAYS[:50])), "date"),
        (cycle("2026-02-28T12:30:00+01:00", "NA", "2026-03-28"), "date"),
        (cycle("a", "b", None), "category"),
        (pa.array(cycle("a", "b")).dictionary_encode(), "category"),
        (cycle("1", "2", "x"), "category"),
        (cycle("yes", "no"), "category"),
        ([f"{row // 4}a" for row in range(ROWS)], "category"),
        ([f"{row // 2}a" for row in range(ROWS)], "left out"),
        ([f"name {row}" for row in range(ROWS)], "left out"),
        ([f"ticket {row % 300}" for row in range(ROWS)], "left out"),
        (cycle(7), "left out"), (cycle("seven"), "left out"), (cycle("2026-02-28"), "left out"),
        ([None] * ROWS, "left out"), ([float("nan")] * ROWS, "left out"),
        (cycle("", "NA", None), "left out"),
        ([[row] for row in range(ROWS)], "left out"), ([{"a": row} for row in range(ROWS)],
                                                      "left out"),
        (pa.array(range(ROWS), pa.duration("s")), "left out"),
        ([b"a", b"b"] * (ROWS // 2), "left out"),
        (["v" * 20_000, "w"] * (ROWS // 2), "left out"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_column_is_recognised_by_its_values(values: Any, kind: str) -> None:
    assert decision(values).kind == kind


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("Id", range(1, ROWS + 1), COUNTED),
        ("PassengerId", RANDOM.permutation(ROWS), "PassengerId"),
        ("customer_id", RANDOM.choice(10**9, ROWS, replace=False), "customer_id"),
        ("", range(ROWS), COUNTED),
        ("n", range(ROWS), COUNTED),
        ("n", [2 * row + 1 for row in range(ROWS)], COUNTED),
        ("n", list(map(str, range(ROWS))), COUNTED),
        ("n", RANDOM.permutation(ROWS), None),  # a measure may be distinct
        ("n", RANDOM.choice(10**6, ROWS, replace=False), None),
        ("n", np.sort(RANDOM.choice(10**6, ROWS, replace=False)), None),
        ("n", np.arange(1800, 1800 + ROWS), None),
        ("year", range(ROWS), None),
        ("n", np.arange(ROWS) * 1.0, None),  # a float is no row number
        ("Id", [row // 2 for row in range(ROWS)], None),
        ("width", NOISE, None),
    ],
)
@pytest.mark.parametrize("gaps", [(), (3,), (0, 5, 6)], ids=["full", "a gap", "gaps"])
def test_identifiers_are_left_out_and_measures_stay(
    name: str, values: Any, why: str | None, gaps: tuple[int, ...]
) -> None:
    column = [None if row in gaps else value for row, value in enumerate(values)]
    floats = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    if floats and gaps and (values == np.round(values)).all():
        why = COUNTED  # as data frames store integers with gaps
    found = decision(pa.array(column), name)
    assert found.kind == ("left out" if why else "number")
    if why == COUNTED:
        assert found.treatment == COUNTED
    elif why:
        assert found.treatment == (
            "distinct in every row, and named as an identifier; "
            f"columns: {{{name}: {{kind: number}}}} keeps it"
        )


@pytest.mark.parametrize("kind", ["text", "integers", "floats", "frame"])
def test_an_identifier_with_a_gap_is_one_from_any_source(kind: str) -> None:
    numbers = [None, *RANDOM.choice(10**6, ROWS - 1, replace=False).tolist()]
    values = {
        "text": ["", *map(str, numbers[1:])],
        "integers": numbers,
        "floats": pa.array(numbers, pa.float64()),
        "frame": pa.Array.from_pandas(pd.Series(numbers)),
    }[kind]
    assert decision(values, "customer_id").kind == "left out"


def test_row_numbers_are_known_by_a_part_of_the_rows() -> None:
    train = RANDOM.random(ROWS) < 0.5
    schema = recognized(table_of(n=np.arange(ROWS)), train)
    assert schema.feature_names == ("noise",)


def test_a_rule_keeps_what_would_be_left_out() -> None:
    table = table_of(Id=np.arange(ROWS), y=NOISE)
    roles = Roles(("Id",), "y", rules={"Id": NumberRule()})
    fit = fit_table(rows_of(table), roles, np.ones(ROWS, bool), Standardize())
    assert [decision.kind for decision in fit.decisions] == ["number"]


@pytest.mark.parametrize(("values", "why"), [
    (range(ROWS), "counts the rows, as an identifier does"),
    (cycle(7), "one value in all training rows: 7"),
    ([f"n{max(row - 99, 0)}" for row in range(ROWS)],
     "text with a distinct value in 75% of the rows"),
])  # fmt: skip
def test_the_only_column_is_kept_with_a_warning_where_it_can_be_read(values: Any, why: str) -> None:
    table = table_of(Id=list(values), y=NOISE)
    fit = fit_table(rows_of(table), Roles(("Id",), "y"), np.ones(ROWS, bool), Standardize())
    assert [column.name for column in fit.columns] == ["Id"]
    lines = " ".join(line.strip() for line in decision_lines(fit.decisions))
    assert lines.endswith(
        f"warning: column 'Id' is learned from only since there is no other: {why}"
    )


@pytest.mark.parametrize("values", [
    [f"n{row}" for row in range(ROWS)], [f"n{row // 2}" for row in range(ROWS)],
])  # fmt: skip
def test_text_without_a_category_is_refused_where_it_is_the_only_column(values: Any) -> None:
    table = table_of(name=values, tags=[[1]] * ROWS, y=NOISE)
    with pytest.raises(DataError, match=r"no column can be learned from: tags .*, name \("):
        fit_table(rows_of(table), Roles(("name", "tags"), "y"), np.ones(ROWS, bool), Standardize())


def test_a_table_without_anything_to_learn_from_is_refused_with_the_reasons() -> None:
    table = table_of(tags=[[1]] * 20, empty=[None] * 20, y=range(20))
    with pytest.raises(DataError) as refused:
        fit_table(rows_of(table), Roles(("tags", "empty"), "y"), np.ones(20, bool), Standardize())
    assert str(refused.value) == (
        "t.csv: no column can be learned from: tags (of type list<item: int64>, which cannot be "
        "learned from), empty (no value in the training part)"
    )


# The same from any source


def everything(rows: int) -> pa.Table:
    random = np.random.default_rng(7)

    def holes(values: Any) -> pa.Array:
        return pa.array(values, mask=random.random(rows) < 0.1)

    return table_of(
        Id=np.arange(rows),
        plain=random.normal(size=rows),
        count=holes(random.integers(0, 5, rows)),
        rain=np.where(random.random(rows) < 0.6, 0.0, random.exponential(size=rows).round(6)),
        truth=holes(random.random(rows) < 0.5),
        when=holes(np.datetime64("2020-01-01T00:00:00") + random.integers(0, 20_000, rows) * 3600),
        town=holes(random.choice(["a", "b", "c"], rows)),
        street=holes(random.choice([f"street {n}" for n in range(40)], rows)),
        name=[f"person {n}" for n in range(rows)],
        constant=[1] * rows,
        y=random.normal(size=rows),
    )


def as_csv(table: pa.Table, folder: Path) -> Rows:
    csv.write_csv(table, folder / "t.csv")
    return open_rows(str(folder / "t.csv"))


def as_text(table: pa.Table, folder: Path) -> Rows:
    """Return the rows with every feature as text, as some programs write Parquet."""
    text = {n: table[n] if n == "y" else table[n].cast(pa.string()) for n in table.column_names}
    parquet.write_table(pa.table(text), folder / "text.parquet")
    return open_rows(str(folder / "text.parquet"))


def as_parquet(table: pa.Table, folder: Path) -> Rows:
    encoded = table.set_column(6, "town", table["town"].dictionary_encode())
    parquet.write_table(encoded, folder / "t.parquet")
    return open_rows(str(folder / "t.parquet"))


@pytest.mark.parametrize("source", [as_csv, as_text, as_parquet])
def test_the_same_data_is_recognised_and_encoded_alike_from_any_source(
    source: Callable[[pa.Table, Path], Rows], tmp_path: Path
) -> None:
    table = everything(500)
    names = tuple(table.column_names[:-1])
    train = np.random.default_rng(0).random(500) < 0.7
    found = []
    for rows in (rows_of(table, batch=77), source(table, tmp_path)):
        schema = fitted(rows, Roles(names, "y"), "regression", train, Standardize())
        blocks = rows.blocks(schema.source_columns)
        found.append((schema, np.concatenate([schema.encode_inputs(b, place) for _, b in blocks])))
    (own, own_rows), (other, other_rows) = found
    assert other == own
    assert np.array_equal(other_rows, own_rows)
    assert [d.name for d in own.decisions] == list(names)
    assert [d.name for d in own.decisions if d.kind == "left out"] == ["Id", "name", "constant"]
    assert own.input_names == names
    assert Schema.from_json(own.to_json(), "s") == own


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
    table = table_of(x=names, z=RANDOM.normal(size=110_000), y=RANDOM.normal(size=110_000))
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


# What is shown


def test_a_wide_table_is_shown_in_few_lines() -> None:
    numbers = [ColumnDecision(f"pixel{n}", "number", "scaled", "scaled") for n in range(200)]
    others = [ColumnDecision(f"c{'x' * n}", "category", "one-hot", "one-hot") for n in range(30)]
    lines = decision_lines([*numbers, *others])
    assert lines[:2] == [
        "columns: 230 learned from, 0 left out", "  number, scaled: pixel0 ... pixel199 (200)",
    ]  # fmt: skip
    assert len(lines) < 15
    assert max(map(len, lines)) <= 100
    assert decision_lines([]) == []


@pytest.mark.parametrize(
    ("table", "label", "left_out", "both"),
    [
        ("titanic", "Survived", ["PassengerId", "Name", "Ticket"], ["Pclass", "SibSp", "Parch"]),
        ("house", "SalePrice", ["Id"], ["OverallQual", "ScreenPorch"]),
        ("traffic", "traffic_volume", [], ["rain_1h", "snow_1h"]),
        ("housing", "median_house_value", [], []),
    ],
)
def test_real_tables_are_treated_as_a_careful_person_would(
    table: str, label: str, left_out: list[str], both: list[str]
) -> None:
    source = Table(path=str(shared(f"tables/{table}/train.csv.gz")), label=label)
    rows, _ = source.open()
    train = np.random.default_rng(0).random(rows.count) < 0.6
    fit = fit_table(rows, source.roles(rows), train, Standardize())
    assert [d.name for d in fit.decisions if d.kind == "left out"] == left_out
    columns = {column.name: column for column in fit.columns}
    for name in both:
        own = columns[name]
        assert isinstance(own, NumberColumn)
        assert own.values
