"""Columns that tell the rows apart are left out, and measures stay."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from recognized_columns import NOISE, ROWS, decision, recognized
from tables_as_rows import table_of

RANDOM = np.random.default_rng(3)
COUNTED = "counts the rows, as an identifier does"


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
