"""Wrong tables: one message that names file, row and column, status 2, nothing started."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from commands import (
    INSTEAD,
    ROWS_OF_CSV,
    Harmful,
    columns,
    predict,
    refused,
    run_table,
    table_model,
    with_value,
    write,
    write_parquet,
)
from pyarrow import parquet

from ensemble_pipe.data.splits import split_rows

pytestmark = pytest.mark.usefixtures("empty_folder")


# Rules that refuse what columns without a rule take.
STRICT = 'data.columns={"*": {kind: number, missing: error}}'
ONLY_IF_STRICT = ("a feature that is no number", "a missing feature")
CSV: dict[str, tuple[str, str]] = {
    "an empty file": ("", r"t\.csv: the file is empty"),
    "a header only": ("a,b,y\n", r"t\.csv: has no rows"),
    "a broken row": (
        f"a,b,y\n{ROWS_OF_CSV}5,6\n",
        r"t\.csv: row 60 \(from 0, line 62\): has 2 fields where the header has 3",
    ),
    "a feature that is no number": (
        f"a,b,y\n{ROWS_OF_CSV}5,tall,0\n",
        r"t\.csv: row 60 \(from 0, line 62\), column 'b': 'tall' is not a number; "
        r"declare it by `columns: \{b: \{kind: category\}\}`, or leave its rule out",
    ),
    "a missing feature": (
        f"a,b,y\n{ROWS_OF_CSV}5,,0\n",
        r"t\.csv: row 60 \(from 0, line 62\), column 'b': a missing value or NaN; "
        r"say what stands for it, such as `columns: \{b: \{missing: mean\}\}` \(median or a number "
        r"will do too\), or remove such rows",
    ),
    "an infinite feature": (
        f"a,b,y\n-inf,6,0\n{ROWS_OF_CSV}",
        r"t\.csv: row 0 \(from 0, line 2\), column 'a': infinity; every feature must be a .*",
    ),
    "a missing label": (
        f"a,b,y\n{ROWS_OF_CSV}5,6,\n",
        r"t\.csv: row 60 \(from 0, line 62\), column 'y': the label is missing, .* 1 of 61 rows;.*",
    ),
    "a missing label among names": (
        "a,b,y\n1,2,no\n3,4,\n" + "5,6,yes\n7,8,no\n" * 30,
        r"t\.csv: row 1 \(from 0, line 3\), column 'y': the label is missing, .* 1 of 62 rows; .*",
    ),
    "no label column": (
        "a,b,z\n1,2,0\n",
        r"t\.csv: has no column 'y'; its columns are: a, b, z",
    ),
    "one class only": (
        "a,b,y\n" + "1,2,7\n" * 50,
        r"t\.csv: all 50 rows have the one class 7; a classifier needs at least two",
    ),
    "a column twice": (
        f"a,a,y\n{ROWS_OF_CSV}",
        r"t\.csv: column 'a' is there more than once",
    ),
    "nothing but labels": ("y\n0\n1\n", r"t\.csv: has no feature columns beside 'y'"),
}


@pytest.mark.parametrize("what", CSV)
def test_a_csv_file_with(what: str) -> None:
    text, message = CSV[what]
    rules = (STRICT,) if what in ONLY_IF_STRICT else ()
    assert re.fullmatch(message, run_table(write("t.csv", text), *rules))


def rows_of_csv(rows: int, wrong: str, at: int) -> str:
    """Return a CSV file of so many rows, of which one, counted from 1, is `wrong`."""
    lines = [f"{row % 7},{row % 5},{row % 2}" for row in range(rows)]
    lines[at - 1] = wrong
    return "a,b,y\n" + "\n".join(lines) + "\n"


def first_row_of_test_part(rows: int) -> int:
    """Return the number, from 1, of a row late in such a file that the schema is not fitted to."""
    sizes = {"test": 0.2, "validation": 0.15, "stop": 0.1}
    parts = split_rows(np.arange(rows) % 2, rows, sizes, 1, "here")
    return int(next(row for row in parts["test"] if row >= rows - 1000)) + 1


def test_a_wrong_value_that_is_found_while_files_are_written() -> None:
    at = first_row_of_test_part(6000)
    assert at >= 5000
    message = run_table(write("t.csv", rows_of_csv(6000, f"1,inf,{(at - 1) % 2}", at)))
    assert message.startswith(
        f"t.csv: row {at - 1} (from 0, line {at + 1}), column 'b': infinity; every feat"
    )


def test_a_wrong_value_in_the_middle_of_an_official_test_part() -> None:
    write("test.csv", rows_of_csv(6000, "1,,1", 5000))
    message = run_table(write_parquet(), "data.test_path=test.csv", "shard_rows=64", STRICT)
    assert message.startswith("test.csv: row 4999 (from 0, line 5001), column 'b': a missing value")


@pytest.mark.parametrize("value", ["tall", "1,5", "12 kg"])
def test_a_text_far_down_among_numbers(value: str) -> None:
    write("test.csv", rows_of_csv(6000, f'1,"{value}",1', 5000))
    place = "test.csv: row 4999 (from 0, line 5001), column 'b'"
    where = f"{place}: {value!r} is not a number; declare it by"
    assert run_table("test.csv", STRICT).startswith(where)
    assert run_table(write_parquet(), "data.test_path=test.csv", STRICT).startswith(where)
    assert predict(table_model(), "test.csv") == where.replace("declare it by", INSTEAD) + (
        " `columns: {b: {kind: category}}`"
    )


def test_folders_that_were_there_before_a_wrong_run_stay() -> None:
    Path("there").mkdir()
    Path("p.yaml").write_text("data: {source: table, path: test.csv, label: y}\n")
    at = first_row_of_test_part(6000)
    write("test.csv", rows_of_csv(6000, f"1,inf,{(at - 1) % 2}", at))
    refused("run", "p.yaml", "--output", "there")
    refused("run", "p.yaml", "--output", "there/or/not")


def test_a_missing_data_file() -> None:
    message = run_table("absent.csv")
    assert message == "absent.csv: no such file; paths are taken from the current directory"


def test_an_unknown_format() -> None:
    message = run_table(write("t.xlsx", "x"))
    assert message.startswith("t.xlsx: unknown format '.xlsx'; .parquet, .arrow, .feather, .csv")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (np.nan, "a missing value or NaN; say what stands for it, such as `columns: {b: {missing:"),
        (np.inf, "infinity; every feature must be a finite number"),
    ],
)
def test_the_first_feature_that_is_not_finite(value: float, what: str) -> None:
    path = write_parquet(**with_value("b", 41, value))
    assert run_table(path, STRICT).startswith(f"t.parquet: row 41 (from 0), column 'b': {what}")


def test_a_label_that_is_nan() -> None:
    path = write_parquet(**with_value("y", 6, np.nan))
    message = run_table(path)
    where = "t.parquet: row 6 (from 0), column 'y'"
    rows = parquet.read_metadata("t.parquet").num_rows
    assert message == f"{where}: the label is missing, as in 1 of {rows} rows; remove such rows"


def test_labels_that_are_dates() -> None:
    days = np.array(["2020-01-01", "2020-01-02"] * 50, "datetime64[D]")
    assert run_table(write_parquet(y=days)) == (
        "t.parquet: label 'y' is of type date32[day]; labels are numbers, text in UTF-8, or true "
        "and false"
    )


def test_a_numeric_target_without_saying_so() -> None:
    message = run_table(write_parquet(y=np.linspace(0, 1, 100)))
    assert message.startswith("t.parquet: row 1 (from 0), column 'y': label 0.01")
    assert message.endswith("is not a class; for a numeric target set `task: regression`")


def test_more_test_rows_than_rows() -> None:
    sizes = ("splits.test=5000", "splits.validation=0.15", "splits.stop=0.1")
    assert run_table(write_parquet(), *sizes) == (
        "t.parquet: the splits need 5025 rows (test 5000, validation 15, stop 10) and training at "
        "least one, but there are 100; make splits smaller"
    )


def test_a_class_without_a_row_in_the_training_part() -> None:
    labels = np.array(["common"] * 96 + [f"rare {i}" for i in range(4)])
    sizes = ("splits.test=0.4", "splits.validation=0.3", "splits.stop=0.2")
    message = run_table(write_parquet(y=labels), *sizes)
    assert re.fullmatch(
        r"t\.parquet: class 'rare \d' has no row in the training part; make the other splits "
        "smaller, or remove or merge the class",
        message,
    )


def test_a_test_file_without_a_column_of_the_training_file() -> None:
    path = write_parquet()
    write("test.csv", "a,y\n1,0\n")
    message = run_table(path, "data.test_path=test.csv")
    assert message == "test.csv: has no column 'b'; its columns are: a, y"


def test_a_test_file_with_a_class_of_its_own() -> None:
    path = write_parquet()
    write("test.csv", "a,b,y\n1,2,0\n1,2,5\n")
    message = run_table(path, "data.test_path=test.csv")
    assert message == (
        "test.csv: row 1 (from 0, line 3), column 'y': label 5 is no class of the training data; "
        "its "
        "classes are: 0, 1"
    )


def test_a_truncated_parquet_file() -> None:
    path = Path(write_parquet())
    path.write_bytes(path.read_bytes()[:-50])
    assert run_table("t.parquet").startswith("t.parquet: cannot be read (Parquet magic bytes not")


def test_a_parquet_page_with_a_flipped_bit() -> None:
    table = pa.table(columns(5000))
    parquet.write_table(table, "t.parquet", compression="none", write_page_checksum=True)
    content = bytearray(Path("t.parquet").read_bytes())
    content[len(content) // 3] ^= 1
    message = run_table(write("t.parquet", bytes(content)))
    assert message.startswith("t.parquet: cannot be read (")
    assert "CRC checksum verification failed" in message


def test_compressed_garbage() -> None:
    message = run_table(write("t.csv.gz", b"\x1f\x8bgarbage of some length"))
    assert message.startswith("t.csv.gz: cannot be read (")


def test_an_npz_file_of_pickled_objects_is_not_unpickled() -> None:
    objects = np.array([Harmful()] * 4, dtype=object)
    np.savez("t.npz", a=objects, y=np.arange(4) % 2)
    message = run_table("t.npz")
    assert message.startswith("t.npz: array 'a' is object of shape (4,); a column (R,), a block")
    assert not Path("harm").exists()
