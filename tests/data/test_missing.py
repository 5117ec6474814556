"""What stands for a missing value, in columns of every type and from every source alike."""

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from one_column import IDENTITY, encode, fit, place
from tables_as_rows import fitted, rows_of, table_of

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.tables.cells import numbers
from ensemble_pipe.data.tables.columns import CategoryRule, DateRule, NumberRule, Roles
from ensemble_pipe.data.tables.missing import Missing

FILLED = NumberRule(missing=0.0, indicator=True)
DATED = DateRule(missing=0.0, indicator=True)
NAMED = CategoryRule(missing="category")
FIRST_DAYS = [datetime.date(1970, 1, 1), datetime.date(1900, 1, 1)]


@pytest.mark.parametrize("text", ["-99.9", "inf", "-Infinity"])
@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64(), pa.string()])
def test_a_number_that_means_missing_does_so_in_every_type_and_beside_nulls(
    text: str, kind: pa.DataType
) -> None:
    texts = ["0", "1", text, None]
    values = pa.array(texts) if kind == pa.string() else pa.array(texts).cast(pa.float64())
    values = values.cast(kind)
    missing = Missing((text,))
    for part in (values, values[:3]):
        found = numbers(part, "x", place, missing)
        assert np.isnan(found).tolist() == [False, False, True, True][: len(part)]
        assert missing.mask(part).tolist()[:2] == [False, False]
        if kind != pa.string():
            assert missing.mask(part).tolist() == np.isnan(found).tolist()


@pytest.mark.parametrize("values", [[True, False, None], ["true", "false", None]])
def test_a_truth_that_means_missing_does_so_in_every_type(values: list[Any]) -> None:
    missing = Missing(("false",))
    column = pa.array(values)
    assert np.isnan(numbers(column, "x", place, missing)).tolist() == [False, True, True]
    assert missing.mask(column).tolist() == [False, True, True]


def test_a_fraction_that_means_missing_does_so_as_float32_that_was_widened() -> None:
    values = pa.array([-99.9, 0.0, 1.0], pa.float32()).cast(pa.float64())
    found = numbers(values, "x", place, Missing(("-99.9", "1e-60", "1e300")))
    assert np.isnan(found).tolist() == [True, False, False]
    found = numbers(pa.array([999_999_999, 1_000_000_000]), "x", place, Missing(("999999999",)))
    assert np.isnan(found).tolist() == [True, False]


def test_na_is_missing_among_numbers_and_a_name_among_names() -> None:
    keeps = CategoryRule(missing="category")
    counts, names = fit(["1", "NA", "2", "2"], keeps), fit(["de", "NA", "fr", ""], keeps)
    assert counts.encoded_names == ("x=1", "x=2", "x missing")
    assert names.encoded_names == ("x=NA", "x=de", "x=fr", "x missing")
    assert encode(counts, ["NA", "null", None, "2"]).argmax(1).tolist() == [2, 2, 2, 1]
    assert encode(names, ["NA", None, "fr"]).argmax(1).tolist() == [0, 3, 2]
    assert encode(names, ["null"]).sum() == 0
    with pytest.raises(DataError, match=r"row 1 \(from 0\), column 'x': a missing value"):
        fit(["1", "NA", "2"], CategoryRule(missing="error"))


@pytest.mark.parametrize(
    ("values", "rule", "missing"),
    [
        (pa.array([1.0, -999.0, 0.1, None]), FILLED, [0, 1, 1, 1]),
        (pa.array([1.0, 0.1], pa.float32()), FILLED, [0, 1]),
        (pa.array([1, -999]), FILLED, [0, 1]),
        (pa.array(["1", "-999.0", " ? "]), FILLED, [0, 1, 1]),
        (pa.array([Decimal("1.0"), Decimal("-999.0")]), FILLED, [0, 1]),
        (pa.array(FIRST_DAYS), DATED, [0, 1]),
        (pa.array(["1970-01-01", "1900-01-01T00:00Z"]), DATED, [0, 1]),
        (pa.array(["a", "?", "-999.0"]), NAMED, [0, 1, 1]),
        (pa.array([1, -999]), NAMED, [0, 1]),
        (pa.array(FIRST_DAYS), NAMED, [0, 1]),
    ],
    ids=str,
)
def test_what_means_missing_means_it_in_columns_of_every_type(
    values: pa.Array, rule: Any, missing: list[int]
) -> None:
    rows = rows_of(table_of(x=values, y=np.arange(len(values)) % 2 * 1.0))
    said = ("?", "-999", "0.1", "1900-01-01")
    roles = Roles(("x",), "y", rules={"x": rule}, missing_values=said)
    schema = fitted(rows, roles, "regression", np.ones(len(values), bool), IDENTITY)
    assert encode(schema, values)[:, -1].tolist() == missing
