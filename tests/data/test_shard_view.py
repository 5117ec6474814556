"""Views: rows gathered in place out of shards are those that NumPy's indexing gives."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.base import shard_table
from ensemble_pipe.data.shard_view import ShardView

KINDS: dict[str, tuple[tuple[int, ...], Any, Any]] = {
    "images with classes": ((3, 4, 2), np.uint8, np.int32),
    "features with classes": ((5,), np.float32, np.int32),
    "features with numbers": ((5,), np.float32, np.float32),
}


def rows_of(kind: str, rows: int) -> tuple[Array, Array]:
    shape, input_type, target_type = KINDS[kind]
    random = np.random.default_rng(rows)
    inputs = random.integers(0, 256, (rows, *shape)).astype(input_type)
    return inputs, random.integers(-9, 9, rows).astype(target_type)


def shards_of(inputs: Array, targets: Array, shard_rows: int) -> list[pa.Table]:
    starts = range(0, len(inputs), shard_rows)
    parts = [slice(start, start + shard_rows) for start in starts]
    rows = np.arange(len(inputs))
    return [shard_table(inputs[part], targets[part], rows[part]) for part in parts]


def plain(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    return np.ones(shape, np.float32), np.zeros(shape, np.float32)


def gathered(view: ShardView, ids: Integers, like: tuple[Array, Array]) -> tuple[Array, Array]:
    inputs = np.full((len(ids), *like[0].shape[1:]), np.nan, np.float32)
    targets = np.full(len(ids), -99, like[1].dtype)
    view.gather(ids, inputs, targets, np.ones(len(ids), np.float32))
    return inputs, targets


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(st.data())
def test_gather_is_numpy_indexing(kind: str, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 40))
    like = rows_of(kind, rows)
    shards = shards_of(*like, data.draw(st.integers(1, rows)))
    ids = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=50)), np.int32)
    inputs, targets = gathered(ShardView(shards, *plain(KINDS[kind][0])), ids, like)
    assert np.array_equal(inputs, like[0][ids].astype(np.float32))
    assert np.array_equal(targets, like[1][ids])


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_scaled_and_shifted_one_by_one(kind: str) -> None:
    like = rows_of(kind, 12)
    shape = KINDS[kind][0]
    scale = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    shift = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    ids = np.array([11, 0, 5, 5], np.int32)
    inputs, _ = gathered(ShardView(shards_of(*like, 5), scale, shift), ids, like)
    assert inputs == pytest.approx(like[0][ids] * scale + shift, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_several_chunks_is_several_shards(kind: str) -> None:
    like = rows_of(kind, 11)
    joined = pa.concat_tables(shards_of(*like, 4))
    ids = np.arange(11, dtype=np.int32)[::-1].copy()
    inputs, targets = gathered(ShardView([joined], *plain(KINDS[kind][0])), ids, like)
    assert np.array_equal(inputs, like[0][::-1])
    assert np.array_equal(targets, like[1][::-1])


def test_read_gives_rows_in_order() -> None:
    like = rows_of("features with numbers", 9)
    view = ShardView(shards_of(*like, 4), *plain((5,)))
    inputs = np.empty((5, 5), np.float32)
    view.read(2, 7, inputs)
    assert np.array_equal(inputs, like[0][2:7])
    assert np.array_equal(view.targets, like[1])


@pytest.mark.parametrize("wrong", [-1, 9, 2**30])
def test_a_row_that_is_not_there_is_refused(wrong: int) -> None:
    like = rows_of("features with numbers", 9)
    view = ShardView(shards_of(*like, 4), *plain((5,)))
    with pytest.raises(IndexError, match="row numbers must lie in 0 to 8"):
        gathered(view, np.array([0, wrong, 1], np.int32), like)


@pytest.mark.parametrize("lengths", [(4, 3, 4), (3, 4)])
def test_shards_of_unequal_rows_are_refused(lengths: tuple[int, ...]) -> None:
    tables = [shards_of(*rows_of("features with numbers", rows), rows)[0] for rows in lengths]
    with pytest.raises(ValueError, match="all shards but the last must have equal rows"):
        ShardView(tables, *plain((5,)))


def test_a_view_keeps_its_shards_alive() -> None:
    like = rows_of("images with classes", 20_000)
    view = ShardView(shards_of(*like, 6000), *plain((3, 4, 2)))
    _ = [np.full(1 << 16, 255, np.uint8) for _ in range(20)]  # would reuse freed memory
    ids = np.arange(20_000, dtype=np.int32)
    assert np.array_equal(gathered(view, ids, like)[0], like[0])


def test_shards_are_never_written_to() -> None:
    like = rows_of("images with classes", 10)
    before = like[0].copy()
    view = ShardView(shards_of(*like, 4), *plain((3, 4, 2)))
    gathered(view, np.array([1, 2, 3], np.int32), like)
    assert np.array_equal(like[0], before)
