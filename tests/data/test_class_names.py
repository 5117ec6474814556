"""Labels as names of classes: the same text is the same class in files with and without types."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet

from ensemble_pipe.config.reading import Pipeline
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.labelled import read_labelled
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.files import open_rows
from ensemble_pipe.data.tables.class_names import as_numbers, class_finder
from ensemble_pipe.data.tables.side_columns import read_targets
from ensemble_pipe.run.preparation import prepare

REPEATS = 30


def write(path: Path, labels: Any) -> Path:
    """Write rows with these labels, each as often, in the format that the file's ending says."""
    column = labels if isinstance(labels, pa.Array) else pa.array(labels)
    column = pa.concat_arrays([column] * REPEATS)
    table = pa.table({"x": np.arange(len(column)) * 0.5, "y": column})
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    elif path.suffix == ".arrow":
        feather.write_feather(table, str(path))
    elif path.suffix == ".npz":
        values = column.to_numpy(zero_copy_only=False)
        np.savez(path, x=table.column("x").to_numpy(), y=np.array(values.tolist()))
    elif path.name == "pandas.csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        csv.write_csv(table, path)
    return path


def fitted(path: Path, **settings: Any) -> Schema:
    data = {"source": "table", "path": str(path), "label": "y"}
    config = {"data": data, "task": "classification", **settings}
    return prepare(Pipeline.model_validate(config)).schema


def found(schema: Schema, path: Path) -> list[int | str]:
    """Return the class that each of the labels in a file is found to be."""
    rows = open_rows(str(path)).as_written(schema.named_columns)
    codes = schema.encode_targets(read_targets(rows, schema.roles, schema.classes), rows.place)
    return [schema.classes[code] for code in codes[: len(codes) // REPEATS]]


FILES = ("rows.csv", "pandas.csv", "rows.parquet", "rows.arrow", "rows.npz")
TEXTS = [
    ["1", "01"], ["01", "02"], ["1", "2", "01"], [" a", "a"], ["a", "a ", " a"], ["True", "true"],
    ["1.0", "1"], ["1", "+1"], ["1e3", "1000"], ["0", "-0"], ["0x1F", "31"], ["1_000", "1000"],
    ["NA", "b"], ["nan", "null"], ["inf", "a"], ["99999999999999999999", "1"], ["1.5", "x"],
    ["a,b", 'a"b'], ["two\nlines", "one"], ["\u00e9", "e\u0301"], ["2024-01-01", "2024-01-02"],
]  # fmt: skip


@pytest.mark.parametrize("labels", TEXTS, ids=str)
def test_a_label_that_is_text_is_the_same_class_in_every_format(
    labels: list[str], tmp_path: Path
) -> None:
    paths = [write(tmp_path / name, labels) for name in FILES]
    for trained, other in product(paths[1:3], paths):
        schema = fitted(trained)
        assert schema.classes == tuple(sorted(labels))
        assert found(schema, other) == labels


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([3, 1, 2], (1, 2, 3)),
        ([-1, 1], (-1, 1)),
        ([True, False], (0, 1)),
        ([2.0, 1.0], (1, 2)),
        (pa.array([2, 1], pa.uint8()), (1, 2)),
        (pa.array([2.0, 1.0], pa.float32()), (1, 2)),
        ([2**63 - 1, -(2**63)], (-(2**63), 2**63 - 1)),
        ([2**53 + 1, 2**53], (2**53, 2**53 + 1)),
    ],
    ids=str,
)
def test_a_label_that_is_a_number_is_the_same_class_in_every_format(
    labels: Any, classes: tuple[int, ...], tmp_path: Path
) -> None:
    paths = [write(tmp_path / name, labels) for name in FILES]
    numbers = [int(label.as_py()) for label in pa.array(labels)]
    for trained, other in product(paths[1:3], paths):
        schema = fitted(trained)
        assert schema.classes == classes
        assert found(schema, other) == numbers


