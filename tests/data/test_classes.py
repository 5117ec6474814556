"""`classes`: the rows of some classes alone, wherever they stand in the source."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from conftest import Prepared
from small_pipelines import SPLITS

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.labelled import LabelledRows, read_labelled
from ensemble_pipe.data.sources.rows import rows_of
from ensemble_pipe.data.tables.columns import Roles

ROLES = Roles(("n",), "kind", weight="w", group="g", time="t")


def labelled_of(targets: Array, classes: tuple[int | str, ...] | None) -> LabelledRows:
    rows = np.arange(len(targets))
    table = pa.table(
        {"n": rows.astype(np.float64), "kind": targets, "w": rows + 1.0, "g": rows % 2, "t": -rows}
    )
    return read_labelled(rows_of("f.csv", table), ROLES, classes)


def numbers_in(found: LabelledRows) -> list[float]:
    """Return the values of column n, as they are read block by block."""
    return [x for _, block in found.rows.blocks(["n"]) for x in block.column("n").to_pylist()]


@pytest.mark.parametrize(
    ("targets", "classes", "kept"),
    [
        (np.array([2, 0, 1, 0, 2]), (0, 2), [0, 1, 3, 4]),
        (np.array([2, 0, 1, 0, 2]), ("2", "0"), [0, 1, 3, 4]),
        (np.array([2.0, 0.0, 1.0, 0.0]), (0, 1), [1, 2, 3]),
        (np.array(["b", "a", "c", "b"]), ("a", "b"), [0, 1, 3]),
        (np.array(["1", "2", "10"]), (1, 10), [0, 2]),
        (np.array([-1, 1, 11]), (-1, 1), [0, 1]),
    ],
)
def test_the_rows_of_the_named_classes_are_kept_in_their_order(
    targets: Array, classes: tuple[int | str, ...], kept: list[int]
) -> None:
    found, whole = labelled_of(targets, classes), labelled_of(targets, None)
    assert found.numbers(0, found.count).tolist() == kept
    assert found.count == len(kept)
    assert numbers_in(found) == kept
    assert found.targets.tolist() == whole.targets[np.array(kept)].tolist()
    for name in ("weights", "groups", "times"):
        assert getattr(found, name).tolist() == getattr(whole, name)[kept].tolist()


def test_a_kept_row_is_named_by_its_place_in_the_source() -> None:
    found = labelled_of(np.array([2, 0, 1, 0, 2]), (1, 2))
    places = [found.rows.place(row) for row in range(found.count)]
    assert places == ["f.csv: row 0 (from 0)", "f.csv: row 2 (from 0)", "f.csv: row 4 (from 0)"]


def test_a_kept_label_is_named_by_its_place_in_its_own_file() -> None:
    rows = rows_of("f.csv", pa.table({"x": range(4), "y": [1, 0, 1, 0]}))
    apart = replace(rows, places={"y": "labels {}".format})
    kept = read_labelled(apart, Roles(("x",), "y"), (1,)).rows
    assert [kept.cells("y")(row) for row in range(2)] == ["labels 0", "labels 2"]


def test_rows_are_kept_across_the_ends_of_blocks() -> None:
    targets = np.arange(10_000) % 3
    assert numbers_in(labelled_of(targets, (0, 2))) == np.flatnonzero(targets != 1).tolist()


def test_without_a_choice_everything_stays() -> None:
    found = labelled_of(np.array([0, 1, 0]), None)
    assert found.numbers(0, 3).tolist() == [0, 1, 2]
    assert numbers_in(found) == [0, 1, 2]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((0, 7), r"^f\.csv: no row is of class 7, which `classes` names$"),
        ((0, "0"), r"^classes: 0, 0 names a class twice$"),
    ],
)
def test_a_class_that_is_not_there_or_twice_is_named(
    classes: tuple[int | str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        labelled_of(np.array([0, 1, 2]), classes)


def test_a_run_of_two_digits_knows_only_those_and_their_rows_in_the_source(
    prepare: Callable[..., Prepared],
) -> None:
    from sklearn.datasets import load_digits

    prepared = prepare(classes=[8, 3], splits={**SPLITS, "train": 100, "test": 50})
    assert prepared.schema.classes == (3, 8)
    parts = {
        name: pa.ipc.open_file(pa.memory_map(str(prepared.paths.base / f"{name}.arrow"))).read_all()
        for name in ("train", "stop", "validation", "test")
    }
    assert parts["train"].num_rows == 100
    assert parts["test"].num_rows == 50
    source = load_digits().target
    for table in parts.values():
        named = np.array([3, 8])[table.column("target").to_numpy()]
        assert np.array_equal(named, source[table.column("row").to_numpy()])
    rows = np.concatenate([table.column("row").to_numpy() for table in parts.values()])
    assert len(np.unique(rows)) == len(rows)
