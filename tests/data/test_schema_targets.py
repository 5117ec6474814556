"""Targets by the schema: classes and numbers."""

from typing import Any

import numpy as np
import pytest
from fitted_schemas import ROLES, ROWS, TRAIN, fit, place, table
from tables_as_rows import rows_of, table_of

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.data.tables.targets import Targets

# Classes


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["b", "a", "c"], ("a", "b", "c")),
        ([7, -1, 3], (-1, 3, 7)),
        ([2.0, 0.0, 1.0], (0, 1, 2)),
        ([True, False, True], (0, 1)),
        (["1", "2", "10"], ("1", "10", "2")),
    ],
)
def test_classes_are_sorted_and_numbered(names: list[Any], classes: tuple[Any, ...]) -> None:
    values = table(names * (ROWS // 3))
    schema = fit(values)
    assert schema.classes == classes
    encoded = schema.encode_targets(read_targets(rows_of(values), ROLES), place)
    assert encoded.dtype == np.int32
    assert [classes[code] for code in encoded] == names * (ROWS // 3)


@pytest.mark.parametrize(
    ("classes", "values"), [(["1", "2"], [2, 1]), (["1", "2"], [2.0, 1.0]), ([1, 2], ["2", "1"])]
)
def test_labels_are_known_whatever_type_another_file_has(classes: Any, values: Any) -> None:
    targets = read_targets(rows_of(table_of(y=values)), Roles((), "y"))
    assert fit(table(classes * 30)).encode_targets(targets, place).tolist() == [1, 0]


def test_a_label_beyond_the_training_classes_is_named() -> None:
    schema = fit(table(["a", "b"] * 30))
    message = r"^new\.csv: row 2 \(from 0\): label 'z' is no class .* its classes are: a, b$"
    with pytest.raises(DataError, match=message):
        schema.encode_targets(Targets(np.arange(3, dtype=np.int32), ("a", "b", "z")), place)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1] * ROWS, "t.csv: all 60 rows have the one class 1; a classifier needs at least two"),
        (
            range(ROWS),
            "60 classes for 60 rows, of which each needs two or more on average, so at least 120 "
            "in all; for a numeric target set `task: regression`",
        ),
        ([f"n{row}" for row in range(ROWS)], "60 classes for 60 rows, .* in all; name another "),
        (
            [f"{row},5" for row in range(ROWS)],
            r"60 classes for 60 rows, .* in all; the label looks like numbers with separators, .* "
            r"such as '0,5'; written as 1234\.5 they are numbers$",
        ),
        (
            ["?", *map(str, range(1, ROWS))],
            r"60 classes .* in all; every label but '\?' is a number: for a numeric target remove",
        ),
        (
            ["1"] * 40 + ["2"] * 10 + ["?"] * 10,
            r"class '2' has no row in the training part; every label but '\?' is a number: for a",
        ),
        ([0.0, 1.0, 0.5] * 20, r"row 2 .*, column 'y': label 0.5 is not a class; for a numeric"),
        ([0.0, 1.0, np.inf] * 20, r"row 2 \(from 0\), column 'y': label inf is not a class"),
        ([0.0, 1.0, 1e300] * 20, r"row 2 \(from 0\), column 'y': label 1e\+300 is not a class"),
        (["a"] * 40 + ["b"] * 20, "class 'b' has no row in the training part; make the other"),
    ],
)
def test_targets_that_make_no_classes_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(table(list(targets)))


# Numbers


def numbers() -> Array:
    return np.concatenate([np.linspace(10, 20, 40), np.full(20, 1e6)])


def test_a_regression_target_is_standardised_over_the_training_rows_only() -> None:
    schema = fit(table(numbers()), "regression")
    encoded = schema.encode_targets(Targets(numbers()), place)
    assert encoded.dtype == np.float32
    assert encoded[TRAIN].mean() == pytest.approx(0, abs=1e-5)
    assert encoded[TRAIN].std() == pytest.approx(1, abs=1e-5)
    assert schema.classes == ()
    assert schema.decode_targets(encoded)[:, 0] == pytest.approx(numbers(), rel=1e-5)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            ["low", "high"] * 30,
            r"row 0 .*, column 'y': target 'low' is not a number; for classes set `task: cl",
        ),
        (
            ["3.5", "4", "?"] * 20,
            r"row 2 \(from 0\), column 'y': target '\?' is not a number; every label but '\?' is a "
            r"number: for a numeric target remove such rows$",
        ),
        (
            ["1,250", "980"] * 30,
            r"row 0 .*: target '1,250' is not a number; the label looks like numbers with separ.*",
        ),
        (["3.5", "4"] * 30, r"row 0 .*: target '3\.5' is text; write the column as numbers$"),
        ([3.0] * 40 + [4.0] * 20, "every training row has the same target, 3.0, in column 'y'"),
        ([1.0, 1e300] * 30, "the target 'y' has values too far apart to be standardised"),
        ([1.0, np.inf] * 30, r"row 1 \(from 0\), column 'y': the target is inf; remove such rows"),
    ],
)
def test_targets_that_are_no_numbers_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(table(targets), "regression")


def test_a_target_too_large_for_float32_is_named() -> None:
    schema = fit(table(numbers()), "regression")
    with pytest.raises(DataError, match=r"new\.csv: row 1 .*: the target 1e\+300 is too large"):
        schema.encode_targets(Targets(np.array([0.0, 1e300])), place)
