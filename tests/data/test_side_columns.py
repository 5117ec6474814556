"""Labels, weights, groups and times: read once, before the split, with errors that name the row."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tables_as_rows import rows_of, table_of

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables import side_columns
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.missing import Missing
from ensemble_pipe.data.tables.side_columns import (
    read_groups,
    read_targets,
    read_times,
    read_weights,
)

DAY = datetime.date(2026, 2, 28)
TIME = datetime.datetime(2026, 2, 28, 12)


def labels(values: Any) -> Any:
    return read_targets(rows_of(table_of(y=values), batch=2), Roles(("x",), "y"))


@pytest.mark.parametrize(
    ("values", "expected", "kind"),
    [
        ([3, -1, 3], [3, -1, 3], np.int64),
        (pa.array([1, 2], pa.uint8()), [1, 2], np.uint8),
        ([True, False, True], [1, 0, 1], np.uint8),
        (["b", "a", "", "b"][:2] * 3, ["b", "a"] * 3, np.int32),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ["b", "a", "b"], np.int32),
        (pa.array(["long name", "a"], pa.large_string()), ["long name", "a"], np.int32),
        ([1.5, 2.0, np.inf], [1.5, 2.0, np.inf], np.float64),
        (pa.array([1.5, 2.0], pa.float32()), [1.5, 2.0], np.float32),
        (pa.array([1.5, 2.0], pa.float16()), [1.5, 2.0], np.float32),
        ([Decimal("1.50"), Decimal("2.25")], [1.5, 2.25], np.float64),
    ],
    ids=str,
)
def test_labels_are_numbers_of_their_own_type_or_the_places_of_texts(
    values: Any, expected: Any, kind: Any
) -> None:
    found = labels(values)
    assert found.tolist() == expected
    assert found.values.dtype == kind
    assert (found.names is not None) == isinstance(expected[0], str)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [1, None, None],
            r"^t\.csv: row 1 .* the label is missing, as in 2 of 3 rows; remove such rows$",
        ),
        ([1.0, 2.0, np.nan], r"row 2 \(from 0\), column 'y': the label is missing"),
        (["a", "b", ""], r"row 2 \(from 0\), column 'y': the label is missing"),
        ([DAY], r"^t\.csv: label 'y' is of type date32.*; labels are numbers, text in UTF-8"),
        ([b"x"], "label 'y' is of type binary"),
        (
            pa.array([1, 2, 2**63], pa.uint64()),
            r"^t\.csv: row 2 .*, column 'y': 9223372036854775808 is too large for a 64-bit integer",
        ),
    ],
    ids=str,
)
def test_labels_that_cannot_be_read_are_refused(values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            list("abcdef"),
            r"^t\.csv: label 'y' has more than 4 values; labels of text are names of cl",
        ),
        (
            ["a", "b" * 20_000],
            r"row 1 \(from 0\), column 'y': a text of 20000 bytes; the name of a category or",
        ),
    ],
    ids=["many", "long"],
)
def test_texts_that_name_no_classes_are_refused(
    values: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_columns, "MOST_CLASSES", 4)
    with pytest.raises(DataError, match=message) as refused:
        labels(values)
    assert len(str(refused.value)) < 200


def test_rows_without_labels_say_so() -> None:
    rows = rows_of(table_of(x=[1]))
    with pytest.raises(DataError, match=r"^t\.csv: has no labels$"):
        read_targets(rows, Roles(("x",)))
    with pytest.raises(DataError, match=r"^t\.csv: has no column 'y'; its columns are: x"):
        read_targets(rows, Roles(("x",), "y"))


def test_weights_are_finite_and_not_negative() -> None:
    rows = rows_of(table_of(w=pa.array([0, 2, 1], pa.int8())), batch=2)
    assert read_weights(rows, "w").tolist() == [0.0, 2.0, 1.0]
    assert read_weights(rows, "w").dtype == np.float64


@pytest.mark.parametrize(
    "values",
    [
        ["p", "q", "p", "r", "q"],
        [7, 3, 7, -1, 3],
        [0.5, 1.5, 0.5, 2.5, 1.5],
        [DAY, None, DAY][:1] * 5,
        pa.array(["p", "q", "p", "r", "q"]).dictionary_encode(),
    ],
    ids=str,
)
def test_groups_are_numbered_by_their_first_rows(values: Any) -> None:
    found, names = read_groups(rows_of(table_of(g=values), batch=2), "g")
    assert len(names) == max(found.tolist()) + 1
    assert found.dtype == np.int64
    assert found.tolist() in ([0, 1, 0, 2, 1], [0] * 5)


def test_groups_that_are_missing_or_no_values_are_refused() -> None:
    with pytest.raises(DataError, match=r"row 1 \(from 0\), column 'g': the group is missing"):
        read_groups(rows_of(table_of(g=["a", None])), "g")
    with pytest.raises(DataError, match="group 'g' is of type list"):
        read_groups(rows_of(table_of(g=[[1], [2]])), "g")


@pytest.mark.parametrize(
    "values",
    [
        [3, 1, 2],
        [3.5, -1.0, 0.0],
        [DAY, DAY - datetime.timedelta(9), DAY - datetime.timedelta(1)],
        [TIME, TIME - datetime.timedelta(9), TIME - datetime.timedelta(1)],
        pa.array([30, 10, 11], pa.timestamp("ns", "UTC")),
        ["2026-02-28", "1999-01-01T00:00:00", "2026-02-28T00:00+01:00"],
    ],
    ids=str,
)
def test_times_keep_their_order(values: Any) -> None:
    found = read_times(rows_of(table_of(t=values), batch=2), "t")
    assert found.dtype.kind in "ifM"
    assert np.argsort(found).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("read", "values", "message"),
    [
        (
            read_weights,
            [1.0, -2.0],
            r"row 1 \(from 0\), column 'c': the weight is -2; weights are finite numbers from 0 on",
        ),
        (read_weights, [1.0, 0.0, np.inf], r"row 2 \(from 0\), column 'c': the weight is inf"),
        (read_weights, [1.0, None], r"row 1 \(from 0\), column 'c': the weight is missing"),
        (read_weights, [0, 0], "every weight in 'c' is 0"),
        (read_weights, ["a"], "weight 'c' is of type string, not of numbers"),
        (read_times, [1.0, np.nan], r"row 1 \(from 0\), column 'c': the time is missing"),
        (read_times, [1.0, np.inf], r"row 1 \(from 0\), column 'c': the time is inf"),
        (read_times, ["2026-02-28", "soon"], r"row 1 \(from 0\), column 'c': 'soon' is not a date"),
        (
            read_times,
            [True, False],
            "column 'c': is of type bool; dates or times are needed",
        ),
    ],
)
def test_values_that_are_no_weights_or_times_are_refused(
    read: Callable[[Rows, str], Any], values: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(rows_of(table_of(c=values), batch=2), "c")


@pytest.mark.parametrize(
    "values",
    [["2020-01-02", "1900-01-01T00:00"], np.array(["2020-01-02", "1900-01-01"], "M8[D]")],
    ids=type,
)
def test_a_date_that_means_missing_is_no_time_in_whatever_type(values: Any) -> None:
    with pytest.raises(
        DataError, match=r"row 1 .*, column 't': the time is missing, as in 1 of 2 rows; "
    ):
        read_times(rows_of(table_of(t=values)), "t", Missing(("1900-01-01",)))
