"""Some rows of a part of the data, read as if they were a part of their own."""

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.chosen_rows import ChosenRows
from ensemble_pipe.data.shard_view import ShardView

ROWS, SHARD_ROWS = 23, 5
IDS = np.array([22, 0, 4, 5, 13, 14])
SCALE, SHIFT = np.array([2.0, 0.5, 1.0], np.float32), np.array([0.0, 1.0, -1.0], np.float32)


@pytest.fixture
def whole() -> ShardView:
    """A part in five shards, with weights."""
    random = np.random.default_rng(3)
    inputs = random.standard_normal((ROWS, 3)).astype(np.float32)
    targets, weights = np.arange(ROWS, dtype=np.int32), random.random(ROWS).astype(np.float32)
    shards = [slice(first, first + SHARD_ROWS) for first in range(0, ROWS, SHARD_ROWS)]
    numbers = np.arange(ROWS)
    tables = [
        shard_table(inputs[own], targets[own], numbers[own], weight=weights[own]) for own in shards
    ]
    return ShardView(tables, SCALE, SHIFT)


def inputs_of(rows: ShardView | ChosenRows, start: int, stop: int) -> Floats:
    inputs = np.empty((stop - start, 3), np.float32)
    rows.read(start, stop, inputs)
    return inputs


def test_they_are_those_of_the_whole_in_the_order_of_their_numbers(whole: ShardView) -> None:
    chosen = ChosenRows(whole, IDS)
    assert chosen.rows == len(IDS)
    np.testing.assert_array_equal(inputs_of(chosen, 0, 6), inputs_of(whole, 0, ROWS)[IDS])
    np.testing.assert_array_equal(inputs_of(chosen, 2, 5), inputs_of(whole, 0, ROWS)[IDS[2:5]])
    np.testing.assert_array_equal(chosen.targets, whole.targets[IDS])
    np.testing.assert_array_equal(chosen.weights, whole.weights[IDS])


def test_stored_rows_become_the_same_inputs(whole: ShardView) -> None:
    chosen = ChosenRows(whole, IDS)
    stored = chosen.read_stored(1, 6)
    np.testing.assert_array_equal(stored, whole.read_stored(0, ROWS)[IDS[1:]])
    np.testing.assert_array_equal(chosen.scale(stored), inputs_of(chosen, 1, 6))


def test_a_row_that_is_not_there_is_no_row(whole: ShardView) -> None:
    with pytest.raises(IndexError, match="row numbers must lie in 0 to 22"):
        inputs_of(ChosenRows(whole, np.array([3, ROWS])), 0, 2)
