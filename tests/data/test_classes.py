"""`classes`: the rows of some classes alone, wherever they stand in the source."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from conftest import Prepared

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.sources.raw import Raw, of_classes
from ensemble_pipe.errors import DataError


def raw_of(targets: Array | None) -> Raw:
    rows = 6 if targets is None else len(targets)
    return Raw("f.csv", np.arange(rows, dtype=np.float64)[:, None], targets, ("n",), "kind")


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
    found, rows = of_classes(raw_of(targets), classes)
    assert rows.tolist() == kept
    assert found.inputs[:, 0].tolist() == kept
    assert found.targets is not None
    assert found.targets.tolist() == targets[kept].tolist()


@pytest.mark.parametrize("targets", [np.array([0, 1, 0]), None])
def test_without_a_choice_everything_stays(targets: Array | None) -> None:
    raw = raw_of(targets)
    found, rows = of_classes(raw, None)
    assert found is raw
    assert rows.tolist() == list(range(raw.rows))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array([0, 1, 2]), r"^f\.csv: no row is of class 7, which `classes` names$"),
        (None, r"^f\.csv: has no labels, so `classes` cannot choose among them$"),
    ],
)
def test_a_class_that_is_not_there_is_named(targets: Array | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        of_classes(raw_of(targets), (0, 7))


def test_a_run_of_two_digits_knows_only_those_and_their_rows_in_the_source(
    prepare: Callable[..., Prepared],
) -> None:
    from sklearn.datasets import load_digits

    prepared = prepare(classes=[8, 3], splits={"train": 100, "test": 50})
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
