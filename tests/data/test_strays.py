"""Values that are no numbers, or no dates, in columns without a rule."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from one_column import IDENTITY, encode, fit, place
from tables_as_rows import batch_of, table_of

from ensemble_pipe.core.data_warning import DataWarning
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.tables.columns import AutoRule, CategoryRule, DateRule, NumberRule
from ensemble_pipe.data.tables.strays import Strays

NUMBERS = [str(value / 7) for value in range(40)]
DATES = [f"2020-01-{day:02}T0{day % 7}:30" for day in range(1, 29)]
JUNK = [
    "n/a", "-", "?", "none", "None", "<NA>", "NaT", "#DIV/0!", "unknown", "12 kg", "1,5", "0x1F",
    "2020-02-30", "9" * 21, date(2020, 1, 1), datetime(2020, 1, 1),
    datetime(2020, 1, 1, tzinfo=UTC),
]  # fmt: skip
NO_DATES = ["n/a", "2020-02-30", "2020-13-01", "01/05/2020", "5", 5, 2.5, True]


def counted(schema: Any, values: Any) -> Strays:
    strays = Strays()
    schema.encode_inputs(batch_of(table_of(x=values)), place, strays)
    return strays


@pytest.mark.parametrize("junk", JUNK, ids=str)
def test_what_is_no_number_counts_as_missing_in_a_recognised_column(junk: Any) -> None:
    for values in (NUMBERS, [float(text) for text in NUMBERS]):
        schema = fit(values, AutoRule())
        assert np.array_equal(encode(schema, [junk]), encode(schema, [None]))
        with pytest.warns(DataWarning, match=r"'x': 1 value that is no number .*row 0 .*\)"):
            counted(schema, [junk]).warn()


@pytest.mark.parametrize("junk", NO_DATES, ids=str)
def test_what_is_no_date_counts_as_missing_in_a_recognised_column(junk: Any) -> None:
    for values in (DATES, [datetime.fromisoformat(text) for text in DATES]):
        schema = fit(values, AutoRule())
        assert np.array_equal(encode(schema, [junk]), encode(schema, [None]))
        with pytest.warns(DataWarning, match=r"'x': 1 value that is no date .*row 0 \(from 0\)\)"):
            counted(schema, [junk]).warn()


@pytest.mark.parametrize(
    ("values", "rule", "junk"),
    [(NUMBERS, NumberRule(), "n/a"), (NUMBERS, NumberRule(missing="mean"), "12 kg"),
     (NUMBERS, NumberRule(), datetime(2020, 1, 1)), (DATES, DateRule(), "n/a"),
     (DATES, DateRule(missing="median"), 5)],
)  # fmt: skip
def test_a_column_with_a_rule_stays_strict(values: Any, rule: Any, junk: Any) -> None:
    schema = fit(values, rule)
    with pytest.raises(
        DataError, match=r"new.csv: row 0 \(from 0\), column 'x': .* is (not )?a (number|date)"
    ):
        encode(schema, [junk])


def test_all_blocks_are_summed_up_in_one_warning_with_the_first_example() -> None:
    schema, strays = fit(NUMBERS, AutoRule()), Strays()
    for values in (["1", "n/a", "oops"], ["2", "3"], ["-", None, "NA", ""]):
        schema.encode_inputs(batch_of(table_of(x=pa.array(values))), place, strays)
    with pytest.warns(DataWarning) as found:
        strays.warn()
    assert [str(one.message) for one in found] == [
        "column 'x': 3 values that are no numbers count as missing, such as 'n/a' "
        "(new.csv: row 1 (from 0))"
    ]


@pytest.mark.parametrize("encode", ["one_hot", "code"])
def test_unseen_categories_are_counted_in_a_warning_with_an_example(encode: Any) -> None:
    schema = fit(["red", "green", "blue"] * 9, CategoryRule(encode=encode))
    strays = Strays()
    for values in (["red", "pink"], [None, "", "grey", "pink"]):
        schema.encode_inputs(batch_of(table_of(x=pa.array(values))), place, strays)
    with pytest.warns(DataWarning) as found:
        strays.warn()
    assert [str(one.message) for one in found] == [
        "column 'x': 3 values that are no category of the model count as none of them, such as "
        "'pink' (new.csv: row 1 (from 0))"
    ]


def test_nothing_is_said_of_categories_that_are_known(
    recwarn: pytest.WarningsRecorder,
) -> None:
    schema = fit(["red", "green", None] * 9, CategoryRule(missing="category"))
    counted(schema, ["green", "red", None]).warn()
    assert not recwarn


def test_nothing_is_said_of_values_that_are_missing(recwarn: pytest.WarningsRecorder) -> None:
    schema = fit(NUMBERS, AutoRule())
    for values in ([None], ["NA"], [""], ["nan"], [float("nan")], ["7"], [True], ["true"]):
        counted(schema, values).warn()
    assert not recwarn.list


INFINITIES = ["inf", "-inf", "Infinity", "+INF", "1e400", "-1e400", "4e38", float("inf"), 4e38]


@pytest.mark.parametrize("value", INFINITIES, ids=str)
def test_an_infinity_is_refused_however_it_is_written(value: Any) -> None:
    numbers = [float(text) for text in NUMBERS]
    training = [*NUMBERS, value] if isinstance(value, str) else [*numbers, value]
    with pytest.raises(DataError, match=r"row 40 \(from 0\), column 'x': .*(infinity|too large)"):
        fit(training, AutoRule())
    for rule in (AutoRule(), NumberRule(missing="mean")):
        for given in (value, str(value)):
            with pytest.raises(DataError, match=r"row 0 .*, column 'x': .*(infinity|too large)"):
                encode(fit(NUMBERS, rule, scale=IDENTITY), [given])