@pytest.mark.parametrize(
    ("labels", "others", "expected"),
    [
        ([1, 2], ["01", " 2", "+1", "2.0"], [1, 2, 1, 2]),
        ([0, 1], ["true", "False", "1"], [1, 0, 1]),
        (["a", "b"], [" a", "b  "], ["a", "b"]),
        (["1", "2"], [1.0, 2.0], ["1", "2"]),
        (["1.0", "2.0"], [1.0, 2.0], ["1.0", "2.0"]),
        (["True", "False"], [True, False], ["True", "False"]),
        (["true", "false"], [True, False], ["true", "false"]),
    ],
    ids=str,
)
def test_a_class_is_found_by_what_it_is(
    labels: Any, others: Any, expected: Any, tmp_path: Path
) -> None:
    schema = fitted(write(tmp_path / "t.parquet", labels))
    assert schema.classes == tuple(sorted(labels))
    assert found(schema, write(tmp_path / "o.parquet", others)) == expected


def test_blanks_around_all_labels_of_a_text_file_are_no_part_of_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x, y\n" + "1, <=50K\n2, >50K.\n" * REPEATS)
    assert fitted(path).classes == ("<=50K", ">50K.")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["1", "2"], [1, 2]),
        (["1.0", "2.0"], [1, 2]),
        (["0.5", "1"], [0.5, 1]),
        (["FALSE", "True"], [0, 1]),
        (["1", "1.0"], None),
        (["01", "2"], None),
        (["1e3", "2"], None),
        (["true", "1"], None),
        (["9" * 5000, "1"], None),
        (["٣", "1"], None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_labels_of_a_text_file_are_numbers_where_nothing_is_lost(
    labels: list[str], expected: list[float] | None
) -> None:
    numbers = as_numbers(labels)
    assert (None if numbers is None else numbers.tolist()) == expected


def test_a_text_names_no_number_and_a_number_no_other_text() -> None:
    find = class_finder(("01", "1"))
    assert [find(label) for label in ("01", "1", 1, 1.0, "1.0", "2")] == [0, 1, 1, 1, -1, -1]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["1", "2", "NA"], r"row 2 \(from 0, line 4\), column 'y': the label is missing"),
        (["a", "b", "  "], r"row 2 \(from 0, line 4\), column 'y': the label is missing"),
        (["0.5", "1", "2"], r"row 0 \(from 0, line 2\), column 'y': label 0.5 is not a class"),
        (["1", "inf"], r"row 1 \(from 0, line 3\), column 'y': label inf is not a class"),
        (["a\0", "a"], r"label 'a\\x00' ends in a zero byte; remove it"),
    ],
    ids=str,
)
def test_labels_that_are_none_are_refused(labels: list[str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem):
        fitted(write(tmp_path / "t.csv", labels))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_what_means_missing_means_it_for_labels_of_every_format(name: str, tmp_path: Path) -> None:
    for labels in (["a", "b", "?"], [1, 2, -1]):
        path = write(tmp_path / name, labels)
        data = {"source": "table", "path": str(path), "label": "y", "missing_values": ["?", "-1"]}
        with pytest.raises(DataError, match=r"row 2 .*column 'y': the label is missing"):
            prepare(Pipeline.model_validate({"data": data, "task": "classification"}))


def test_classes_are_chosen_by_their_text(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet"):
        path = write(tmp_path / name, ["01", "1", "2"])
        assert fitted(path, classes=["1", 2]).classes == ("1", "2")
        assert fitted(path, classes=["01", "2"]).classes == ("01", "2")


def test_a_test_file_of_another_format_has_the_same_classes(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ["01", "1", "2"])
    for name in ("test.csv", "test.parquet"):
        test = write(tmp_path / name, ["1", "2"])
        data = {"source": "table", "path": str(train), "label": "y", "test_path": str(test)}
        config = Pipeline.model_validate({"data": data, "task": "classification"})
        prepared = prepare(config)
        assert prepared.official_test is not None
        targets = prepared.official_test.targets[slice(0, 2)]
        assert prepared.schema.encode_targets(targets, str).tolist() == [1, 2]


def test_groups_are_told_apart_as_they_are_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(60.0), "g": ["01", "1", " 2"] * 20, "y": [0, 1] * 30})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    groups = []
    for name in ("t.csv", "t.parquet"):
        data = {"source": "table", "path": str(tmp_path / name), "label": "y", "group": "g"}
        config = Pipeline.model_validate({"data": data, "task": "classification"})
        source, _ = config.data.open()
        found = read_labelled(source, config.data.roles(source), None)
        assert found.groups is not None
        assert found.group_names is not None
        groups.append((found.groups.tolist(), found.group_names.to_pylist()))
    assert groups[0] == groups[1] == ([0, 1, 2] * 20, ["01", "1", "2"])
