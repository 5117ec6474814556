"""Columns of text that look like numbers or dates in a form that is not read as such."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tables_as_rows import rows_of, table_of

from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.decisions import ColumnDecision, decision_lines
from ensemble_pipe.data.tables.fitting import fit_table
from ensemble_pipe.data.tables.other_forms import OtherForms
from ensemble_pipe.data.tables.scaling import Standardize

ROWS = 200
NUMBER, DATE = "looks like numbers with separators", "looks like dates that are not in ISO 8601"


def looks(*texts: str) -> str:
    forms = OtherForms()
    forms.add(pa.array(texts), np.ones(len(texts), np.int64))
    return forms.advice(len(texts), {"number": 0, "date": 0})


@pytest.mark.parametrize(("text", "advice"), [
    ("1,234,567", NUMBER), ("12,50", NUMBER), ("1.234,5", NUMBER), ("1 234", NUMBER),
    ("1\u00a0234", NUMBER), ("1\u202f234,5", NUMBER), ("1'234", NUMBER), ("$12.50", NUMBER),
    ("-$12", NUMBER), ("12 €", NUMBER), ("50%", NUMBER), ("50 %", NUMBER), ("\u221212", NUMBER),
    ("2020/01/05", DATE), ("05.01.2020", DATE), ("01/05/2020", DATE), ("1/5/20", DATE),
    ("2020-1-5", DATE), ("2020/01/05 03:04", DATE), ("5 Jan 2020", DATE), ("Jan 5, 2020", DATE),
    ("5-Jan-20", DATE),
    ("red", ""), ("a1", ""), ("1.2.3.4", ""), ("1,23,4", ""), ("12 ab", ""), ("%", ""), ("$", ""),
    ("555-1234", ""), ("12:30", ""), ("March", ""), ("1-2", ""),
])  # fmt: skip
def test_a_form_is_known_by_its_text(text: str, advice: str) -> None:
    found = looks(text)
    assert found.startswith(advice)
    assert bool(found) == bool(advice)
    if advice:
        assert f"such as {text!r}" in found


@pytest.mark.parametrize(("texts", "advised"), [
    (["1,000"] * 9 + ["red"], True), (["1,000"] * 8 + ["red"] * 2, False),
    (["1,000"] * 5 + ["1/2/2020"] * 5, False),
])  # fmt: skip
def test_most_of_a_column_must_look_alike(texts: list[str], advised: bool) -> None:
    assert bool(looks(*texts)) == advised


def decision(texts: list[Any]) -> ColumnDecision:
    noise = np.random.default_rng(0).normal(size=ROWS)
    rows = rows_of(table_of(x=texts, noise=noise, y=noise))
    fit = fit_table(rows, Roles(("x", "noise"), "y"), np.ones(ROWS, bool), Standardize())
    return next(one for one in fit.decisions if one.name == "x")


@pytest.mark.parametrize(("texts", "kind"), [
    ([f"{row % 5},50" for row in range(ROWS)], "category"),
    ([f"1,{row:03}" for row in range(ROWS)], "left out"),
    ([f"{row}" if row < 100 else f"1,{row:03}" for row in range(ROWS)], "left out"),
])  # fmt: skip
def test_the_decision_on_a_column_warns_of_its_form(texts: list[str], kind: str) -> None:
    found = decision(texts)
    assert (found.kind, found.warning.startswith(NUMBER)) == (kind, True)
    text = " ".join(line.strip() for line in decision_lines([found]))
    assert text.endswith(f"warning: column 'x' {found.warning}")
    assert found.warning.endswith("; written as 1234.5 they are numbers")


@pytest.mark.parametrize(("strays", "share"), [(0, ""), (5, ""), (6, "3%"), (20, "10%")])
def test_text_that_counts_as_missing_is_warned_of_where_it_is_much(strays: int, share: str) -> None:
    found = decision(["12a" if row < strays else f"{row * 0.5}" for row in range(ROWS)])
    assert found.kind == "number"
    assert found.warning == (
        f"has text that is no number in {share} of the rows with a value, which counts as missing: "
        f"'12a' ({strays})"
    ) * bool(share)


def test_dates_with_a_decimal_comma_are_warned_of() -> None:
    days = [f"2020-03-{1 + row % 28:02}T03:04:05{',5' * (row % 4 == 0)}Z" for row in range(ROWS)]
    found = decision(days)
    assert (found.kind, "no date in 25% of the rows" in found.warning) == ("date", True)
