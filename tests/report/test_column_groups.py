"""Groups of rows by a column are its categories, its frequent numbers and ranges of the others."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import plain_schema

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.features import CategoryColumn, NumberColumn
from ensemble_pipe.report.column_groups import RANGES, groups_by_column


def groups(schema: Schema, stored: Array) -> dict[str, list[int]]:
    name = schema.columns[0].name
    return {
        one.name: one.places.tolist()
        for one in groups_by_column(schema, name, stored)
        if len(one.places)
    }


def numbers_of(values: Array) -> tuple[Schema, Array]:
    schema = plain_schema("classification", (1,), ("a", "b"))
    return schema, np.asarray(values, np.float32)[:, None]


def test_numbers_are_ranges_of_equally_many_rows() -> None:
    found = groups(*numbers_of(np.arange(60)))
    assert found == {
        f"x0 {10 * part} to {10 * part + 9}": list(range(10 * part, 10 * part + 10))
        for part in range(RANGES)
    }


def test_a_frequent_number_is_a_group_and_the_others_are_ranges() -> None:
    found = groups(*numbers_of(np.concatenate([np.zeros(90), np.arange(1, 13)])))
    assert found["x0 = 0"] == list(range(90))
    assert found["x0 1 to 2"] == [90, 91]
    assert len(found) == 1 + RANGES
    assert sorted(place for places in found.values() for place in places) == list(range(102))


def test_few_numbers_are_groups_each_by_itself() -> None:
    assert set(groups(*numbers_of(np.arange(30) % 3))) == {"x0 = 0", "x0 = 1", "x0 = 2"}


def test_missing_numbers_are_a_group() -> None:
    schema, stored = numbers_of(np.arange(40))
    column = NumberColumn("x0", "number", 0.0, indicator=True)
    schema = replace(schema, columns=(column,), input_shape=(2,))
    gone = (np.arange(40) % 8 == 0).astype(np.float32)[:, None]
    found = groups(schema, np.hstack([stored, gone]))
    assert found["x0 = missing"] == [0, 8, 16, 24, 32]
    assert len(found) == 1 + RANGES


@pytest.mark.parametrize(("names", "told"), [
    (("red", "blue"), {"c = red", "c = blue"}),
    (("true", "false"), {"c = true", "c = false"}),
    (tuple(map(str, range(100, 160))), {f"c {100 + 10 * n} to {109 + 10 * n}" for n in range(6)}),
])  # fmt: skip
def test_categories_are_groups_and_ranges_where_they_are_numbers(
    names: tuple[str, ...], told: set[str]
) -> None:
    column = CategoryColumn("c", "category", names, None, "ignore", "code")
    schema = replace(plain_schema("classification", (1,), ("a", "b")), columns=(column,))
    codes = 1 + np.arange(len(names), dtype=np.float32)[:, None]
    assert set(groups(schema, codes)) == told
    unseen = groups(schema, np.vstack([codes, [[0.0]]]).astype(np.float32))
    new = "c = missing or another" if names[0].isdigit() else "c = another"
    assert unseen[new] == [len(names)]
