"""What columns without a rule are recognised as, and that it is the same from any source."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import shared
from pyarrow import csv, parquet
from recognized_columns import DAYS, NOISE, ROWS, cycle, decision, place
from tables_as_rows import fitted, rows_of, table_of

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources import Table, open_rows
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import NumberRule, Roles
from ensemble_pipe.data.tables.decisions import ColumnDecision, decision_lines
from ensemble_pipe.data.tables.features import NumberColumn
from ensemble_pipe.data.tables.fitting import fit_table
from ensemble_pipe.data.tables.scaling import Standardize


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
